"""When training stops, and what its figures are worth: `python benchmarks/stopping.py`.

Adenylate kinase's 98 frames with five seeds: the epoch that was kept beside the best one looked at, and how far the
held-out ELBO depends on the seed. Ten trainings on 98 and on 60 frames of a known distribution of eight atoms: the ELBO
of 4000 fresh frames, and by how much the reported one differs from it. A heptapeptide's 100 frames, by default and in
internal coordinates, beside trainings of 60, 150 and 600 epochs. About ten minutes on two cores.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae import Model, Reading, TrainConfig
from trajvae.typing import Float64

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
FRESH, TRAININGS, SPREAD = 4000, 10, 15.0


def known(n: int, seed: int) -> Float64:
    """Frames (n, 8, 3) of eight atoms: a coil that bends in two independent modes, and noise of 0.1 Å."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 2.5, 8)
    coil = np.stack([3.0 * t, 3.0 * np.sin(2.0 * t), 3.0 * np.cos(2.0 * t)], axis=1)
    z = rng.normal(size=(n, 2))
    x = np.repeat(coil[None], n, axis=0)
    x[:, :, 0] += 0.8 * z[:, :1] * np.sin(t) + 0.3 * z[:, :1] ** 2 * np.cos(t)
    x[:, :, 1] += 0.6 * z[:, 1:] * np.cos(1.5 * t)
    x[:, :, 2] += 0.4 * z[:, :1] * z[:, 1:] * np.sin(2.0 * t)
    return x + 0.1 * rng.normal(size=x.shape)


def trained(source: Any, reading: Reading | None = None, **options: Any) -> Model:
    """A model, without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Model.train(source, TrainConfig(**options), reading=reading)


def fresh_elbo(model: Model, seed: int) -> float:
    """Mean ELBO of frames of the known distribution that the training never had."""
    return float(model.pipeline.reconstruct(known(FRESH, 1000 + seed).astype(np.float32))[1].elbo.mean())


def error(values: list[float]) -> float:
    """The standard error of a mean."""
    return statistics.stdev(values) / math.sqrt(len(values))


def kinase() -> Iterator[str]:
    """Five seeds."""
    elbos = []
    for seed in range(5):
        model = trained(DCD, Reading(PSF, "name CA"), seed=seed)
        looks = model.record.history["held_out_elbo"]
        best = int(model.record.history["epoch"][int(np.argmax(looks))])
        elbos.append(model.figures["elbo"])
        kept = model.figures.get("kept_epoch")
        text = f"ELBO {elbos[-1]:.1f}, RMSD {model.figures['rmsd']:.3f}, kept {kept}, best {best}"
        yield f"AdK C-alpha, seed {seed}: {text}"
    spread = statistics.stdev(elbos)
    yield f"AdK C-alpha: standard deviation {spread:.1f} nats (<= {SPREAD}) {'ok' if spread <= SPREAD else 'MISS'}"


def of_known(n: int) -> Iterator[str]:
    """Ten trainings on as many sets of n frames."""
    found, off = [], []
    for seed in range(TRAININGS):
        model = trained(known(n, seed), seed=seed)
        found.append(fresh_elbo(model, seed))
        off.append(model.figures["elbo"] - found[-1])
    yield f"{n} known frames: fresh ELBO {statistics.mean(found):.2f} +- {error(found):.2f}"
    difference, allowed = statistics.mean(off), 2.0 * error(off)
    good = abs(difference) <= allowed
    yield f"{n} known frames: reported - fresh {difference:+.2f} (2 s.e. {allowed:.2f}) {'ok' if good else 'MISS'}"


def peptide(features: str) -> Iterator[str]:
    """A hundred frames beside shorter trainings."""
    reading = Reading(EXAMPLES / "peptide.pdb", step=120)
    found = {}
    for epochs in (None, 60, 150, 600):
        model = trained(str(EXAMPLES / "peptide.xtc"), reading, features=features, epochs=epochs)
        found[epochs] = model.figures["elbo_shape"]
        f = model.figures
        text = f"ELBO {found[epochs]:.1f}, RMSD {f['rmsd']:.3f}, PCA {f['pca_rmsd']:.3f}"
        yield f"peptide, {features}, epochs {epochs}: {text}"
    best = max(value for epochs, value in found.items() if epochs)
    yield f"peptide, {features}: {found[None]:.1f} against {best:.1f} - 5 {'ok' if found[None] >= best - 5 else 'MISS'}"


def main() -> None:
    """Print all rows; exit 1 where a bound is missed."""
    torch.set_num_threads(1)
    missed = False
    for rows in (kinase(), of_known(98), of_known(60), peptide("cartesian"), peptide("auto")):
        for row in rows:
            print(row, flush=True)
            missed |= row.endswith("MISS")
    sys.exit(missed)


if __name__ == "__main__":
    main()
