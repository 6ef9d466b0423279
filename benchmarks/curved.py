"""Held-out ELBO of the curved backends beside the Euclidean one of equal dimension: `python benchmarks/curved.py`.

Five seeds each, otherwise default options, on adenylate kinase (MDAnalysisTests) and alanine dipeptide. Two processes,
about half an hour on two cores.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from MDAnalysisTests.datafiles import DCD, PSF

from trajvae import Model, Reading, TrainConfig

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
SOURCES = {
    "AdK": (DCD, Reading(PSF, "name CA")),
    "alanine dipeptide": (str(EXAMPLES / "alanine_dipeptide.xtc"), Reading(EXAMPLES / "alanine_dipeptide.pdb")),
}
BACKENDS = {
    "euclidean 2": {"backend": "euclidean", "latent_dim": 2},
    "hyperspherical 2": {"backend": "hyperspherical", "latent_dim": 2},
    "euclidean 4": {"backend": "euclidean", "latent_dim": 4},
    "product s1,h2,e1": {"backend": "product", "signature": "s1,h2,e1"},
}
PAIRS = (("hyperspherical 2", "euclidean 2"), ("product s1,h2,e1", "euclidean 4"))
SEEDS = range(5)
WITHIN = 0.05  # nats a degree of freedom


def figures(job: tuple[str, str, int]) -> tuple[float, float, int]:
    """Held-out ELBO, RMSD and number of features of one training."""
    source, backend, seed = job
    warnings.simplefilter("ignore")
    trajectory, reading = SOURCES[source]
    model = Model.train(trajectory, TrainConfig(seed=seed, **BACKENDS[backend]), reading=reading)
    return model.figures["elbo"], model.figures["rmsd"], model.figures["features"]


def verdict(curved: list[float], flat: list[float], features: int) -> tuple[str, bool]:
    """The difference of means beside what it may be."""
    difference = statistics.mean(curved) - statistics.mean(flat)
    error = math.sqrt((statistics.variance(curved) + statistics.variance(flat)) / len(SEEDS))
    allowed = max(WITHIN * features, 2.0 * error)
    text = f"{difference:+.2f} nats, standard error {error:.2f}, {difference / features:+.3f} a degree of freedom"
    return text, difference >= -allowed


def main() -> None:
    """Print a table of means and spreads, and the verdicts."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    jobs = [(source, backend, seed) for source in SOURCES for backend in BACKENDS for seed in SEEDS]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = dict(zip(jobs, pool.map(figures, jobs), strict=True))
    print("| trajectory | backend | held-out ELBO, nats a frame: mean, range | held-out RMSD, Å |\n|---|---|---|---|")
    for source in SOURCES:
        for backend in BACKENDS:
            elbo = [found[source, backend, seed][0] for seed in SEEDS]
            rmsd = statistics.mean(found[source, backend, seed][1] for seed in SEEDS)
            spread = f"{statistics.mean(elbo):.2f}, {min(elbo):.2f} to {max(elbo):.2f}"
            print(f"| {source} | {backend} | {spread} | {rmsd:.3f} |")
    good = True
    for source in SOURCES:
        for curved, flat in PAIRS:
            elbos = [[found[source, name, seed][0] for seed in SEEDS] for name in (curved, flat)]
            text, met = verdict(*elbos, found[source, flat, 0][2])
            print(f"{'ok  ' if met else 'MISS'}  {source}: {curved} - {flat} = {text}")
            good &= met
    sys.exit(not good)


if __name__ == "__main__":
    main()
