"""A progress bar for users of the Python functions, as MDAnalysis' analyses draw with `verbose=True`."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm


class ProgressBar:
    """Draw a progress bar on standard error, or in a notebook, each time that it is called.

    Parameters
    ----------
    what : str
        Name of the work, which is drawn before the bar.
    unit : str
        Name of the units that are counted.
    shown : bool
        Whether anything is drawn.

    Examples
    --------
    >>> with ProgressBar("training", "epoch", shown=False) as bar:
    ...     bar(1, 10, 2.5)
    """

    def __init__(self, what: str, unit: str, *, shown: bool = True) -> None:
        self._bar: tqdm[NoReturn] | None = None
        if shown:
            from tqdm import auto  # takes a tenth of a second, which only those who see the bar should wait for

            self._bar = auto.tqdm(desc=what, unit=unit)

    def __call__(self, done: int, total: int, figure: float | None = None) -> None:
        """Draw that `done` of `total` units are done, with the latest value of a figure if that is finite."""
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
