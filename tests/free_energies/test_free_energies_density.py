"""Free energies beside known densities, of independent points and of chains; `benchmarks/free_energies.py` has more."""

from __future__ import annotations

import numpy as np
import pytest
from known_densities import KNOWN, Known

from trajvae.free_energies.bandwidth import choose_bandwidth
from trajvae.free_energies.blocks import make_blocks
from trajvae.free_energies.coordinates import coordinates_of
from trajvae.free_energies.density import Density, estimate
from trajvae.free_energies.estimate import maps_of, vectors_of
from trajvae.typing import Float64

N, CHAIN = 2000, 6000
REPEATS, CHAINS = 15, 10


def estimated(known: Known, latent: Float64, bandwidth: Float64 | None = None) -> tuple[Density, Float64]:
    """The density on the first map of a space, and z-scores of its cells with frames."""
    found, rows, weights = coordinates_of(latent, known.geometry), np.arange(len(latent)), np.ones(len(latent))
    part = maps_of(found)[0]
    blocks = make_blocks(vectors_of(found), np.zeros_like(rows), rows)
    h = choose_bandwidth(part, weights, blocks) if bandwidth is None else bandwidth
    cells = part.cells(40 if part.points.shape[1] == 1 else 20)
    density = estimate(part, cells, weights, blocks, h, blocks.resampled(200, np.random.default_rng(0)))
    seen = (np.bincount(density.cell, minlength=len(density.energy)) > 0) & np.isfinite(density.energy)
    at = cells.centres[seen]
    if known.geometry.startswith("s1"):
        at = np.stack([np.cos(at), np.sin(at)], axis=-1).reshape(len(at), -1)
    return density, (density.energy[seen] + np.log(known.density(at))) / density.error[seen]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("kind", ["independent", "correlated"])
def test_errors_are_those_of_the_truth(name: str, kind: str) -> None:
    """95 % of cells within three standard errors of the known density, which nothing has smoothed; z-scores of one."""
    known, g = KNOWN[name], np.random.default_rng(4)
    sets = known.chains(CHAIN, CHAINS, g) if kind == "correlated" else [known.draw(N, g) for _ in range(REPEATS)]
    first, _ = estimated(known, sets[0])
    z = np.concatenate([estimated(known, latent, first.bandwidth)[1] for latent in sets])
    assert np.mean(np.abs(z) < 3.0) >= 0.95
    assert 0.8 <= z.std() <= 1.25


def test_the_bandwidth_falls_with_the_number_of_points_and_follows_their_width() -> None:
    """To a fifth of the spread a fifth of the bandwidth; of more points a narrower one."""
    known, g = KNOWN["line"], np.random.default_rng(0)
    latent = known.draw(4000, g)
    wide, few, narrow = (estimated(known, x)[0].bandwidth[0] for x in (latent, latent[:200], 0.2 * latent))
    assert wide < few and narrow == pytest.approx(0.2 * wide, rel=0.1)


def test_neighbours_in_time_do_not_narrow_the_kernels() -> None:
    """Frames that are all there twice, one after the other, are no reason for kernels of no width."""
    latent = KNOWN["line"].draw(1000, np.random.default_rng(0))
    once, twice = (estimated(KNOWN["line"], x)[0].bandwidth[0] for x in (latent, np.repeat(latent, 2, axis=0)))
    assert twice > 0.7 * once


def test_smoothing_is_told_and_taken_away() -> None:
    """Kernels alone make a normal density wider by h^2, its free energy flatter: that is what the bias says."""
    g, h = np.random.default_rng(0), np.array([0.3])
    known = Known("e1", lambda x: np.exp(-0.5 * x[..., 0] ** 2) / (2.0 * np.pi) ** 0.5, None, None, 0.0)
    density, _ = estimated(known, g.normal(size=(200_000, 1)), h)
    at = density.cells.centres[:, 0]
    near = np.abs(at) < 2.0
    exact = 0.5 * at**2 * (1.0 / 1.09 - 1.0) + 0.5 * np.log(1.09)
    assert np.allclose(density.smoothing[near], exact[near], atol=0.04)
    left = density.energy - 0.5 * at**2 - 0.5 * np.log(2.0 * np.pi)
    assert np.abs(left[near]).max() < 0.05 < 0.1 < np.abs(exact[near]).max()


def test_cells_larger_than_kernels_count_frames() -> None:
    """Where the centre of a cell is far from its frames, their share of the volume is the density."""
    latent = np.concatenate([np.full((50, 2), 1.02), np.full((50, 2), -1.02)]) + 1e-4 * np.arange(100)[:, None]
    known = Known("e2", lambda x: np.ones(len(x)), None, None, 0.0)
    density, _ = estimated(known, latent, np.full(2, 1e-3))
    seen = np.unique(density.cell)
    share = np.bincount(density.cell)[seen] / 100.0
    assert np.allclose(density.energy[seen], -np.log(share / density.cells.volume[seen]))
