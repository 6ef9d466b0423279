"""Describe the places where ranges of frames are worked on; this process is one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from trajvae.runtime.threads import map_in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkPlace(Protocol):
    """Describe where a function of ranges is computed.

    Attributes
    ----------
    apart : bool
        Whether items are computed by other processes, which read their frames themselves where they can.
    """

    @property
    def apart(self) -> bool:
        """Whether items are computed by other processes."""
        ...

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield the results of a function of items, in the items' order; few are computed ahead.

        The result of an item must not depend on what else the function was called with: it may be computed twice. Close
        the iterator where it is left before its end.
        """
        ...


@dataclass(frozen=True)
class ThisProcess:
    """Work in this process.

    Attributes
    ----------
    threads : int
        Threads that compute items side by side.
    """

    threads: int = 1
    apart = False

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield the results of a function of items, in the items' order."""
        return map_in_order(function, items, self.threads)
