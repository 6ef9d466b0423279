"""How slow coordinates are: VAMP-2 on blocks of frames that were not used to choose the slow functions.

The score is that of the slowest functions, linear in the coordinates, and of the constant: 1 where nothing lasts
longer than the lag, and the number of coordinates and 1 where nothing changes.

References
----------
H. Wu, F. Noe, J. Nonlinear Sci. 30, 23 (2020), sec. 5.
R. T. McGibbon, V. S. Pande, J. Chem. Phys. 142, 124105 (2015): cross-validation.
"""

from __future__ import annotations

import numpy as np

from trajvae.free_energies.blocks import Blocks
from trajvae.kinetic_analysis.blocks import BlockedPairs, check_lag, make_blocks
from trajvae.kinetic_analysis.deeptime_library import LaggedPairs, Tica
from trajvae.kinetic_analysis.moments import BlockMoments
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results.kinetics_parts import VampScore
from trajvae.typing import Float64, Floats, Int64

FOLDS = 5
RESAMPLES = 200


def score(
    name: str,
    coordinates: Floats,
    times: FrameTimes,
    lag: Lag,
    *,
    dim: int | None = None,
    weights: Float64 | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> VampScore:
    """Return the cross-validated VAMP-2 score of coordinates, the constant included, with its standard error.

    Blocks of frames are dealt out to five folds in turn. For each fold the slowest `dim` linear functions are found
    on the others, and scored on the fold. No pair reaches over a gap, from one file or from one block into another.

    Parameters
    ----------
    name : str
        For the result.
    coordinates : ndarray, shape (T, k)
        Without a seam: of an angle its cosine and sine.
    times : FrameTimes
    lag : Lag
    dim : int, optional
        Number of slow functions that count; by default all of the k coordinates.
    weights : ndarray, shape (T,), optional
        Of frames: a pair has the weight of its first frame.
    blocks : Blocks, optional
        By default of ten correlation times of the slowest coordinate.
    seed : int
        Of the bootstrap over blocks.

    Returns
    -------
    VampScore

    Raises
    ------
    OptionError
        A lag that fits into the trajectories fewer than twenty times, or no multiple of the time between frames.
    ReadError
        Too few frames, a lag in ps of frames without times, or trajectories with other times between frames.
    """
    check_lag(times, lag)
    values = np.asarray(coordinates, dtype=np.float64)
    if blocks is None:
        blocks = make_blocks(values, times, times.frames_of(lag))
    paired = BlockedPairs.of(times, lag, blocks)
    rows = np.flatnonzero(paired.inside)
    _, block = np.unique(paired.block[rows], return_inverse=True)
    first, second = paired.first[rows], paired.second[rows]
    pairs = LaggedPairs(values[first], values[second], None if weights is None else weights[first])
    return _over_folds(name, pairs, block.astype(np.int64), dim, np.random.default_rng(seed))


def _over_folds(
    name: str, pairs: LaggedPairs, block: Int64, dim: int | None, generator: np.random.Generator
) -> VampScore:
    """Score each fold of blocks by the functions of the others, and return the mean."""
    n_blocks = int(block.max(initial=0)) + 1
    folds = max(min(FOLDS, n_blocks // 2), 2)
    drawn = generator.standard_exponential((RESAMPLES, n_blocks))
    found, varied = [], []
    for fold in range(folds):
        held = block % folds == fold
        functions, test = Tica.fit(pairs.some(~held)), pairs.some(held)
        found.append(functions.vamp2(test, dim))
        slow = LaggedPairs(functions.apply(test.first, dim), functions.apply(test.second, dim), test.weights)
        moments = BlockMoments.of(slow, block[held] // folds, len(range(fold, n_blocks, folds)))
        varied.append(moments.vamp2(drawn[:, fold::folds]))
    few = n_blocks / folds  # blocks in a fold, whose deviations are from their own mean
    error = float(np.mean(varied, axis=0).std() * ((few + 1.0) / max(few - 1.0, 1.0)) ** 0.5)
    return VampScore(name, float(np.mean(found)), error)
