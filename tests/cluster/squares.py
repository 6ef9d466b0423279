"""A function that workers of a Dask cluster compute in tests; they import this file."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from trajvae.errors import ReadError


class Square:
    """Squares numbers, each in some time; fails or ends its process where it is told so."""

    def __init__(self, seconds: float = 0.0, bad: int = -1, worst: int = -1) -> None:
        self.seconds, self.bad, self.worst, self.calls = seconds, bad, worst, 0

    def __call__(self, number: int) -> tuple[int, int, int]:
        self.calls += 1
        time.sleep(self.seconds)
        if number == self.bad:
            raise ZeroDivisionError("by nothing\nand more")
        if number == self.worst:
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise ReadError(f"frame {number} is no frame")
        return number, number**2, os.getpid()


def held(dask_worker: Any) -> list[str]:
    """Return the names of the functions that a worker holds; Dask gives it to an argument of this name."""
    return [name for name in dask_worker.plugins if name.startswith("trajvae")]
