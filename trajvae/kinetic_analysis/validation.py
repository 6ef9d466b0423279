"""Whether a Markov model says more than noise, and whether it holds: slow processes, and Chapman and Kolmogorov's test.

References
----------
J.-H. Prinz et al., J. Chem. Phys. 134, 174105 (2011), sec. IV.F: the test on sets of states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from trajvae.free_energies.blocks import Blocks
from trajvae.kinetic_analysis.blocks import BlockedPairs
from trajvae.kinetic_analysis.deeptime_library import ReversibleModel, metastable_sets
from trajvae.kinetic_analysis.markov import RESAMPLES, Transitions, count_pairs, eigenvalues_of
from trajvae.kinetic_analysis.states import States
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results.kinetics_parts import ChapmanKolmogorov
from trajvae.typing import Float64, Int64

_TRIALS, _SHARE = 100, 0.95
_MOST_SETS = 5


class SlowProcesses(NamedTuple):
    """Hold how many processes are slow.

    Attributes
    ----------
    number : int
        Number of eigenvalues above the noise whose time scale is longer than the lag.
    noise : float
        Largest eigenvalue, in 95 of 100 trials, where frames have nothing to do with each other.
    """

    number: int
    noise: float


def slow_processes(transitions: Transitions, seed: int) -> SlowProcesses:
    """Count the processes of a Markov model that are slower than the lag and above the noise.

    The noise is what is left where the second frame of each pair is that of a pair elsewhere in the trajectory: both
    keep their own correlation in time, by which few independent frames look more related than many.
    """
    generator, n_pairs = np.random.default_rng(seed), len(transitions.first)
    shifts = generator.integers(n_pairs // 4, max(3 * n_pairs // 4, n_pairs // 4 + 1), size=_TRIALS)
    found = [_largest(transitions, int(shift)) for shift in shifts]
    noise = float(np.quantile(found, _SHARE))
    values = eigenvalues_of(transitions.model(), transitions.n - 1)
    return SlowProcesses(int((values > max(noise, float(np.exp(-1.0)))).sum()), noise)


def _largest(transitions: Transitions, shift: int) -> float:
    """Return the largest eigenvalue below 1 where each first frame meets the second one of a pair elsewhere."""
    counts = count_pairs(transitions.first, np.roll(transitions.second, shift), transitions.weight, transitions.n)
    counts = counts + counts.T
    root = np.sqrt(np.maximum(counts.sum(axis=1), 1e-300))
    return float(np.linalg.eigvalsh(counts / root[:, None] / root)[-2])


def chapman_kolmogorov(
    states: States,
    transitions: Transitions,
    times: FrameTimes,
    lags: Sequence[Lag],
    blocks: Blocks,
    *,
    n_sets: int,
    seed: int = 0,
    weights: Float64 | None = None,
    progress: Callable[[int], None] | None = None,
) -> ChapmanKolmogorov:
    """Compare what a Markov model predicts for multiples of its lag with what is counted.

    Parameters
    ----------
    states : States
    transitions : Transitions
        At the model's lag.
    times : FrameTimes
    lags : sequence of Lag
        Multiples of the model's lag, ascending.
    blocks : Blocks
        Of frames, over which the error is bootstrapped.
    n_sets : int
        Number of metastable sets; from 2 to 5, and at most that of states.
    seed : int
    weights : ndarray, shape (T,), optional
        Of frames.
    progress : callable, optional
        Called after each sample of the bootstrap with the number of those drawn.
    """
    model = transitions.model()
    n_sets = int(np.clip(n_sets, 2, min(_MOST_SETS, transitions.n)))
    _, sets = np.unique(metastable_sets(model, n_sets), return_inverse=True)
    sets = sets.astype(np.int64)
    pairs = [BlockedPairs.of(times, lag, blocks) for lag in lags]
    steps = [p.lag_frames // transitions.pairs.lag_frames for p in pairs]
    at = [_between(states, p, transitions.number, weights) for p in pairs]
    predicted, estimated = _staying(model, sets, steps, at, transitions.n, None)
    off = []
    for w in transitions.pairs.resampled(RESAMPLES, np.random.default_rng(seed)):
        pair = _staying(transitions.model(w), sets, steps, at, transitions.n, w)
        off.append(pair[1] - pair[0])
        if progress is not None:
            progress(len(off))
    interval = times.interval()
    return ChapmanKolmogorov(
        sets=sets,
        population=np.bincount(sets, model.stationary).astype(np.float64),
        lag=np.array([p.lag_frames for p in pairs], dtype=np.float64) * (1.0 if interval is None else interval),
        predicted=predicted,
        estimated=estimated,
        error=np.std(off, axis=0) * transitions.pairs.correction,
    )


class _Counted(NamedTuple):
    """Hold pairs between states: numbers of the states, weights and blocks."""

    first: Int64
    second: Int64
    weight: Float64
    block: Int64


def _between(states: States, pairs: BlockedPairs, number: Int64, weights: Float64 | None) -> _Counted:
    """The pairs whose both frames are in a connected state."""
    first, second = number[states.states[pairs.first]], number[states.states[pairs.second]]
    kept = (first >= 0) & (second >= 0)
    weight = np.ones(len(first)) if weights is None else weights[pairs.first]
    return _Counted(first[kept], second[kept], weight[kept], pairs.block[kept])


def _staying(
    model: ReversibleModel,
    sets: Int64,
    steps: Sequence[int],
    at: Sequence[_Counted],
    n: int,
    of_blocks: Float64 | None,
) -> tuple[Float64, Float64]:
    """Return the probabilities of being in a set again, predicted and counted, (K, M) each."""
    predicted, estimated = [], []
    for step, found in zip(steps, at, strict=True):
        later = np.linalg.matrix_power(model.transition, step)
        weight = found.weight if of_blocks is None else found.weight * of_blocks[found.block]
        counts = count_pairs(found.first, found.second, weight, n)
        total = counts.sum(axis=1, keepdims=True)
        # a state that no pair starts from says nothing against the model
        seen = np.where(total > 0.0, counts / np.where(total > 0.0, total, 1.0), later)
        predicted.append(_again(later, model.stationary, sets))
        estimated.append(_again(seen, model.stationary, sets))
    return np.stack(predicted), np.stack(estimated)


def _again(transition: Float64, stationary: Float64, sets: Int64) -> Float64:
    """Return the probability of being in each set again, starting in its equilibrium, (M,)."""
    member = np.eye(int(sets.max()) + 1)[sets]
    staying = np.einsum("i,im,ij,jm->m", stationary, member, transition, member, optimize=True)
    return np.asarray(staying / (stationary @ member))
