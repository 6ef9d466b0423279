"""The frames of a training that each of several processes has: training and validation frames in the files' order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trajvae.errors import OptionError
from trajvae.models.partition import UNUSED, Partition
from trajvae.readers.data_set import Frames
from trajvae.runtime.ranks import Ranks
from trajvae.typing import Int64


@dataclass(frozen=True, eq=False)
class Share:
    """Hold the frames of one process.

    Attributes
    ----------
    partition : Partition
        What the process uses frames `first` to `last - 1` for; those of other processes are unused.
    first, last : int
        Among all frames.
    training, validation : slice
        The process's places among all training, and among all validation frames.
    """

    partition: Partition
    first: int
    last: int
    training: slice
    validation: slice


def share_of(partition: Partition, ranks: Ranks) -> Share:
    """Return the frames of this process; alone, all.

    All processes have the same number of training frames, so that their batches are of one size: where the frames
    cannot be divided so, two processes share one. Each validation frame belongs to one process.

    Parameters
    ----------
    partition : Partition
        Of all frames.
    ranks : Ranks

    Raises
    ------
    OptionError
        There are fewer frames of one kind than processes.
    """
    if ranks.size == 1:
        return Share(partition, 0, len(partition.part), slice(None), slice(None))
    rows = {"training": np.flatnonzero(partition.training), "validation": np.flatnonzero(partition.validation)}
    for kind, found in rows.items():
        if len(found) < ranks.size:
            raise OptionError(
                f"{ranks.size} processes need as many {kind} frames or more, got {len(found)}: start fewer processes"
            )
    training, validation = _windows(len(rows["training"]), len(rows["validation"]), ranks)
    mine: Int64 = np.concatenate([rows["training"][training], rows["validation"][validation]])
    first, last = int(mine.min()), int(mine.max()) + 1
    part = np.full(last - first, UNUSED, dtype=np.int8)
    part[mine - first] = partition.part[mine]
    return Share(Partition(part), first, last, training, validation)


def _windows(n_train: int, n_validation: int, ranks: Ranks) -> tuple[slice, slice]:
    """The places of a process: equally many among the training frames, and its own among the validation frames."""
    rank, size = ranks.rank, ranks.size
    begin = rank * n_train // size
    return (
        slice(begin, begin - (-n_train // size)),
        slice(rank * n_validation // size, (rank + 1) * n_validation // size),
    )


def frames_of_share(frames: Frames, share: Share) -> tuple[Frames, Share]:
    """Return the frames that a process reads, and its share of them.

    Where molecules are made whole, the image that is taken may depend on the frames before: then all of these are
    read, too.
    """
    if any(plan.unwrapper is not None for plan in frames.plans):
        before = np.full(share.first, UNUSED, dtype=np.int8)
        share = replace(share, partition=Partition(np.concatenate([before, share.partition.part])), first=0)
    counts = np.cumsum([0, *map(len, frames.ranges)]).tolist()
    cut = [
        some[max(0, share.first - n) : max(0, share.last - n)]
        for some, n in zip(frames.ranges, counts[:-1], strict=True)
    ]
    return replace(frames, ranges=cut), share
