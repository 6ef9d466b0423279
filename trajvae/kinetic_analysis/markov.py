"""Markov state models of latent points: counts of transitions, the reversible model, and its errors.

References
----------
J.-H. Prinz et al., J. Chem. Phys. 134, 174105 (2011): estimation and validation of Markov models.
"""

from __future__ import annotations

import numpy as np

from trajvae.errors import ReadError
from trajvae.kinetic_analysis.blocks import BlockedPairs, check_lag, make_blocks
from trajvae.kinetic_analysis.deeptime_library import ReversibleModel, largest_connected, reversible_model
from trajvae.kinetic_analysis.states import States, choose_number, find_states
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results.kinetics_parts import MarkovModel
from trajvae.typing import Bool, Float64, Int64

__all__ = ["MarkovModel", "estimate_markov_model", "markov_model"]

RESAMPLES = 100


class Transitions:
    """Count transitions between states, over all pairs of frames of a lag.

    Parameters
    ----------
    states : States
    pairs : BlockedPairs
    weights : ndarray, shape (T,), optional
        Of frames: a pair has the weight of its first frame.

    Attributes
    ----------
    connected : ndarray of int64, shape (C,)
        Numbers of the states of the largest set that is connected both ways; counts are between these.
    n : int
        Number of these states, C.
    number : ndarray of int64, shape (S,)
        Number of each state among these; -1 for others.
    first, second : ndarray of int64, shape (P,)
        States, by these numbers, of the frames of each pair whose both frames are in one of them.
    weight : ndarray, shape (P,)
    block : ndarray of int64, shape (P,)
    """

    def __init__(self, states: States, pairs: BlockedPairs, weights: Float64 | None = None) -> None:
        n = len(states.centers)
        weights = np.ones(len(states.states)) if weights is None else weights
        first, second = states.states[pairs.first], states.states[pairs.second]
        own = weights[pairs.first]
        self.connected = largest_connected(count_pairs(first, second, own, n))
        number = np.full(n, -1, dtype=np.int64)
        number[self.connected] = np.arange(len(self.connected))
        kept: Bool = (number[first] >= 0) & (number[second] >= 0)
        self.n = len(self.connected)
        self.number, self.pairs = number, pairs
        self.first, self.second = number[first[kept]], number[second[kept]]
        self.weight, self.block = own[kept], pairs.block[kept]

    def counts(self, of_blocks: Float64 | None = None) -> Float64:
        """Return the counts between connected states (C, C), of blocks with weights (B,)."""
        weight = self.weight if of_blocks is None else self.weight * of_blocks[self.block]
        return count_pairs(self.first, self.second, weight, self.n)

    def model(self, of_blocks: Float64 | None = None) -> ReversibleModel:
        """Return the most likely reversible model of blocks with weights (B,)."""
        if self.n < 2:
            return ReversibleModel(np.ones((1, 1)), np.ones(1))
        return reversible_model(self.counts(of_blocks))

    def eigenvalues(self, k: int, of_blocks: Float64 | None = None) -> Float64:
        """Return the k largest eigenvalues below 1 of that model, (k,); NaN where there are fewer states."""
        return eigenvalues_of(self.model(of_blocks), k)


def count_pairs(first: Int64, second: Int64, weight: Float64, n: int) -> Float64:
    """Return the sums of weights of pairs by their first and second state, (n, n)."""
    found = np.bincount(first * n + second, weight, minlength=n * n)
    return np.asarray(found, dtype=np.float64).reshape(n, n)


def eigenvalues_of(model: ReversibleModel, k: int) -> Float64:
    """Return the k largest eigenvalues below 1 of a reversible model, (k,); NaN where there are fewer states."""
    root = np.sqrt(model.stationary)
    symmetric = root[:, None] * model.transition / root
    found = np.linalg.eigvalsh(0.5 * (symmetric + symmetric.T))[::-1][1 : k + 1]
    return np.concatenate([found, np.full(k - len(found), np.nan)])


def estimate_markov_model(
    latent: Float64,
    geometry: str,
    times: FrameTimes,
    lag: Lag,
    *,
    n_states: int | None = None,
    seed: int = 0,
    weights: Float64 | None = None,
) -> MarkovModel:
    """Estimate a reversible Markov model of latent points by maximum likelihood.

    Parameters
    ----------
    latent : ndarray, shape (T, ambient)
    geometry : str
        Signature of the latent space, as of `trajvae.free_energy`: states are clusters by its distances.
    times : FrameTimes
    lag : Lag
    n_states : int, optional
        By default half the root of the number of frames, from 5 to 200.
    seed : int
        Of the clusters.
    weights : ndarray, shape (T,), optional
        Of frames: a pair has the weight of its first frame.

    Raises
    ------
    OptionError
        A lag that fits into the trajectories fewer than twenty times, or no multiple of the time between frames; or a
        number of states that is out of its range.
    ReadError
        Too few frames, a lag in ps of frames without times, or trajectories with other times between frames.
    """
    check_lag(times, lag)
    states = find_states(latent, geometry, choose_number(len(latent), n_states), seed)
    blocks = make_blocks(latent, times, times.frames_of(lag))
    return markov_model(states, Transitions(states, BlockedPairs.of(times, lag, blocks), weights), times, lag)


def markov_model(states: States, transitions: Transitions, times: FrameTimes, lag: Lag) -> MarkovModel:
    """Return the model of all pairs, with the state of each frame.

    Raises
    ------
    ReadError
        No two states are connected both ways.
    """
    if transitions.n < 2:
        raise ReadError(
            f"no two of {len(states.centers)} states are connected both ways after a lag of {lag}: the frames never "
            "come back to where they were; give longer trajectories, a shorter lag or fewer states"
        )
    found, frames = transitions.model(), times.frames_of(lag)
    interval = times.interval()
    of_frames: Int64 = transitions.number[states.states]
    return MarkovModel(
        found.transition,
        found.stationary,
        of_frames,
        states.centers[transitions.connected],
        frames,
        float(frames if interval is None else frames * interval),
    )
