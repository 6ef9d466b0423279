"""Kinetics of a chain that is known: `python benchmarks/kinetics.py [REPEATS]`, five minutes on one core for 100.

A chain of three states is drawn as points about three places, in the plane, on a circle, on a sphere and in the
hyperbolic plane. Implied time scales of the Markov model on clusters of the points beside the exact ones: how often
they lie within two standard errors, and whether z-scores have a standard deviation of one. The same of TICA and of the
VAMP-2 score, of points at the places themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from trajvae.kinetic_analysis.scores import score
from trajvae.kinetic_analysis.states import choose_number, find_states
from trajvae.kinetic_analysis.timescales import markov_timescales, tica_timescales
from trajvae.lagged_pairs import Lag
from trajvae.results import TimeScales
from trajvae.typing import Float64

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from markov_chains import EIGENVALUES, PLACES, TIME_SCALES, chain, frame_times, latent_points

FRAMES, INTERVAL = 5000, 2.0
LAG = Lag.parse("2")
SPACES = ("e2", "s1", "s2", "h2")


def row(name: str, found: Float64, exact: Float64, error: Float64) -> None:
    """Print what repeats (R, K) of estimates say beside exact values (K,)."""
    z = (found - exact) / error
    cells = [
        f"{e:8.3f} {m:8.3f} {s:8.3f} {100.0 * w:6.0f} % {b:6.2f} {d:6.2f}"
        for e, m, s, w, b, d in zip(
            exact, found.mean(0), error.mean(0), (np.abs(z) < 2.0).mean(0), z.mean(0), z.std(0, ddof=1), strict=True
        )
    ]
    print(f"{name:24s}", "   ".join(cells), flush=True)


def main(repeats: int) -> None:
    """Print a line a quantity: exact, mean, mean error, share within two errors, mean and deviation of z."""
    times = frame_times(FRAMES, interval=INTERVAL)
    print(f"{repeats} repeats of {FRAMES} frames; exact, mean, mean error, within two, mean z, deviation of z")
    exact = INTERVAL * TIME_SCALES
    for space in SPACES:
        scales = []
        for k in range(repeats):
            points = latent_points(chain(FRAMES, k), space, k)
            states = find_states(points, space, choose_number(FRAMES), k)
            scales.append(markov_timescales(states, times, [LAG], n=2))
        row(f"time scales, {space}", *_stacked(scales, exact))
    own = [tica_timescales(PLACES[chain(FRAMES, k)], times, [LAG]) for k in range(repeats)]
    row("time scales, TICA", *_stacked(own, exact))
    found = [score("states", PLACES[chain(FRAMES, k)], times, LAG) for k in range(repeats)]
    vamp2, error = (np.array([[getattr(s, name)] for s in found]) for name in ("vamp2", "error"))
    row("VAMP-2 of the states", vamp2, 1.0 + np.array([(EIGENVALUES**4).sum()]), error)


def _stacked(scales: list[TimeScales], exact: Float64) -> tuple[Float64, Float64, Float64]:
    return np.stack([s.value[0] for s in scales]), exact, np.stack([s.error[0] for s in scales])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
