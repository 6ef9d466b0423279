"""Blocks of frames: what errors and effective sample sizes of correlated frames are made of.

References
----------
H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989): errors from blocks longer than the correlation time.
B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), ch. 6 and 8.6: resampling of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.outputs.judging.errors_of_means import mean_error
from trajvae.typing import Float64, Int64

_LENGTH = 10.0  # statistical inefficiencies in a block: errors are then at most 3 % too small
_SHORTEST = 3.0  # inefficiencies in a block, below which errors are not to be trusted
_MOST, _FEWEST = 400, 30  # blocks


@dataclass(frozen=True, eq=False)
class Blocks:
    """Part the frames into blocks that count as independent of each other.

    Attributes
    ----------
    starts : ndarray of int64, shape (blocks,)
        First frame of each; none reaches from one trajectory into the next.
    inefficiency : float
        Number of frames that are worth one independent frame: twice the integrated correlation time, 1 or more.
    short : bool
        Whether the trajectory is too short for thirty blocks of three times that length: errors may be too small.
    """

    starts: Int64
    inefficiency: float
    short: bool

    def lengths(self, n_frames: int) -> Int64:
        """Return the number of frames in each block, (blocks,)."""
        return np.diff(self.starts, append=n_frames)

    def of_frames(self, n_frames: int) -> Int64:
        """Return the number of the block of each frame, (T,)."""
        return np.repeat(np.arange(len(self.starts)), self.lengths(n_frames))

    def sums(self, values: Float64) -> Float64:
        """Return the sums of values (T, ...) over each block, (blocks, ...)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=0))

    def resampled(self, n: int, generator: np.random.Generator) -> Float64:
        """Return how often each block is drawn in `n` bootstrap samples, (n, blocks)."""
        count = len(self.starts)
        return generator.multinomial(count, np.full(count, 1.0 / count), size=n).astype(np.float64)

    @property
    def correction(self) -> float:
        """Factor that removes the bias of standard deviations over bootstrap samples of so few blocks."""
        return float((len(self.starts) / max(len(self.starts) - 1, 1)) ** 0.5)


def make_blocks(vectors: Float64, file: Int64, frame: Int64) -> Blocks:
    """Find the correlation time of latent points, and blocks of frames ten times as long.

    Parameters
    ----------
    vectors : ndarray, shape (T, k)
        Latent points in coordinates without a seam; the slowest coordinate counts.
    file, frame : ndarray of int64, shape (T,)
        Number of the trajectory, and of the frame in it, ascending.
    """
    inefficiency = statistical_inefficiency(vectors, file, frame)
    n = len(vectors)
    wanted = max(_LENGTH * inefficiency, n / _MOST)
    length = max(1.0, min(wanted, n / _FEWEST))
    firsts = np.flatnonzero(np.diff(file, prepend=file[0] - 1))
    starts = [
        first + (np.arange(count) * size) // count
        for first, size in zip(firsts.tolist(), np.diff(firsts, append=n).tolist(), strict=True)
        for count in [max(1, round(size / length))]
    ]
    return Blocks(np.concatenate(starts).astype(np.int64), inefficiency, length < _SHORTEST * inefficiency)


def statistical_inefficiency(vectors: Float64, file: Int64, frame: Int64) -> float:
    """Return how many frames are worth one independent frame, for the slowest of the coordinates (T, k)."""
    if len(vectors) < 2:
        return 1.0
    span = int(frame.max() - frame.min()) + 1
    rows = frame - frame.min() + (file - file[0]) * 2 * span  # trajectories are further apart than any lag that counts
    times = [mean_error(np.ascontiguousarray(x), rows).correlation_time for x in vectors.T]
    return float(max(1.0, 2.0 * max(times)))
