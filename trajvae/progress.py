<<<<<<< HEAD
"""A progress bar for Python's users, as `verbose=True` of MDAnalysis' analyses draws one."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any


class ProgressBar:
    """A bar on standard error, or in a notebook; call it with what is done.
=======
"""How far long work has come: whoever listens is told of every stage, and nobody is by default."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Tell = Callable[[int], None]


class Listener(Protocol):
    """What shows stages, from any thread."""

    def stage(self, what: str, unit: str, total: int | None) -> contextlib.AbstractContextManager[Tell]:
        """A stage that begins and ends with the context; what it gives is called with how many units are done."""
        ...


class _Heard:
    """The one who listens: of a process, since work may be shared among threads."""

    listener: Listener | None = None


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of all stages meanwhile."""
    before, _Heard.listener = _Heard.listener, listener
    try:
        yield
    finally:
        _Heard.listener = before


@contextlib.contextmanager
def stage(what: str, unit: str = "", total: int | None = None) -> Iterator[Tell]:
    """A piece of work that may take long.
>>>>>>> ca9e9eb (Every stage of long work has a bar on a terminal, with a clock that goes on between)

    Parameters
    ----------
    what : str
<<<<<<< HEAD
        What is done, before the bar.
    unit : str
        What is counted.
    shown : bool
        Without it nothing is drawn.

    Examples
    --------
    >>> with ProgressBar("training", "epoch", shown=False) as bar:
    ...     bar(1, 10, 2.5)
    """

    def __init__(self, what: str, unit: str, *, shown: bool = True) -> None:
        self._bar: Any = None
        if shown:
            from tqdm.auto import tqdm  # a tenth of a second that nobody waits for who wants no bar

            self._bar = tqdm(desc=what, unit=unit)

    def __call__(self, done: int, total: int, figure: float | None = None) -> None:
        """Draw that `done` of `total` are done, with the latest figure beside it if it is a number."""
        if self._bar is None:
            return
        self._bar.total = total
        if figure is not None and math.isfinite(figure):
            self._bar.set_postfix_str(f"{figure:.4g}", refresh=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
=======
        What is being done, such as "reading".
    unit : str
        What is counted, such as "frame".
    total : int, optional
        How many there are, where that is known.

    Yields
    ------
    callable
        To be called with how many are done.
    """
    if _Heard.listener is None:
        yield lambda done: None
        return
    with _Heard.listener.stage(what, unit, total) as tell:
        yield tell


def counted(items: Iterable[Item], what: str, unit: str, total: int) -> Iterator[Item]:
    """Items one by one, as a stage; each counts one."""
    with stage(what, unit, total) as tell:
        for done, item in enumerate(items, start=1):
            yield item
            tell(done)


def measured(pieces: Iterable[Item], size: Callable[[Item], Sized], what: str, unit: str, total: int) -> Iterator[Item]:
    """Pieces one by one, as a stage; each counts as many as the length of what `size` says."""
    done = 0
    with stage(what, unit, total) as tell:
        for piece in pieces:
            yield piece
            done += len(size(piece))
            tell(done)
>>>>>>> ca9e9eb (Every stage of long work has a bar on a terminal, with a clock that goes on between)
