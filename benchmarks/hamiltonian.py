"""The Riemannian Hamiltonian VAE beside the Euclidean one: `python benchmarks/hamiltonian.py`.

Importance-weighted bounds on held-out frames of the bead polymer in the plane and of alanine dipeptide, with equal
networks, epochs and seeds; and 100 epochs with default options on noisy points of a circle and on the polymer, five
seeds: whether all numbers stay finite, the largest residual of the implicit steps, the share of rows that were cut, and
the inverse metric at the data (its geometric mean). Two processes, about half an hour on two cores.
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
from typing import Any

import numpy as np
import torch

from trajvae import Model, Reading, TrainConfig
from trajvae.readers import open_source

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
SOURCES = {
    "bead polymer": (str(EXAMPLES / "chain2d.npz"), Reading()),
    "alanine dipeptide": (str(EXAMPLES / "alanine_dipeptide.xtc"), Reading(EXAMPLES / "alanine_dipeptide.pdb")),
}
DRAWS, FRAMES = 200, 300
EVIDENCE_SEEDS, STABLE_SEEDS, EPOCHS = range(3), range(5), 100


def circle() -> np.ndarray[Any, Any]:
    """600 points of a circle, mapped linearly to four atoms, with noise of 0.05 Å."""
    random = np.random.default_rng(0)
    angle = random.uniform(0.0, 2.0 * np.pi, 600)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ random.normal(size=(2, 12))
    return (points + 0.05 * random.normal(size=points.shape)).reshape(600, 4, 3)


def evidence(job: tuple[str, str, int]) -> tuple[float, float, float]:
    """Importance-weighted bound, its standard error over frames, and ELBO, of held-out frames."""
    source, backend, seed = job
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    trajectory, reading = SOURCES[source]
    model = Model.train(trajectory, TrainConfig(backend=backend, latent_dim=2, seed=seed), reading=reading)
    pipeline, held = model.pipeline, np.flatnonzero(model.record.held_out)
    some = held[np.unique(np.linspace(0, len(held) - 1, min(FRAMES, len(held))).astype(int))]
    frames = open_source(trajectory, reading).read().positions[some]
    exact = pipeline.targets(pipeline.alignment.apply(frames))
    inputs, targets = pipeline.vae.features.inputs(exact).float(), exact.float()
    with torch.no_grad():
        weights = pipeline.vae.log_weights(inputs, targets, DRAWS, torch.Generator().manual_seed(seed)).double()
    bound = torch.logsumexp(weights, dim=1) - math.log(DRAWS)
    return float(bound.mean()), float(bound.std()) / len(bound) ** 0.5, float(weights.mean())


def stability(job: tuple[str, int]) -> dict[str, float]:
    """Held-out ELBO and diagnostics after 100 epochs."""
    source, seed = job
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    config = TrainConfig(backend="rhvae", latent_dim=2, seed=seed, epochs=EPOCHS)
    if source == "circle":
        model = Model.train(circle(), TrainConfig(**{**config.to_dict(), "align": "none"}))
    else:
        model = Model.train(SOURCES[source][0], config, reading=SOURCES[source][1])
    finite = all(bool(x.isfinite().all()) for x in model.pipeline.vae.state_dict().values())
    history = np.isfinite(model.record.history["train_elbo"]).all()
    return {"elbo": model.figures["elbo"], "finite": finite and bool(history), **model.figures["diagnostics"]}


def compare(source: str, found: dict[tuple[str, str, int], tuple[float, float, float]]) -> bool:
    """Bounds of both backends over the seeds, and whether the flow's is not below."""
    means = {}
    for backend in ("euclidean", "rhvae"):
        bounds, errors, elbos = zip(*(found[source, backend, s] for s in EVIDENCE_SEEDS), strict=True)
        error = statistics.stdev(bounds) / math.sqrt(len(bounds))
        means[backend] = statistics.mean(bounds), error
        text = f"{means[backend][0]:.3f} +- {error:.3f} | {statistics.mean(errors):.3f} | {statistics.mean(elbos):.3f}"
        print(f"| {source} | {backend} | {text} |")
    difference = means["rhvae"][0] - means["euclidean"][0]
    return difference >= -2.0 * math.hypot(means["rhvae"][1], means["euclidean"][1])


def main() -> None:
    """Print both tables and the verdicts."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    first = [(source, b, seed) for source in SOURCES for b in ("rhvae", "euclidean") for seed in EVIDENCE_SEEDS]
    second = [(source, seed) for source in ("circle", "bead polymer") for seed in STABLE_SEEDS]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        stable = pool.map(stability, second)
        bounds = pool.map(evidence, first)
        rows, found = dict(zip(second, stable, strict=True)), dict(zip(first, bounds, strict=True))
    print("| data | seed | ELBO | finite | residual | cut | step | metric at data |\n|---|---|---|---|---|---|---|---|")
    for (source, seed), r in rows.items():
        numbers = f"{r['elbo']:.3f} | {bool(r['finite'])} | {r['residual']:.0e} | {100 * r['cut']:.2f} %"
        print(f"| {source} | {seed} | {numbers} | {r['step']:.3f} | {r['metric_at_data']:.1e} |")
    print(f"\n| data | backend | IWAE bound, {DRAWS} draws, over seeds | over frames | ELBO |\n|---|---|---|---|---|")
    verdicts = {f"{source}: bound not below the Euclidean one": compare(source, found) for source in SOURCES}
    verdicts["all numbers finite"] = all(bool(r["finite"]) for r in rows.values())
    for name, good in verdicts.items():
        print(f"{'ok  ' if good else 'MISS'}  {name}")
    sys.exit(not all(verdicts.values()))


if __name__ == "__main__":
    main()
