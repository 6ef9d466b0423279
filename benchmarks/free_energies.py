"""Free energies beside known densities: `python benchmarks/free_energies.py [REPEATS]`, half an hour on one core.

Points of known densities on six spaces, drawn independently and by Metropolis chains: what share of the cells lies
within three standard errors of the truth, whether z-scores have a standard deviation of one, and how often two basins
are found. The Müller-Brown potential, biased and weighted back, against the exact free energy.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import trajvae
from trajvae.errors import TrajvaeWarning
from trajvae.frame_weights.table import GAS_CONSTANT
from trajvae.free_energies.bandwidth import choose_bandwidth
from trajvae.free_energies.basins import find_basins
from trajvae.free_energies.blocks import make_blocks
from trajvae.free_energies.coordinates import coordinates_of
from trajvae.free_energies.density import estimate
from trajvae.free_energies.estimate import maps_of, vectors_of
from trajvae.typing import Float64

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from known_densities import KNOWN, Known, biased_mueller_brown, mueller_brown

TEMPERATURE = 300.0
BINS = {"line": 40, "circle": 40}
INDEPENDENT, CORRELATED = 4000, 20_000  # frames
OFTEN = 0.5  # of the repeats: cells that have frames in as many are looked at one by one


def scores(known: Known, latent: Float64, bins: int, seed: int) -> tuple[Float64, int, float]:
    """z-scores of all cells, NaN without frames; the number of basins; and the inefficiency."""
    found = coordinates_of(latent, known.geometry)
    part, rows = maps_of(found)[0], np.arange(len(latent))
    weights = np.ones(len(latent))
    blocks = make_blocks(vectors_of(found), np.zeros_like(rows), rows)
    counts = blocks.resampled(200, np.random.default_rng(seed))
    cells = part.cells(bins)
    density = estimate(part, cells, weights, blocks, choose_bandwidth(part, weights, blocks), counts)
    seen = np.bincount(density.cell, minlength=len(density.energy)) > 0
    with np.errstate(all="ignore"):  # cells where the density is too small for floats have no frames
        z = (density.energy + np.log(known.density(centres(part.name, cells.centres)))) / density.error
    count = len(find_basins(density, part.neighbours(cells), weights).minimum)
    return np.where(seen & np.isfinite(density.energy), z, np.nan), count, blocks.inefficiency


def centres(name: str, places: Float64) -> Float64:
    """Points of the space at the centres of cells."""
    if not name.startswith("theta"):
        return places
    return np.stack([np.cos(places), np.sin(places)], axis=-1).reshape(len(places), -1)


def row(name: str, latents: Float64, kind: str) -> None:
    """Print what many repeats say of one space."""
    known, z, basins, inefficiency = KNOWN[name], [], [], []
    for seed, latent in enumerate(latents):
        found = scores(known, latent, BINS.get(name, 25), seed)
        z.append(found[0])
        basins.append(found[1])
        inefficiency.append(found[2])
    every = np.concatenate([x[np.isfinite(x)] for x in z])
    within, spread = float(np.mean(np.abs(every) < 3.0)), float(every.std())
    often = np.isfinite(np.stack(z)).mean(axis=0) >= OFTEN
    alone = np.nanstd(np.stack(z)[:, often], axis=0)
    low, high = np.quantile(alone, [0.05, 0.95])
    met = within >= 0.95 and 0.8 <= spread <= 1.25
    two = np.mean(np.array(basins) == 2)
    print(
        f"| {name} | {kind} | {np.mean(inefficiency):.1f} | {100.0 * within:.1f} % | {spread:.2f} "
        f"| {every.mean():+.2f} | {low:.2f} to {high:.2f} | {100.0 * two:.0f} % | {'met' if met else 'MISSED'} |",
        flush=True,
    )


def mueller_brown_row(seed: int) -> None:
    """Print how far a reweighted free energy is from the exact one."""
    kt = GAS_CONSTANT * TEMPERATURE
    drawn = biased_mueller_brown(200_000, kt, np.random.default_rng(seed))
    found = trajvae.free_energy(drawn.points, temperature=TEMPERATURE, weights=drawn.weights)
    part = found.maps["z0-z1"]
    x, y = (0.5 * (e[1:] + e[:-1]) for e in part.edges)
    exact = mueller_brown(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)) + drawn.norm
    low = exact - exact.min() < 15.0
    off = np.abs(part.value + part.lowest - exact)[low]
    aligned = np.abs(part.value - (exact - exact.min()))[low]
    print(
        f"Müller-Brown, seed {seed}: {low.sum()} cells below 15 kJ/mol, {np.isnan(off).sum()} of them without frames; "
        f"largest error {np.nanmax(off):.2f} kJ/mol, {np.nanmax(aligned):.2f} from the lowest cell; worth "
        f"{found.effective_samples:.0f} samples; basins {len(found.basins.minimum)}: "
        f"{'met' if np.nanmax(aligned) < 1.0 and not np.isnan(off).any() else 'MISSED'}",
        flush=True,
    )


def main() -> None:
    """Print everything."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    warnings.simplefilter("ignore", TrajvaeWarning)
    generator = np.random.default_rng(0)
    for seed in range(3):
        mueller_brown_row(seed)
    heads = ("space", "frames", "inefficiency", "within 3 errors", "sd of z", "mean of z")
    heads += ("sd of z, cell by cell (5 to 95 %)", "two basins", "bounds")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for name, known in KNOWN.items():
        independent = np.stack([known.draw(INDEPENDENT, generator) for _ in range(repeats)])
        row(name, independent, f"{INDEPENDENT} independent")
        row(name, known.chains(CORRELATED, repeats, generator), f"{CORRELATED} correlated")


if __name__ == "__main__":
    main()
