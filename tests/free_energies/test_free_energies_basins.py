"""Basins: minima that stand out from the errors, the passes between them, and what is merged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trajvae.free_energies.basins import barriers, find_basins, spanning_edges
from trajvae.free_energies.density import Density
from trajvae.free_energies.maps import Cells, grid_neighbours
from trajvae.typing import Float64


def line(energy: list[float], frames: list[int], error: float, bins: int = 0) -> Density:
    """A density on a line of cells with independent errors of one size."""
    n = len(energy)
    edges = np.linspace(0.0, 1.0, n + 1)
    cells = Cells((edges,), (0.5 * (edges[1:] + edges[:-1]))[:, None], np.diff(edges))
    changes = np.random.default_rng(0).normal(size=(4000, n)) * error
    cell = np.repeat(np.arange(n), frames)
    return Density(cells, cell, np.array(energy), changes, np.zeros(n), np.ones(1))


def found(density: Density) -> tuple[list[int], list[int]]:
    """Minima and the basin of each cell."""
    pairs = grid_neighbours(density.cells.shape, (False,))
    partition = find_basins(density, pairs, np.ones(len(density.cell)))
    return partition.minimum.tolist(), partition.basin.tolist()


def test_two_minima_are_two_basins_above_the_error() -> None:
    """The one with more frames first; the pass belongs to one of them."""
    density = line([2.0, 0.0, 1.0, 3.0, 0.5, 2.5], [5, 50, 20, 5, 80, 10], 0.1)
    minima, basin = found(density)
    assert minima == [4, 1]
    assert basin[:3] == [1, 1, 1] and basin[4:] == [0, 0]


@pytest.mark.parametrize(("error", "count"), [(0.5, 2), (1.0, 1)])
def test_a_barrier_within_the_error_parts_nothing(error: float, count: int) -> None:
    """The pass is 2.5 kT above the shallower minimum; its error is sqrt(2) times that of a cell."""
    assert len(found(line([0.0, 3.0, 0.5], [50, 10, 40], error))[0]) == count


def test_a_minimum_of_few_frames_is_none() -> None:
    """However deep it looks: frames that lie alone."""
    assert found(line([0.0, 9.0, 1.0], [80, 1, 3], 0.1)) == ([0], [0, 0, 0])


def test_cells_that_no_frame_is_near_belong_to_none() -> None:
    """And part the rest: what they part has as many frames as a basin needs, or joins the nearest."""
    infinite = float("inf")
    energy = [0.0, 1.0, infinite, 1.0, 0.5, infinite, 2.0]
    assert found(line(energy, [50, 10, 0, 20, 50, 0, 2], 0.1)) == ([4, 0], [1, 1, -1, 0, 0, -1, 0])


def brute_force(energy: Float64, neighbours: set[tuple[int, int]], a: int, b: int) -> float:
    """The lowest level at which two cells are joined, by trying all levels."""
    for level in np.sort(energy[np.isfinite(energy)]):
        reached, edge = {a}, [a]
        while edge:
            cell = edge.pop()
            new = {j for i, j in neighbours if i == cell and energy[j] <= level} - reached
            reached |= new
            edge += list(new)
        if energy[a] <= level and b in reached:
            return float(level)
    return float("nan")


def test_passes_are_the_lowest_there_are() -> None:
    """Beside a search through all levels, on random surfaces with a hole."""
    g = np.random.default_rng(2)
    pairs = grid_neighbours((6, 6), (True, False))
    both = {(int(i), int(j)) for i, j in np.concatenate([pairs, pairs[:, ::-1]])}
    for _ in range(5):
        energy = g.normal(size=36)
        energy[g.choice(36, 10, replace=False)] = np.inf
        cells = np.flatnonzero(np.isfinite(energy))[[0, 7, 15, 20]]
        height, top = barriers(energy, pairs, cells)
        assert np.array_equal(np.diag(height), energy[cells])
        for i, j in itertools.permutations(range(4), 2):
            expected = brute_force(energy, both, int(cells[i]), int(cells[j]))
            assert height[i, j] == pytest.approx(expected, nan_ok=True)
            assert (top[i, j] == -1) == np.isnan(expected)


def test_the_spanning_tree_joins_all_cells_that_touch() -> None:
    """One edge fewer than cells, the lowest first."""
    energy = np.random.default_rng(0).normal(size=25)
    edges = spanning_edges(energy, grid_neighbours((5, 5), (False, False)))
    assert len(edges) == 24
    assert (np.diff(energy[edges].max(axis=1)) >= 0.0).all()
