"""Progress of long work: a listener hears of every stage; by default nobody listens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Tell = Callable[[int], None]


class Listener(Protocol):
    """Show the stages of the work, from any thread."""

    def stage(self, what: str, unit: str, total: int | None) -> contextlib.AbstractContextManager[Tell]:
        """Show a stage while the context lasts; it yields the function that takes the number of units done."""
        ...


class _Heard:
    """The one who listens: of a process, since work may be shared among threads."""

    listener: Listener | None = None


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report all stages to a listener meanwhile."""
    before, _Heard.listener = _Heard.listener, listener
    try:
        yield
    finally:
        _Heard.listener = before


@contextlib.contextmanager
def stage(what: str, unit: str = "", total: int | None = None) -> Iterator[Tell]:
    """Report a piece of work that may take long.

    Parameters
    ----------
    what : str
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
    """Yield items one by one, as a stage; each counts one."""
    with stage(what, unit, total) as tell:
        for done, item in enumerate(items, start=1):
            yield item
            tell(done)


def measured(pieces: Iterable[Item], size: Callable[[Item], Sized], what: str, unit: str, total: int) -> Iterator[Item]:
    """Yield pieces one by one, as a stage; each counts the length of what `size` returns."""
    done = 0
    with stage(what, unit, total) as tell:
        for piece in pieces:
            yield piece
            done += len(size(piece))
            tell(done)
