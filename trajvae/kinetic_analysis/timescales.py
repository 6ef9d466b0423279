"""Implied time scales of coordinates and of Markov models, at several lags, with their errors.

A process whose autocorrelation after a lag is e has the time scale -lag / ln(e). It does not depend on the lag where
the coordinates, or the states, are fine enough.

References
----------
W. C. Swope et al., J. Phys. Chem. B 108, 6571 (2004): implied time scales.
G. Perez-Hernandez et al., J. Chem. Phys. 139, 015102 (2013): of TICA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from trajvae.free_energies.blocks import Blocks
from trajvae.kinetic_analysis.blocks import BlockedPairs, check_lag, make_blocks
from trajvae.kinetic_analysis.deeptime_library import LaggedPairs, Tica
from trajvae.kinetic_analysis.markov import RESAMPLES, Transitions
from trajvae.kinetic_analysis.moments import BlockMoments
from trajvae.kinetic_analysis.states import States
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results.kinetics_parts import TimeScales
from trajvae.typing import Float64, Floats

Progress = Callable[[int], None]


class Eigenvalues(NamedTuple):
    """Hold autocorrelations of slow processes after a lag.

    Attributes
    ----------
    value, error : ndarray, shape (K,)
        The slowest first, and standard errors.
    """

    value: Float64
    error: Float64


def tica_timescales(
    coordinates: Floats,
    times: FrameTimes,
    lags: Sequence[Lag],
    *,
    dim: int | None = None,
    weights: Float64 | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TimeScales:
    """Return the implied time scales of the slowest linear functions of coordinates (TICA).

    Parameters
    ----------
    coordinates : ndarray, shape (T, k)
        Without a seam.
    times : FrameTimes
    lags : sequence of Lag
    dim : int, optional
        Number of processes, at most k.
    weights : ndarray, shape (T,), optional
        Of frames: a pair has the weight of its first frame.
    blocks : Blocks, optional
    seed : int
        Of the bootstrap over blocks that errors are made of.
    progress : callable, optional
        Called after each lag with the number of those done.

    Raises
    ------
    OptionError
        A lag that fits into the trajectories fewer than twenty times, or no multiple of the time between frames.
    ReadError
        Too few frames, a lag in ps of frames without times, or trajectories with other times between frames.
    """
    values = np.asarray(coordinates, dtype=np.float64)
    dim = values.shape[1] if dim is None else min(dim, values.shape[1])
    lags, blocks = _checked(values, times, lags, blocks)

    def at(lag: Lag) -> Eigenvalues:
        """Return the autocorrelations after a lag."""
        paired, generator = BlockedPairs.of(times, lag, blocks), np.random.default_rng(seed)
        own = None if weights is None else weights[paired.first]
        slow = Tica.fit(LaggedPairs(values[paired.first], values[paired.second], own))
        kept = np.sort(slow.eigenvalues[:dim])[::-1]
        functions = slow.apply(values, dim)
        pairs = LaggedPairs(functions[paired.first], functions[paired.second], own)
        moments = BlockMoments.of(pairs, paired.block, paired.n_blocks)
        varied = moments.eigenvalues(paired.resampled(2 * RESAMPLES, generator))
        return _filled(kept, varied.std(axis=0) * paired.correction, dim)

    return _time_scales(at, times, lags, progress)


def markov_timescales(
    states: States,
    times: FrameTimes,
    lags: Sequence[Lag],
    *,
    n: int,
    weights: Float64 | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TimeScales:
    """Return the implied time scales of reversible Markov models of the same states at several lags.

    Parameters
    ----------
    states : States
    times : FrameTimes
    lags : sequence of Lag
    n : int
        Number of processes.
    weights, blocks, seed, progress : optional
        As of `tica_timescales`.

    Raises
    ------
    OptionError
        A lag that fits into the trajectories fewer than twenty times, or no multiple of the time between frames.
    ReadError
        Too few frames, a lag in ps of frames without times, or trajectories with other times between frames.
    """
    lags, blocks = _checked(states.centers[states.states], times, lags, blocks)

    def at(lag: Lag) -> Eigenvalues:
        """Return the autocorrelations after a lag."""
        paired, generator = BlockedPairs.of(times, lag, blocks), np.random.default_rng(seed)
        transitions = Transitions(states, paired, weights)
        varied = np.stack([transitions.eigenvalues(n, w) for w in paired.resampled(RESAMPLES, generator)])
        return Eigenvalues(transitions.eigenvalues(n), varied.std(axis=0) * paired.correction)

    return _time_scales(at, times, lags, progress)


def _checked(
    values: Float64, times: FrameTimes, lags: Sequence[Lag], blocks: Blocks | None
) -> tuple[list[Lag], Blocks]:
    """Check the lags; return them in ascending order, and blocks of frames."""
    for lag in lags:
        check_lag(times, lag)
    ordered = sorted(lags, key=times.frames_of)
    return ordered, make_blocks(values, times, times.frames_of(ordered[-1])) if blocks is None else blocks


def _filled(value: Float64, error: Float64, n: int) -> Eigenvalues:
    """Return as many eigenvalues as are wanted; NaN where there are fewer."""
    lacking = np.full(n - len(value), np.nan)
    return Eigenvalues(np.concatenate([value, lacking]), np.concatenate([error, lacking]))


def _time_scales(
    at: Callable[[Lag], Eigenvalues], times: FrameTimes, lags: Sequence[Lag], progress: Progress | None
) -> TimeScales:
    """Return the time scales at each lag, with errors of first order."""
    interval = times.interval()
    rows = []
    for done, lag in enumerate(lags, start=1):
        length = times.frames_of(lag) * (1.0 if interval is None else interval)
        rows.append((length, *time_scales_of(at(lag), length)))
        if progress is not None:
            progress(done)
    lag_times, values, errors = zip(*rows, strict=True)
    return TimeScales(np.array(lag_times), np.stack(values), np.stack(errors))


def time_scales_of(found: Eigenvalues, lag: float) -> tuple[Float64, Float64]:
    """Return time scales and their errors, each (K,), of autocorrelations after a lag; NaN where not in (0, 1)."""
    known = (found.value > 0.0) & (found.value < 1.0)
    value = np.where(known, found.value, 0.5)
    rate = -np.log(value)
    scale, error = lag / rate, lag * found.error / (value * rate**2)
    return np.where(known, scale, np.nan), np.where(known, error, np.nan)
