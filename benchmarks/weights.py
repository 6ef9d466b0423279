"""Frame weights against exact answers: `python benchmarks/weights.py` (about two minutes).

A particle in the Müller-Brown potential [1] is drawn from the density under a known bias, which is written as a COLVAR
file of another stride and read again; the free energy of the weighted frames stands beside the exact one. Then a
molecule whose first bond has two lengths: models of its biased frames with weights, of the same without, and of as many
unbiased frames, beside the exact density. At last the time that a long COLVAR file takes.

[1] K. Müller, L. D. Brown, Theor. Chim. Acta 53, 75 (1979).
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from trajvae import Model, TrainConfig
from trajvae.errors import TrajvaeWarning
from trajvae.frame_weights import read_weights
from trajvae.molecule.histogram_divergence import jensen_shannon
from trajvae.readers.sources import open_source
from trajvae.typing import Float64

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import weighted_chain as chain

KT = chain.KT
FRAMES, STRIDE = 400_000, 5
HEIGHT, CELLS = 0.12, 30  # kJ/mol a unit of the published potential; cells along each axis


def muller_brown(x: Float64, y: Float64) -> Float64:
    """The potential in kJ/mol."""
    rows = zip(
        (-200.0, -100.0, -170.0, 15.0), (-1.0, -1.0, -6.5, 0.7), (0.0, 0.0, 11.0, 0.6), (-10.0, -10.0, -6.5, 0.7),
        (1.0, 0.0, -0.5, -1.0), (0.0, 0.5, 1.5, 1.0), strict=True,
    )  # fmt: skip
    terms = (h * np.exp(a * (x - u) ** 2 + b * (x - u) * (y - v) + c * (y - v) ** 2) for h, a, b, c, u, v in rows)
    return np.asarray(HEIGHT * sum(terms))


def free_energy(p: Float64) -> Float64:
    """Of probabilities of cells, in kJ/mol, the lowest 0."""
    with np.errstate(divide="ignore"):
        f = -KT * np.log(p)
    return np.asarray(f - f.min())


def read_back(folder: Path, values: Float64) -> Float64:
    """Weights that are read of a COLVAR file with more rows than frames."""
    x = np.zeros((len(values), 2, 3), dtype=np.float32)
    x[:, 1, 0] = 1.5
    clock = 3.0 + np.arange(len(values))
    np.savez(folder / "traj.npz", positions=x, time=clock)
    rows = np.zeros((STRIDE * len(values), 2))
    rows[:, 0] = 3.0 + np.arange(len(rows)) / STRIDE
    rows[::STRIDE, 1] = values
    with (folder / "COLVAR").open("w") as file:
        file.write("#! FIELDS time metad.bias\n")
        np.savetxt(file, rows, fmt="%.6f")
    since = time.perf_counter()
    found = read_weights(folder / "COLVAR", open_source(str(folder / "traj.npz")), 300.0)
    print(f"  {len(rows)} rows read and matched to {len(found)} frames in {time.perf_counter() - since:.2f} s")
    print(f"  worth {found.effective_size:.0f} frames of equal weight")
    return found.values


def two_dimensions(folder: Path) -> None:
    """The Müller-Brown potential under three quarters of itself upside down."""
    fine = 20  # points of the grid in a cell, along each axis
    xs, ys = ((np.arange(CELLS * fine) + 0.5) / (CELLS * fine) * (b - a) + a for a, b in ((-1.6, 1.1), (-0.4, 2.0)))
    energy = muller_brown(*np.meshgrid(xs, ys, indexing="ij"))
    energy -= energy.min()
    bias = -0.75 * np.minimum(energy, 25.0)
    p, q = (np.exp(-e / KT) / np.exp(-e / KT).sum() for e in (energy, energy + bias))
    drawn = np.random.default_rng(0).choice(p.size, size=FRAMES, p=q.ravel())
    w = read_back(folder, bias.ravel()[drawn])
    cell = (drawn // (CELLS * fine) // fine) * CELLS + drawn % (CELLS * fine) // fine
    exact = free_energy(p.reshape(CELLS, fine, CELLS, fine).sum(axis=(1, 3)).ravel())
    low = exact < 15.0
    for name, counts in (("weighted", np.bincount(cell, w, CELLS**2)), ("as drawn", np.bincount(cell, None, CELLS**2))):
        found = free_energy(counts / counts.sum())
        shift = float(np.average((found - exact)[low], weights=np.exp(-exact[low] / KT)))
        off = np.abs(found - exact - shift)[low]
        print(f"  {name}: largest error {off.max():.2f} kJ/mol, mean {off.mean():.2f}, of {low.sum()} cells below 15")


def models() -> None:
    """Models of a molecule with two bond lengths."""
    x, v = chain.biased_chain(6000)
    w = np.exp((v - v.max()) / KT)
    p = np.exp(-chain.energy(chain.GRID) / KT)
    plain = chain.biased_chain(6000, seed=1)[0]
    plain[:, 1, 0] = np.random.default_rng(2).choice(chain.GRID, size=6000, p=p / p.sum())
    plain[:, 2, 0] += plain[:, 1, 0] - chain.biased_chain(6000, seed=1)[0][:, 1, 0]
    edges = np.linspace(1.5, 4.5, 31)
    exact = chain.exact(edges)
    config = TrainConfig(latent_dim=2, likelihood="full", epochs=20, seed=0)
    for name, frames, weights in (("weighted", x, w), ("without weights", x, None), ("unbiased frames", plain, None)):
        model = Model.train(frames, config, weights=weights, device="cpu")
        drawn = model.generate(20_000, seed=0, sampler="aggregate").positions
        length = np.clip(np.linalg.norm(drawn[:, 1] - drawn[:, 0], axis=1), 1.5, 4.5)
        jsd = float(jensen_shannon(np.histogram(length, edges)[0] / len(length), exact))
        print(
            f"  {name}: held-out ELBO {model.figures.elbo:.3f} nats, mean bond of draws {length.mean():.3f} Å (exact "
            f"{chain.exact_mean():.3f}), divergence from the exact density {jsd:.4f} bits"
        )


def main() -> None:
    """Print all figures."""
    warnings.simplefilter("ignore", TrajvaeWarning)
    with tempfile.TemporaryDirectory() as folder:
        print("Müller-Brown potential, biased by a known potential:")
        two_dimensions(Path(folder))
    print("A molecule with two bond lengths, biased by a known potential:")
    models()


if __name__ == "__main__":
    main()
