"""Free energies: flat for uniform points whatever the space's curvature, closed forms where there are some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.constants import R

from trajvae.errors import OptionError, ReadError
from trajvae.geometry import ConstantCurvature
from trajvae.geometry.manifolds import Rotations, Spheres
from trajvae.plots import free_energy
from trajvae.plots.energy import check_bins, of_counts
from trajvae.plots.spaces import chart_of, charts_of
from trajvae.typing import Float64

DRAWS = 60_000
KT = 1e-3 * R * 300.0


@dataclass
class Points:
    """Latent points of a space."""

    latent: Float64
    geometry: str


def hyperbolic(curvature: float, reach: float) -> Float64:
    """Uniform points of a disc of the hyperbolic plane: cosh(sqrt(-K) r) is uniform."""
    rng = np.random.default_rng(0)
    root = np.sqrt(-curvature)
    radius = np.arccosh(1.0 + (np.cosh(root * reach) - 1.0) * rng.uniform(size=DRAWS)) / root
    angle = rng.uniform(-np.pi, np.pi, DRAWS)
    v = torch.from_numpy(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1))
    return ConstantCurvature(2, curvature).from_tangent(v).numpy()


def spheres(dims: tuple[int, ...], curvature: float = 1.0) -> Float64:
    """Uniform points of unit spheres, as (c, s) of a curvature."""
    z = Spheres(dims).sample(DRAWS, torch.Generator().manual_seed(0)).double().numpy()
    first = np.cumsum([0, *(d + 1 for d in dims)])[:-1]
    return z / np.where(np.isin(np.arange(z.shape[1]), first), 1.0, curvature**0.5)


UNIFORM: dict[str, Any] = {
    "s1:1.0": lambda: spheres((1,)),
    "s2:1.0": lambda: spheres((2,)),
    "s2:0.3": lambda: spheres((2,), 0.3),
    "s2:2.7": lambda: spheres((2,), 2.7),
    "h2:0.4": lambda: hyperbolic(-0.4, 3.0),
    "h2:2.2": lambda: hyperbolic(-2.2, 2.0),
    "s1:1.0,s1:1.0": lambda: spheres((1, 1)),
    "s1:0.6,s1:0.6": lambda: spheres((1, 1), 0.6),
    "s3:1.0": lambda: spheres((3,)),
    "s4:0.7": lambda: spheres((4,), 0.7),
    "so3": lambda: Rotations().sample(DRAWS, torch.Generator().manual_seed(0)).double().numpy(),
    "e2": lambda: np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWS, 2)),
}


@pytest.mark.parametrize("geometry", UNIFORM)
def test_uniform_points_have_none(geometry: str) -> None:
    """Counts are those that the cells' volumes let one expect, by chi square within five standard deviations."""
    points = Points(UNIFORM[geometry](), geometry)
    for number in range(len(charts_of(points))):
        part, inner = chart_of(points, number)
        cells = part.cells(inner, 20)
        counts, volumes = cells.count(inner), cells.volumes
        if geometry == "e2":  # cells over the edge of the square hold less
            counts, volumes = counts[1:-1, 1:-1], volumes[1:-1, 1:-1]
        expected = counts.sum() * volumes / volumes.sum()
        square = ((counts - expected) ** 2 / expected).sum()
        assert abs(square - counts.size) < 5.0 * np.sqrt(2.0 * counts.size)


def curve(points: Points, bins: int) -> tuple[Float64, Float64]:
    """Middles of the cells of one coordinate, and the energies drawn there."""
    (patch,) = free_energy(points, bins=bins, temperature=300.0).patches
    data = patch.get_data()
    return 0.5 * (data.edges[1:] + data.edges[:-1]), data.values


def test_it_is_kt_times_the_logarithm() -> None:
    """Of a normal distribution F is kT x^2 / 2, of a von Mises one -kT kappa cos(angle), within sampling error."""
    rng = np.random.default_rng(0)
    x, energies = curve(Points(rng.normal(size=(DRAWS, 1)), "e1"), 60)
    near = np.abs(x) < 2.0
    np.testing.assert_allclose(energies[near], 0.5 * KT * x[near] ** 2, atol=0.2)
    angle = rng.vonmises(0.0, 1.5, DRAWS)
    x, energies = curve(Points(np.stack([np.cos(angle), np.sin(angle) / 0.5], -1), "s1:0.25"), 30)
    share = np.exp(1.5 * np.cos(x)) / np.exp(1.5 * np.cos(x)).sum()
    exact = 1.5 * KT * (1.0 - np.cos(x))
    assert (np.abs(energies - exact) < 5.0 * KT / np.sqrt(DRAWS * share)).all()


def test_temperature_scales_it_and_empty_cells_stay_empty() -> None:
    """Twice the temperature, twice the energies; the minimum is 0; no count, no number."""
    counts, volumes = np.array([4.0, 0.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.25])
    warm = of_counts(counts, volumes, 300.0)
    assert np.nanmin(warm) == 0.0 and np.flatnonzero(np.isnan(warm)).tolist() == [1]
    np.testing.assert_allclose(warm[[0, 2]], KT * np.log([2.0, 8.0]))
    np.testing.assert_allclose(of_counts(counts, volumes, 600.0), 2.0 * warm)


def test_wrong_numbers_are_refused() -> None:
    """No temperature, no cells, no such chart, no points."""
    points = Points(np.zeros((10, 2)), "e2")
    for temperature in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(OptionError, match="temperature"):
            free_energy(points, temperature=temperature)
    for bins in (1, 2000):
        with pytest.raises(OptionError, match="bins"):
            check_bins(bins, 100, 2)
    with pytest.raises(OptionError, match="no chart 1"):
        free_energy(points, chart=1)
    with pytest.raises(ReadError, match="no latent points"):
        free_energy(Points(np.zeros((0, 2)), "e2"))
