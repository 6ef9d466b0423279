"""Which frames train the networks, which decide when training stops, and which give the figures that are reported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.errors import ReadError
from trajvae.typing import Bool, Int8

TRAINING, VALIDATION, HELD_OUT, UNUSED = 0, 1, 2, 3
FEWEST = 5  # frames that can be divided
_FEW = 1000  # frames below which a larger share is set aside
_SHARES = (0.12, 0.05)  # of few and of many frames, for validation and again for the held-out figures
_BLOCK = 3  # frames of a block, at least, where there are enough of them
_MOST = 20  # blocks of each kind
_NO_GAP = 30  # frames below which none can be spared for gaps
_GAPS = 0.03  # of all frames may lie in gaps, where a gap is more than one frame
_LAGGED_SHARE = 0.12  # of the frames, as _SHARES, of a training with a lag time, which needs pairs within the blocks
_LAGS = 3  # lag times that such a block is long, where there are enough frames


@dataclass(frozen=True, eq=False)
class Partition:
    """Hold what each frame of a training is used for.

    Attributes
    ----------
    part : ndarray of int8, shape (T,)
        0: the networks learn from it. 1: validation, which decides when training stops and how large the residual's
        covariance is. 2: held out; nothing of the training has seen it, and the reported figures come from it.
        3: unused, a gap between the others or a copy of one of them.
    """

    part: Int8

    @property
    def training(self) -> Bool:
        """Whether the networks learn from each frame, (T,)."""
        return np.asarray(self.part == TRAINING)

    @property
    def validation(self) -> Bool:
        """Whether each frame helps decide when training stops, (T,)."""
        return np.asarray(self.part == VALIDATION)

    @property
    def held_out(self) -> Bool:
        """Whether the reported figures come from each frame, (T,)."""
        return np.asarray(self.part == HELD_OUT)


def partition(n: int, lag: int = 0) -> Partition:
    """Divide a trajectory into training, validation and held-out frames.

    Validation and held-out frames are blocks of neighbours, spread evenly over the trajectory: random ones would leak,
    since each has neighbours in time that are nearly the same. A block of either kind stands beside one of the other,
    in turn first and second, with a gap of unused frames between them and on both sides of the pair.

    Parameters
    ----------
    n : int
        Number of frames; the blocks are short against files, whose boundaries are not looked at.
    lag : int
        Lag time of the training in frames: blocks are then longer, and fewer.

    Returns
    -------
    Partition

    Raises
    ------
    ReadError
        Fewer than 5 frames.
    """
    if n < FEWEST:
        raise ReadError(f"training needs at least {FEWEST} frames, got {n}")
    wanted = max(1, round(n * (_LAGGED_SHARE if lag else _SHARES[n >= _FEW])))
    pairs = int(np.clip(wanted // max(_BLOCK, _LAGS * lag), 1, _MOST))
    gap = 0 if n < _NO_GAP else max(1, round(_GAPS * n / (3 * pairs)))
    part = np.zeros(n, dtype=np.int8)
    for k in range(pairs):
        size = wanted // pairs + (k < wanted % pairs)
        kinds = (VALIDATION, HELD_OUT) if k % 2 == 0 else (HELD_OUT, VALIDATION)
        lengths = [gap, size, gap, size, gap]
        values = [UNUSED, kinds[0], UNUSED, kinds[1], UNUSED]
        first = int((k + 0.5) * n / pairs - sum(lengths) / 2)
        part[first : first + sum(lengths)] = np.repeat(np.array(values, dtype=np.int8), lengths)
    return Partition(part)
