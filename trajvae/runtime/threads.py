"""Threads: how many a piece of work gets, and a map over items by several threads."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_SMALL_WORK = 2e9  # multiplications in a step below which a second thread costs more time than it saves


@contextlib.contextmanager
def small_work(multiplications: float) -> Iterator[None]:
    """Use one thread of torch for steps of few multiplications, as long as the context lasts.

    In small steps two threads would wait for each other longer than they work.
    """
    threads = torch.get_num_threads()
    if multiplications < _SMALL_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield the results of a function of items, in the items' order, computed by several threads.

    At most two items for each thread are taken ahead, which limits the memory; with one worker no thread is started.
    When the iterator is closed, running calls are finished and waiting ones are cancelled.
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
