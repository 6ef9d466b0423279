"""Paths through adenylate kinase's transition, and the cost of metrics: `python benchmarks/paths.py`.

Needs MDAnalysisTests. Takes about two minutes on one core.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae import Model, Reading, TrainConfig
from trajvae.geometry.metric import CentroidMetric
from trajvae.typing import Floats

Row = tuple[str, str, str, bool]


def neighbours(x: Floats) -> Floats:
    """Distances of neighbouring C-alphas, (T, N - 1)."""
    return np.linalg.norm(np.diff(x, axis=1), axis=-1)


def transition(seed: int) -> Iterator[Row]:
    """From the first frame of the DIMS transition to the last, default options."""
    model = Model.train(DCD, TrainConfig(seed=seed), reading=Reading(PSF, "name CA"))
    begun = time.perf_counter()
    way = model.path(0, 97)
    seconds = time.perf_counter() - begun
    known, mine = neighbours(model.record.sample.astype(float)), neighbours(way.positions)
    excess = float(np.maximum(known.min(axis=0) - mine, mine - known.max(axis=0)).max())
    f = way.figures
    name = f"AdK, seed {seed}"
    lengths = f"{f['length']:.1f} and {f['straight_length']:.1f} ({seconds:.0f} s)"
    yield f"{name}, length and straight length", lengths, "<=", f["length"] <= f["straight_length"]
    yield f"{name}, C-alpha neighbours beyond their range", f"{excess:.2f} Å", "<= 0.25 Å", excess <= 0.25
    yield f"{name}, RMSD to the nearest frame", f"{f['nearest_rmsd']:.2f} Å", "< 0.6 Å", f["nearest_rmsd"] < 0.6


def centroids() -> Iterator[Row]:
    """Time of a metric's tensor and gradients at 256 points, two latent dimensions."""
    torch.set_num_threads(1)
    z, momentum = torch.randn(256, 2), torch.randn(256, 2)
    times = {}
    for n in (100, 1000, 10_000):
        metric = CentroidMetric(torch.randn(n, 2), 0.1 * torch.randn(n, 2, 2), 0.5, 0.01)
        metric.gradients(z, momentum)
        begun = time.perf_counter()
        for _ in range(5):
            metric.gradients(z, momentum)
        times[n] = (time.perf_counter() - begun) / 5
    text = ", ".join(f"{n}: {1e3 * t:.1f} ms" for n, t in times.items())
    growth = times[10_000] / times[1000]
    yield "metric and gradients by number of centroids", text, "1000 to 10 000 at most 15 x", growth <= 15.0


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    good = True
    print("| what | measured | bound | |\n|---|---|---|---|")
    for rows in (*(transition(seed) for seed in range(3)), centroids()):
        for name, found, bound, met in rows:
            print(f"| {name} | {found} | {bound} | {'met' if met else 'NOT MET'} |", flush=True)
            good &= met
    sys.exit(not good)


if __name__ == "__main__":
    main()
