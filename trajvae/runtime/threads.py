"""How many threads a piece of work gets, and work that is shared among threads."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_SMALL = 2e9  # multiplications a step below which a second thread costs more than it brings


@contextlib.contextmanager
def small_work(multiplications: float) -> Iterator[None]:
    """Use one thread for small steps: two would wait for each other longer than they work."""
    threads = torch.get_num_threads()
    if multiplications < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """Yield results of a function of items, in the items' order, computed by several threads.

    Items are taken when there is room for them, two a thread at most, so that memory holds no more; with one worker no
    thread is started. What was begun is ended when the iterator is closed, and what was not is dropped.
    """
    if workers < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
