"""The bandwidth of kernels, chosen by the data: that which predicts frames best that it has not seen.

Each frame's log density is taken from the frames of all other blocks, so that frames which are alike because they are
neighbours in time do not make kernels too narrow. That is done with some of the frames, and is best for densities whose
smoothing is not corrected. For all frames the bandwidth is scaled as that of corrected densities, with the number of
independent frames to the power -1 / (8 + d) in d dimensions: their bias then stays as small beside their error as it
is with few frames.

References
----------
R. P. W. Duin, IEEE Trans. Comput. 25, 1175 (1976): bandwidths by cross-validated likelihood.
J. D. Hart, P. Vieu, Ann. Statist. 18, 873 (1990): leaving out blocks of correlated data.
B. W. Silverman, Density Estimation (1986), sec. 3.6 and 4.3: how bandwidths fall with the number of points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trajvae.free_energies.blocks import Blocks
from trajvae.free_energies.maps import LatentMap
from trajvae.typing import Float64, Int64
from trajvae.weighted_samples import effective_size

_MOST_FRAMES = 1200  # that are compared with each other
_FACTORS = np.geomspace(0.03, 0.9, 8)  # of the spread, that are tried first
_NARROWEST = 0.005  # of the spread
_FIRST_STEP, _LAST_STEP = 0.3, 0.05  # of the logarithm


def choose_bandwidth(part: LatentMap, weights: Float64, blocks: Blocks) -> Float64:
    """Return the bandwidth (m,) of a map, in its unit of length.

    Parameters
    ----------
    part : LatentMap
    weights : ndarray, shape (T,)
    blocks : Blocks
    """
    n = len(weights)
    rows = np.unique(np.linspace(0, n - 1, min(n, _MOST_FRAMES)).astype(np.int64))
    own = weights[rows]
    trial = _Trial(part, rows, own, blocks.of_frames(n)[rows])
    best = np.exp(_highest(trial.score, np.log(part.scale), np.log(np.minimum(part.widest, part.scale))))
    seen = effective_size(own) / max(1.0, blocks.inefficiency * len(rows) / n)
    all_frames = effective_size(weights) / blocks.inefficiency
    dimension = part.points.shape[1] if part.kind == "flat" else 2
    return np.asarray(best * min(1.0, seen / all_frames) ** (1.0 / (8.0 + dimension)))


def _highest(score: Callable[[Float64], float], scale: Float64, limit: Float64) -> Float64:
    """Find where a score is highest: first for all coordinates alike, then for each by steps that are halved."""
    best = max((np.minimum(scale + np.log(f), limit) for f in _FACTORS), key=score)
    value, step = score(best), _FIRST_STEP
    while step > _LAST_STEP:
        moves = [np.minimum(best + sign * step * axis, limit) for axis in np.eye(len(best)) for sign in (1.0, -1.0)]
        values = [score(np.maximum(move, scale + np.log(_NARROWEST))) for move in moves]
        top = int(np.argmax(values))
        if values[top] > value:
            best, value = np.maximum(moves[top], scale + np.log(_NARROWEST)), values[top]
        else:
            step *= 0.5
    return np.asarray(best)


class _Trial:
    """Score bandwidths on some of the frames."""

    def __init__(self, part: LatentMap, rows: Int64, weights: Float64, block: Int64) -> None:
        self.part, self.weights = part, weights / weights.sum()
        self.excess = part.excess(rows, rows)
        self.others = (block[:, None] != block[None]) * self.weights
        self.others /= np.maximum(self.others.sum(axis=1, keepdims=True), 1e-300)
        # a frame that lies alone is expected once among all: it must not widen the kernels of all others
        self.floor = self._density(part.scale) / len(rows)

    def _density(self, bandwidth: Float64) -> Float64:
        return np.asarray(np.einsum("ij,ij->i", self.part.kernel(self.excess, bandwidth), self.others))

    def score(self, log_bandwidth: Float64) -> float:
        """Return the mean log density of frames by those of other blocks."""
        density = self._density(np.exp(log_bandwidth)) + self.floor
        return float(self.weights @ np.log(np.maximum(density, 1e-300)))
