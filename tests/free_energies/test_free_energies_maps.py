"""Maps: volumes of cells, kernels that are densities, and cells that touch."""

from __future__ import annotations

import numpy as np
import pytest
from known_densities import KNOWN

from trajvae.free_energies.coordinates import coordinates_of
from trajvae.free_energies.estimate import maps_of
from trajvae.free_energies.maps import LatentMap

SPACES = list(KNOWN)


def map_of(name: str, n: int = 400) -> LatentMap:
    """The map of some points of a space."""
    known = KNOWN[name]
    return maps_of(coordinates_of(known.draw(n, np.random.default_rng(0)), known.geometry))[0]


@pytest.mark.parametrize("name", SPACES)
def test_a_kernel_is_a_density_of_the_volume(name: str) -> None:
    """Its integral over all cells is one: heights, exponents and volumes fit each other."""
    part = map_of(name)
    cells = part.cells(160 if part.points.shape[1] == 1 or part.kind != "flat" else 80)
    near = np.argsort(np.abs(part.points - np.median(part.points, axis=0)).sum(axis=1))[:20]
    weights = np.zeros(len(part.points))
    weights[near] = 1.0 / len(near)
    for total in part.sums(cells, weights, np.zeros(1, dtype=np.int64), 0.35 * part.lengths):
        inside = np.isfinite(cells.volume)
        assert total[0, inside] @ cells.volume[inside] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", SPACES)
def test_sums_at_cells_are_kernels_between_points(name: str) -> None:
    """What is summed by blocks at a centre is what `kernel` says between two points there."""
    part = map_of(name)
    cells, h = part.cells(10), 0.4 * part.lengths
    rows = np.arange(5)
    part.points[: len(rows)] = cells.centres[3 : 3 + len(rows)]
    others = np.arange(20, 60)
    weights = np.zeros(len(part.points))
    weights[others] = np.linspace(0.5, 2.0, len(others))
    starts = np.array([0, 30, 45])
    narrow, wide = part.sums(cells, weights, starts, h)
    kernels = part.kernel(part.excess(rows, others), h)
    assert np.allclose(narrow.sum(axis=0)[3:8], kernels @ weights[others])
    assert np.allclose(wide.sum(axis=0)[3:8], part.kernel(part.excess(rows, others), 2.0**0.5 * h) @ weights[others])
    assert np.allclose(narrow[1, 3:8], kernels[:, 10:25] @ weights[30:45])


@pytest.mark.parametrize("name", SPACES)
def test_kernels_smooth_to_second_order(name: str) -> None:
    """Twice the squared bandwidth changes a mean of kernels twice as much: what the extrapolation relies on."""
    part = map_of(name, 20_000)
    cells = part.cells(8)
    one = np.zeros(1, dtype=np.int64)
    h = 0.1 * part.scale
    middle = int(np.argmax(part.sums(cells, np.ones(len(part.points)), one, part.scale)[0][0]))
    p = [part.sums(cells, np.ones(len(part.points)), one, s * h)[0][0, middle] for s in (2.0, 2.0 * 2.0**0.5, 4.0)]
    # p(t) is nearly a straight line in t = h^2: differences for t = 4, 8 and 16 are as 1 to 2
    assert (p[2] - p[1]) / (p[1] - p[0]) == pytest.approx(2.0, abs=0.75)


def test_volumes_have_their_closed_forms() -> None:
    """Of a sphere 4 pi / K, of a circle its length; in Poincare's disc those of a fine sum."""
    sphere, disc = map_of("sphere"), map_of("Poincaré disc")
    assert sphere.cells(20).volume.sum() == pytest.approx(4.0 * np.pi)
    cells = disc.cells(30)
    x = [np.linspace(e[0], e[-1], 3001) for e in cells.edges]
    middle = [0.5 * (e[1:] + e[:-1]) for e in x]
    square = np.add.outer(middle[0] ** 2, middle[1] ** 2)
    fine = np.where(square < 1.0, 4.0 / (1.0 - square) ** 2, 0.0).reshape(30, 100, 30, 100).sum(axis=(1, 3)).ravel()
    kept = np.isfinite(cells.volume)
    assert kept.sum() > 600
    assert np.allclose(cells.volume[kept], fine[kept] * np.diff(x[0])[0] * np.diff(x[1])[0], rtol=0.01)
    assert map_of("circle").cells(12).volume.sum() == pytest.approx(2.0 * np.pi)


@pytest.mark.parametrize("name", SPACES)
def test_every_point_lies_in_the_cell_it_is_counted_in(name: str) -> None:
    """Cells' centres are counted in their own cells."""
    part = map_of(name)
    cells = part.cells(12)
    part.points = cells.centres
    assert np.array_equal(part.cell_of(cells), np.arange(len(cells.volume)))


def test_periods_and_poles_join_cells() -> None:
    """A torus has no edge; on a sphere all cells about a pole touch; a plane ends."""
    torus = map_of("torus")
    pairs = {tuple(sorted(p)) for p in torus.neighbours(torus.cells(10)).tolist()}
    assert len(pairs) == 4 * 100 and (0, 90) in pairs and (0, 9) in pairs
    plane = map_of("plane")
    assert len(plane.neighbours(plane.cells(10))) == 2 * 90 + 2 * 81
    sphere = map_of("sphere")
    found = {tuple(p) for p in sphere.neighbours(sphere.cells(10)).tolist()}
    assert (0, 25) in found and (4, 29) in found


def test_a_plane_that_reaches_the_edge_of_the_disc() -> None:
    """Cells that reach beyond it have no finite volume, and their middles are points of the plane nevertheless."""
    far = np.arccosh(2000.0)
    angle = np.linspace(-np.pi, np.pi, 60)
    points = np.stack([np.full(60, np.cosh(far)), np.sinh(far) * np.cos(angle), np.sinh(far) * np.sin(angle)], axis=-1)
    part = maps_of(coordinates_of(points, "h2:1.0"))[0]
    cells = part.cells(20)
    assert np.isinf(cells.volume).any() and np.isfinite(cells.centres).all()
    assert np.allclose(cells.centres[:, 0], np.sqrt(1.0 + (cells.centres[:, 1:] ** 2).sum(axis=1)))
