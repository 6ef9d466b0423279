"""A particle in two dimensions, slow along the narrow one and fast along the wide one, seen as ten atoms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import expm
from scipy.signal import lfilter

from trajvae.typing import Float64

ATOMS, HIDDEN = 10, 60
SLOW_TIME, FAST_TIME = 20.0, 1.0  # frames
WIDTH = 10.0  # of the fast direction over that of the slow one
NOISE = 0.02  # Å


class DoubleWell(NamedTuple):
    """Hold a trajectory and what is known of it.

    Attributes
    ----------
    positions : ndarray, shape (T, 10, 3)
        Å.
    slow, fast : ndarray, shape (T,)
    timescale : float
        Of the slowest process, in frames: that of the chain which the slow direction is drawn from.
    process : ndarray, shape (T,)
        Its eigenfunction at every frame.
    """

    positions: Float64
    slow: Float64
    fast: Float64
    timescale: float
    process: Float64


def double_well(frames: int, seed: int = 0, cells: int = 120) -> DoubleWell:
    """Draw a trajectory: a Markov chain on a grid of a double well of 3 kT, and an Ornstein-Uhlenbeck process."""
    generator = np.random.default_rng(seed)
    grid = np.linspace(-1.7, 1.7, cells)
    transition, timescale, process = _chain(grid)
    cumulative, drawn = transition.cumsum(axis=1), generator.random(frames)
    at, state = np.empty(frames, dtype=np.int64), cells // 4
    for t in range(frames):
        state = min(int(np.searchsorted(cumulative[state], drawn[t])), cells - 1)
        at[t] = state
    slow = grid[at]
    kept = np.exp(-1.0 / FAST_TIME)
    steps = generator.standard_normal(frames) * np.sqrt(1.0 - kept**2)
    fast = WIDTH * slow.std() * lfilter([1.0], [1.0, -kept], steps)
    positions = _embedded(slow, fast) + NOISE * generator.standard_normal((frames, ATOMS, 3))
    return DoubleWell(positions, slow, fast, timescale, process[at])


def _chain(grid: Float64) -> tuple[Float64, float, Float64]:
    """The transition matrix of a frame on a grid, the slowest time scale in frames, and its eigenfunction."""
    energy = 3.0 * (grid**2 - 1.0) ** 2  # kT
    up = np.exp(-0.5 * np.diff(energy))
    rates = np.diag(up, 1) + np.diag(1.0 / up, -1)
    rates -= np.diag(rates.sum(axis=1))
    root = np.exp(-0.5 * energy)
    values, vectors = np.linalg.eigh(0.5 * (s := rates * root[:, None] / root) + 0.5 * s.T)
    matrix = expm(rates / (-values[-2] * SLOW_TIME))
    return matrix, SLOW_TIME, vectors[:, -2] / root


def _embedded(slow: Float64, fast: Float64) -> Float64:
    """Positions by a random network, which is always the same."""
    generator = np.random.default_rng(42)
    inputs = np.stack([slow, fast], axis=1) / np.array([1.0, WIDTH])
    inward = generator.standard_normal((2, HIDDEN)) * np.array([[1.0 / WIDTH], [1.0]])
    hidden = np.tanh(inputs @ inward * 0.8 + 0.5 * generator.standard_normal(HIDDEN))
    spread = np.stack([np.arange(ATOMS) * 3.0, np.zeros(ATOMS), np.zeros(ATOMS)], axis=1)
    out = hidden @ generator.standard_normal((HIDDEN, 3 * ATOMS)) * (2.0 / np.sqrt(HIDDEN))
    return np.asarray(out.reshape(-1, ATOMS, 3) + spread)
