"""Processes that train one model together: sums over all of them, and what the first one hands on to the others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from trajvae.errors import LostProcessError, OptionError, TrajvaeError
from trajvae.runtime.launched import Launched

_LOOKS = 0.05  # seconds between two looks at what the other processes have written into the store
_PATIENCE = timedelta(minutes=30)  # that a process waits for the others within one step
_READY, _DONE, _ENDED = "ready", "done", "ended"  # names in the store


class Store(Protocol):
    """Provide what is used of the key-value store that the processes share; see `torch.distributed.Store`."""

    def check(self, keys: list[str], /) -> bool:
        """Return whether all keys are there."""
        ...

    def set(self, key: str, value: str, /) -> None:
        """Set a key."""
        ...

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number, and return the sum."""
        ...


class Ranks:
    """Work with other processes, or alone: then sums are what they are of, and nothing is sent.

    Every process calls each of the methods with tensors of the same shape, in the same order. The processes are named
    by their ranks: 0 is the first one, which reads, prints and writes.

    Parameters
    ----------
    rank, size : int
    store : Store, optional
        Shared by the processes.

    Raises
    ------
    LostProcessError
        Of all methods: another process has ended.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: Store | None = None) -> None:
        self.rank, self.size, self._store = rank, size, store

    @property
    def first(self) -> bool:
        """Whether this process is the first one."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """Return the seed of this process for a seed of all: that itself for the first, others for the others."""
        if self.first:
            return seed
        state = np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint64)
        return int(state[0] >> np.uint64(1))

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of tensors over all processes; alone, the tensor itself."""
        if self.size == 1:
            return values
        total = values.detach().clone()
        with _translated():
            dist.all_reduce(total)
        return total

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of tensors over all processes; alone, the tensor itself."""
        return values if self.size == 1 else self.sum(values) / self.size

    def average(self, values: Tensor) -> None:
        """Replace a tensor by its mean over all processes, in place."""
        if self.size > 1:
            with _translated():
                dist.all_reduce(values)
            values /= self.size

    def highest(self, number: int) -> int:
        """Return the highest of the processes' numbers."""
        if self.size == 1:
            return number
        found = torch.tensor(number)
        with _translated():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def gather(self, values: Tensor) -> list[Tensor]:
        """Return the tensors of all processes by rank, which are of one shape."""
        if self.size == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.size)]
        with _translated():
            dist.all_gather(found, values.contiguous())
        return found

    def join(self, values: Tensor) -> Tensor:
        """Return the rows of all processes one after the other; they may have different numbers of rows."""
        if self.size == 1:
            return values
        counts = [int(n) for n in self.gather(torch.tensor(len(values)))]
        padded = values.new_zeros(max(counts), *values.shape[1:])
        padded[: len(values)] = values
        return torch.cat([rows[:n] for rows, n in zip(self.gather(padded), counts, strict=True)])

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first process, in place."""
        if self.size > 1:
            for tensor in tensors:
                with torch.no_grad(), _translated():
                    whole = tensor.contiguous()
                    dist.broadcast(whole, 0)
                    tensor.copy_(whole)

    def hand_on(self, data: bytes) -> None:
        """Send bytes from the first process to all others, which call `receive`."""
        if self._store is None:
            return
        with _translated():
            self._store.set(_READY, "1")
            dist.broadcast(torch.tensor(len(data)), 0)
            dist.broadcast(torch.frombuffer(bytearray(data), dtype=torch.uint8), 0)

    def receive(self) -> bytes | None:
        """Wait for what the first process hands on, however long; None where that ended well without it."""
        if not self._waited_for(_READY):
            return None
        with _translated():
            length = torch.tensor(0)
            dist.broadcast(length, 0)
            found = torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(found, 0)
        return found.numpy().tobytes()

    def wait_for_first(self) -> None:
        """Wait until the first process has done all that is left, however long."""
        self._waited_for(_DONE)

    def finish(self) -> None:
        """Let the others know that the first process is done."""
        if self._store is not None:
            with _translated():
                self._store.set(_DONE, "1")

    def speaks(self) -> bool:
        """Return whether this process is the first to ask, so that one alone says why the work ended."""
        if self._store is None:
            return True
        try:
            return self._store.add(_ENDED, 1) == 1
        except RuntimeError:  # the store has ended with its process
            return True

    def _waited_for(self, key: str) -> bool:
        """Wait for a key; return whether it is there, and the work has not ended without it."""
        if self._store is None:
            return True
        while True:
            with _translated():
                if self._store.check([key]):
                    return True
                if self._store.check([_DONE]):
                    return False
                if self._store.check([_ENDED]):
                    raise LostProcessError("another process of this work has ended")
            time.sleep(_LOOKS)


ALONE = Ranks()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Errors of connections as one of trajvae's: torch raises a RuntimeError where a process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(f"another process of this work has ended ({str(error).splitlines()[0]})") from error


@contextlib.contextmanager
def joined(place: Launched, device: str) -> Iterator[Ranks]:
    """Work with the processes that were started together, as long as the context lasts.

    Sums go over gloo on CPUs, and over NCCL between GPUs, of which each process has one.

    Parameters
    ----------
    place : Launched
    device : {"auto", "cpu", "cuda"}

    Raises
    ------
    OptionError
        There are fewer GPUs on this machine than processes.
    TrajvaeError
        The others cannot be reached.
    """
    if place.size == 1:
        yield ALONE
        return
    backend = "cpu:gloo"
    if device != "cpu" and torch.cuda.is_available():
        _take_gpu(place)
        backend += ",cuda:nccl"
    ranks = Ranks(place.rank, place.size, _begun(place, backend))
    try:
        yield ranks
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def _take_gpu(place: Launched) -> None:
    """Use the GPU of the process's number."""
    there = torch.cuda.device_count()
    if place.local_size > there:
        raise OptionError(
            f"{place.local_size} processes on this machine need as many GPUs, got {there}: start {there}, or use "
            "--device cpu"
        )
    torch.cuda.set_device(place.local_rank)


def _begun(place: Launched, backend: str) -> Store:
    """Meet the other processes, and return the store that they share."""
    from torch.distributed.distributed_c10d import PrefixStore  # not everywhere is torch built with them
    from torch.distributed.rendezvous import rendezvous

    try:
        store, _, _ = next(rendezvous("env://", timeout=_PATIENCE))
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=_PATIENCE)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrajvaeError(f"the {place.size} processes that were started together do not meet: {reason}") from error
    found: Store = PrefixStore("trajvae", store)
    return found
