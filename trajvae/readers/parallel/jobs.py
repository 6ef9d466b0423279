"""How many processes read: those that are asked for or that there are cores for, and no more than pay."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence

from trajvae.errors import OptionError
from trajvae.readers.frame_file import FrameFile

# s of reading for which one more process is started: it takes 0.3 to 0.6 s of a core to import what reads
_WORTH_A_PROCESS = 0.8


def available_jobs() -> int:
    """Return the number of processes that read where none is given: as many as there are cores for this process.

    A process that shares the machine with others of its kind, as a worker of Dask or of `multiprocessing`, reads alone.
    The processes that torchrun starts on a machine share its cores.
    """
    if is_worker():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(cores // max(int(ranks), 1), 1) if ranks.isdecimal() else cores


def is_worker() -> bool:
    """Return whether this process was started by `multiprocessing`, and works beside others."""
    return multiprocessing.parent_process() is not None


def checked_jobs(jobs: int | None) -> int:
    """Return the number of processes that may read, this one included.

    Parameters
    ----------
    jobs : int, optional
        As a user gives it; by default the number of cores.

    Raises
    ------
    OptionError
        It is not a whole number, or less than 1.
    """
    if jobs is None:
        return available_jobs()
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise OptionError(f"jobs must be the number of processes that read, 1 or more, got {jobs!r}")
    return 1 if is_worker() else jobs


def seconds_to_read(files: Sequence[FrameFile], ranges: Sequence[range]) -> float:
    """Return about how long one process reads some frames of each file; 0 where other processes cannot read a file."""
    costs = [(seconds_per_frame(f), len(r)) for f, r in zip(files, ranges, strict=True) if len(r)]
    return sum(cost * count for cost, count in costs) if all(cost for cost, _ in costs) else 0.0


def seconds_per_frame(file: FrameFile) -> float:
    """Return about how long a frame of a file takes, as its class says; 0 where other processes cannot read it.

    They cannot import the class of a reader that a user has written in a script or notebook.
    """
    if type(file).__module__ == "__main__":
        return 0.0
    return float(getattr(file, "seconds_per_frame", 0.0))


def jobs_worth(jobs: int, seconds: float) -> int:
    """Return how many of some processes pay where one would read for some seconds; at least one."""
    return max(min(jobs, 1 + int(seconds / _WORTH_A_PROCESS)), 1)
