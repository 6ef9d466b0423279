"""Progress of long work: every stage is reported to a listener, if there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Report = Callable[[int], None]  # takes the number of units done


class Listener(Protocol):
    """Show the stages of the work, which any thread may report."""

    def stage(self, what: str, unit: str, total: int | None) -> contextlib.AbstractContextManager[Report]:
        """Show a stage as long as the context lasts; it yields the function to report the number of units done with."""
        ...


class _Current:
    """Hold the listener of the process; it is not one of a thread, since threads may share the work."""

    listener: Listener | None = None


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report all stages to a listener as long as the context lasts."""
    before, _Current.listener = _Current.listener, listener
    try:
        yield
    finally:
        _Current.listener = before


@contextlib.contextmanager
def stage(what: str, unit: str = "", total: int | None = None) -> Iterator[Report]:
    """Report a piece of work that may take long, as long as the context lasts.

    Parameters
    ----------
    what : str
        Name of the work, such as "reading".
    unit : str
        Name of the units that are counted, such as "frame".
    total : int, optional
        Number of units, if it is known.

    Yields
    ------
    callable
        Function to call with the number of units done.
    """
    if _Current.listener is None:
        yield lambda done: None
        return
    with _Current.listener.stage(what, unit, total) as report:
        yield report


def count_items(items: Iterable[Item], what: str, unit: str, total: int) -> Iterator[Item]:
    """Yield items and report them as a stage, in which each item is one unit."""
    with stage(what, unit, total) as report:
        for done, item in enumerate(items, start=1):
            yield item
            report(done)


def count_rows(
    pieces: Iterable[Item], rows: Callable[[Item], Sized], what: str, unit: str, total: int
) -> Iterator[Item]:
    """Yield pieces and report them as a stage, in which each piece is as many units as `rows` of it are long."""
    done = 0
    with stage(what, unit, total) as report:
        for piece in pieces:
            yield piece
            done += len(rows(piece))
            report(done)
