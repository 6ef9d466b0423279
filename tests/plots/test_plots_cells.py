"""Cells: every point in one, volumes in closed form, outlines that enclose them."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.plots.cells import Grid, Rings
from trajvae.plots.projections import hammer, polar
from trajvae.typing import Float64


def shoelace(outline: Float64) -> Float64:
    """Areas of polygons (cells, corners, 2)."""
    x, y = np.moveaxis(outline, -1, 0)
    twice = x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)
    return np.abs(twice.sum(axis=1)) / 2.0


@pytest.mark.parametrize("curvature", [0.25, 1.0, 3.0])
def test_a_sphere_s_cells_are_its_surface(curvature: float) -> None:
    """Volumes add up to 4 pi / K, and each is the area of its outline in the map."""
    cells = Rings.of_sphere(20, curvature)
    assert cells.volumes.sum() == pytest.approx(4.0 * np.pi / curvature)
    drawn = shoelace(hammer(*cells.outlines())) / curvature
    np.testing.assert_allclose(drawn, cells.volumes, rtol=0.03)
    assert cells.volumes.max() < 2.0 * cells.volumes.min()


def test_a_disc_s_cells_are_nearly_squares() -> None:
    """Volumes of the flat disc add up to pi r^2; none is much larger than another."""
    cells = Rings.of_disc(0.8, 12, lambda r: 0.5 * r**2)
    assert cells.volumes.sum() == pytest.approx(np.pi * 0.64)
    np.testing.assert_allclose(shoelace(polar(*cells.outlines())), cells.volumes, rtol=0.03)
    assert cells.volumes.max() < 1.5 * cells.volumes.min()


def test_each_point_is_counted_where_it_lies() -> None:
    """Points a little inside each cell are counted one a cell; edges of the turn and the rim belong to some cell."""
    cells = Rings.of_disc(0.5, 6, lambda r: 0.5 * r**2)
    radius, angle = cells.outlines()
    middle = np.stack([0.5 * (radius.min(1) + radius.max(1)), 0.5 * (angle.min(1) + angle.max(1))], axis=-1)
    assert np.array_equal(cells.count(middle), np.ones(len(middle)))
    edge = np.array([[0.5, np.pi], [0.5, -np.pi], [0.0, 0.0]])
    assert cells.count(edge).sum() == 3


def test_a_grid_covers_points_or_periods() -> None:
    """All points lie in it; a coordinate with a period has all of it; equal cells have the product of their widths."""
    shown = np.random.default_rng(0).normal(size=(500, 2)).clip(-3.0, 3.0)
    grid = Grid.over(shown, 10, (0.0, 2.0 * np.pi))
    assert grid.count(shown).sum() == 500
    assert grid.edges[1][0] == -np.pi and grid.edges[1][-1] == np.pi
    area = np.ptp(grid.edges[0]) * 2.0 * np.pi
    np.testing.assert_allclose(grid.volumes, area / 100)
    same = Grid.over(np.zeros((5, 1)), 4, (0.0,))
    assert same.count(np.zeros((5, 1))).sum() == 5
