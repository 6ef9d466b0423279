"""A progress bar for Python's users, as `verbose=True` of MDAnalysis' analyses draws one."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any


class ProgressBar:
    """Show a bar on standard error, or in a notebook; call it with what is done.

    Parameters
    ----------
    what : str
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
