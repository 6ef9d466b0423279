"""Kinetics of a walk between two wells with a state between them, put together by hand, with its committor."""

from __future__ import annotations

import numpy as np

from trajvae.free_energies.coordinates import coordinates_of
from trajvae.kinetic_analysis.committor import find_committor
from trajvae.kinetic_analysis.first_hits import first_hits
from trajvae.kinetic_analysis.regions import RegionReader
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results import Calibration, ChapmanKolmogorov, Committor, Kinetics, MarkovModel, TimeScales, VampScore
from trajvae.typing import Float64, Int64

CHAIN = np.array([[0.9, 0.1, 0.0], [0.12, 0.7, 0.18], [0.0, 0.08, 0.92]])  # the middle state has 0.18 / 0.3 = 0.6
CENTERS = np.array([[-1.0, 0.0], [0.0, 0.5], [1.0, 0.0]])


def walk(transition: Float64, n: int, seed: int) -> Int64:
    """States of a chain that begins in state 0."""
    steps, draws = np.cumsum(transition, axis=1), np.random.default_rng(seed).random(n)
    out = [0]
    for u in draws[1:]:
        out.append(int(np.searchsorted(steps[out[-1]], u, side="right")))
    return np.minimum(np.array(out), len(transition) - 1)


def one_run(n: int) -> FrameTimes:
    """Frames of one trajectory, a ps apart."""
    return FrameTimes(np.zeros(n, dtype=np.int64), np.arange(n), np.arange(float(n)), ["traj.xtc"])


def positions_of(states: Int64) -> Float64:
    """A point near the centre of each state."""
    return CENTERS[states] + 0.1 * np.random.default_rng(2).normal(size=(len(states), 2))


def committor_of(states: Int64, source: str = "z0=..-0.5", target: str = "z0=0.5..") -> Committor:
    """The committor between the two wells, beside that on states that say nothing."""
    points = positions_of(states)
    reader = RegionReader(coordinates_of(points, "e2"), len(points))
    others = {"tica": np.random.default_rng(3).permutation(states)}
    return find_committor(
        states, one_run(len(states)), Lag(2.0, True), reader.read(source), reader.read(target), others=others
    )


def made_committor(states: Int64, q: float = 0.5) -> Committor:
    """A committor of the middle state that is known, with a calibration that is made up."""
    times = one_run(len(states))
    hits = first_hits(states == 0, states == 2, times)
    shares, counts = np.array([0.05, 0.5, 0.9]), np.array([10, 200, 30])
    return Committor(
        value=np.array([0.0, q, 1.0])[states],
        step=times.frame,
        time=np.arange(float(len(states))),
        source="0",
        target="z0=0.5..",
        inside=states - 1,
        outcome=hits.outcome,
        states=np.array([np.nan, q, np.nan]),
        lag_frames=2,
        excursions=int(hits.excursion.max()) + 1,
        passages=hits.passages(),
        explained={"latent": (0.3, 0.02), "tica": (0.35, 0.03)},
        calibration=Calibration(shares, np.array([0.02, 0.6, 0.85]), np.full(3, 0.04), counts, counts // 2),
    )


def made_kinetics(n: int = 2000, *, committor: bool = True) -> Kinetics:
    """All parts of kinetics, with the exact numbers of the chain where there are any."""
    states, times = walk(CHAIN, n, 1), one_run(n)
    lags = np.array([1.0, 2.0, 5.0])
    exact = -1.0 / np.log(np.sort(np.linalg.eigvals(CHAIN).real)[1::-1])
    value = np.tile(exact, (3, 1))
    value[2, 1] = np.nan
    scale = TimeScales(lags, value, 0.1 * value)
    stationary = np.array([1.2, 1.0, 2.25]) / 4.45
    predicted = np.stack([np.linalg.matrix_power(CHAIN, k).diagonal() for k in (1, 2, 4)])
    return Kinetics(
        scores=(VampScore("latent", 1.9, 0.03), VampScore("tica", 1.95, 0.04), VampScore("pca", 1.2, 0.05)),
        timescales={"markov": scale, "latent": scale, "tica": scale, "pca": scale},
        markov=MarkovModel(CHAIN, stationary, states, CENTERS, 2, 2.0),
        test=ChapmanKolmogorov(
            np.arange(3), stationary, np.array([2.0, 4.0, 8.0]), predicted, predicted + 0.01, np.full((3, 3), 0.02)
        ),
        processes=1,
        noise=0.1,
        latent=positions_of(states),
        geometry="e2",
        file=times.file,
        frame=times.frame,
        time=np.arange(float(n)),
        files=["traj.xtc"],
        committor=made_committor(states) if committor else None,
    )
