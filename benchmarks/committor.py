"""Committors of chains that are known: `python benchmarks/committor.py [REPEATS]`, two minutes on one core for 100.

A chain of three states is drawn as points, and the committor of the middle state is estimated at several lags, from
trajectories that stop at their first visit and from the transition matrix of the lag alone. Then the share of the
variance of outcomes that is explained, on a walk along seven sites, beside what the exact committor explains.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from trajvae.kinetic_analysis.committor import find_committor
from trajvae.kinetic_analysis.committor_equations import committor_of_states
from trajvae.kinetic_analysis.regions import Region
from trajvae.kinetic_analysis.states import find_states
from trajvae.lagged_pairs import Lag
from trajvae.typing import Float64, Int64

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from made_kinetics import CHAIN, one_run, positions_of

FRAMES, STATES, SITES = 50_000, 20, 7
LAGS = (1, 2, 5, 20)


def walks(transition: Float64, repeats: int, seed: int) -> Int64:
    """States of chains that begin in state 0, (repeats, frames)."""
    steps, random = np.cumsum(transition, axis=1), np.random.default_rng(seed)
    out = np.zeros((repeats, FRAMES), dtype=np.int64)
    for k in range(1, FRAMES):
        draws = random.random((repeats, 1))
        out[:, k] = np.minimum((draws > steps[out[:, k - 1]]).sum(axis=1), len(transition) - 1)
    return out


def three_states(repeats: int) -> None:
    """Print a line a lag: committors of the middle state, and errors in share of it beyond 0.03."""
    exact = float(committor_of_states(CHAIN, np.array([0]), np.array([2]))[1])
    print(f"{repeats} runs of {FRAMES} frames of a chain of three states; committor of the middle state {exact:.3f}")
    each = np.array([_at_all_lags(states) for states in walks(CHAIN, repeats, 0)])  # (repeats, lags, 2)
    found, plain = each.transpose(2, 1, 0)
    for lag, own, other in zip(LAGS, found, plain, strict=True):
        print(
            f"lag {lag:2d}: mean {own.mean():.3f}, deviation {own.std(ddof=1):.3f}, largest error "
            f"{np.abs(own - exact).max():.3f}; from the transition matrix of the lag {other.mean():.3f}",
            flush=True,
        )


def _at_all_lags(states: Int64) -> list[tuple[float, float]]:
    """The committor of the middle state at each lag, from stopped trajectories and from the lag alone."""
    points, times = positions_of(states), one_run(FRAMES)
    clusters = find_states(points, "e2", STATES, 0).states
    a, b = Region("a", points[:, 0] < -0.5), Region("b", points[:, 0] > 0.5)
    out = []
    for lag in LAGS:
        value = find_committor(clusters, times, Lag(float(lag), True), a, b).value
        counts = np.zeros((3, 3))
        np.add.at(counts, (states[:-lag], states[lag:]), 1.0)
        chain = counts / counts.sum(axis=1, keepdims=True)
        plain = committor_of_states(chain, np.array([0]), np.array([2]))[1]
        out.append((float(np.nanmean(value[states == 1])), float(plain)))
    return out


def explained(repeats: int) -> None:
    """Print the share that is explained beside the exact one, and whether errors are those of the repeats."""
    step = np.full(SITES - 1, 0.25)
    chain = np.diag(step, 1) + np.diag(step, -1)
    chain += np.diag(1.0 - chain.sum(axis=1))
    times, q, inner = one_run(FRAMES), np.arange(SITES) / (SITES - 1.0), np.arange(1, SITES - 1)
    exact = q[inner].var() / (q[inner].mean() * (1.0 - q[inner].mean()))  # sites are visited alike
    found = []
    for states in walks(chain, repeats, 1):
        a, b = Region("a", states == 0), Region("b", states == SITES - 1)
        found.append(find_committor(states, times, Lag(1.0, True), a, b).explained["latent"])
    value, error = np.array(found).T
    z = (value - exact) / error
    print(
        f"share explained on {SITES} sites: exact {exact:.3f}, mean {value.mean():.3f}, mean error {error.mean():.3f}, "
        f"within two errors {100.0 * (np.abs(z) < 2.0).mean():.0f} %, deviation of z {z.std(ddof=1):.2f}"
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    three_states(count)
    explained(count)
