"""How many threads a piece of work gets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

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
