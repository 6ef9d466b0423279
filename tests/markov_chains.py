"""Trajectories of a Markov chain of three states, drawn as positions, whose kinetics are known."""

from __future__ import annotations

import numpy as np

from trajvae.lagged_pairs import FrameTimes
from trajvae.typing import Float64, Int64

TRANSITION = np.array([[0.97, 0.03, 0.0], [0.02, 0.95, 0.03], [0.0, 0.05, 0.95]])
PLACES = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]])
EIGENVALUES = np.sort(np.linalg.eigvals(TRANSITION).real)[::-1][1:]
TIME_SCALES = -1.0 / np.log(EIGENVALUES)  # frames


def chain(n: int, seed: int, start: int = 0) -> Int64:
    """Return n states of the chain."""
    reached, numbers = np.cumsum(TRANSITION, axis=1), np.random.default_rng(seed).random(n)
    out = np.empty(n, dtype=np.int64)
    state = start
    for t, number in enumerate(numbers):
        out[t] = state = int(np.searchsorted(reached[state], number))
    return out


def places(states: Int64, seed: int, spread: float = 0.3) -> Float64:
    """Return points (T, 2) about the place of each state."""
    return PLACES[states] + spread * np.random.default_rng(seed + 10_000).normal(size=(len(states), 2))


def frame_times(*lengths: int, interval: float | None = 2.0) -> FrameTimes:
    """Return the times of trajectories of some lengths, every so many ps."""
    file = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(n) for n in lengths])
    names = [f"run{k}.xtc" for k in range(len(lengths))]
    return FrameTimes(file, frame, None if interval is None else frame * interval, names)
