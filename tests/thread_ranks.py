"""Several processes of a training as threads of one, for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from trajvae.runtime.ranks import Ranks

Result = TypeVar("Result")


class _Table:
    """Where threads put what they tell each other."""

    def __init__(self, size: int) -> None:
        self.places: list[Tensor | None] = [None] * size
        self.barrier = threading.Barrier(size, timeout=60.0)


class ThreadRanks(Ranks):
    """One thread of several; everything is made of the gathered tensors, in the order of the ranks."""

    def __init__(self, rank: int, size: int, table: _Table) -> None:
        super().__init__(rank, size)
        self.table = table

    def gather(self, values: Tensor) -> list[Tensor]:
        self.table.places[self.rank] = values.detach().clone()
        self.table.barrier.wait()
        found = [place.clone() for place in self.table.places if place is not None]
        self.table.barrier.wait()
        return found

    def sum(self, values: Tensor) -> Tensor:
        return torch.stack(self.gather(values)).sum(dim=0)

    def average(self, values: Tensor) -> None:
        values.copy_(self.sum(values) / self.size)

    def highest(self, number: int) -> int:
        return int(torch.stack(self.gather(torch.tensor(number))).max())

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            with torch.no_grad():
                tensor.copy_(self.gather(tensor)[0])


def in_threads(size: int, work: Callable[[Ranks], Result]) -> list[Result]:
    """Return what each of several processes made, by rank."""
    table = _Table(size)

    def one(rank: int) -> Result:
        try:
            return work(ThreadRanks(rank, size, table))
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))
