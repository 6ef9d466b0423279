"""Whether this process is one of several that torchrun, or a batch system, started for one piece of work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Launched(NamedTuple):
    """Hold the place of this process among those that were started together.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes; 1 where this one works alone.
    local_rank, local_size : int
        The same among the processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def launched(variables: Mapping[str, str] = os.environ) -> Launched:
    """Return what the environment says of the processes that were started together.

    The variables are those that torchrun sets: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and where they are there
    LOCAL_RANK and LOCAL_WORLD_SIZE. Where one is missing, or is no number, this process works alone.
    """
    if not all(variables.get(name) for name in _NEEDED):
        return Launched()
    try:
        rank, size = int(variables["RANK"]), int(variables["WORLD_SIZE"])
        local = int(variables.get("LOCAL_RANK", rank)), int(variables.get("LOCAL_WORLD_SIZE", size))
    except ValueError:
        return Launched()
    return Launched(rank, size, *local) if 0 <= rank < size > 1 else Launched()
