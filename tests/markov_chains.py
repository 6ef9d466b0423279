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


def latent_points(states: Int64, geometry: str, seed: int) -> Float64:
    """Return points (T, ambient) about three places of a latent space: the plane, a circle, a sphere, and others.

    On the circle they lie on both sides of where its angle is cut.
    """
    noise = np.random.default_rng(seed + 10_000).normal(size=(len(states), 3))
    if geometry == "e2":
        return PLACES[states] + 0.3 * noise[:, :2]
    if geometry == "s2":
        ball = np.eye(3)[states] + 0.1 * noise
        return np.asarray(ball / np.linalg.norm(ball, axis=1, keepdims=True))
    if geometry == "h2":
        flat = 2.0 * PLACES[states] + 0.1 * noise[:, :2]
        return np.concatenate([np.sqrt(1.0 + (flat**2).sum(axis=1, keepdims=True)), flat], axis=1)
    angle = np.array([-0.3, 2.9, 5.0])[states] + 0.1 * noise[:, 0]
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return circle if geometry == "s1" else np.concatenate([circle, 0.2 * noise[:, 1:2]], axis=1)


def frame_times(*lengths: int, interval: float | None = 2.0) -> FrameTimes:
    """Return the times of trajectories of some lengths, every so many ps."""
    file = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(n) for n in lengths])
    names = [f"run{k}.xtc" for k in range(len(lengths))]
    return FrameTimes(file, frame, None if interval is None else frame * interval, names)
