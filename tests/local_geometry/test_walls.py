"""Pairs that are near walls, by matrices and by trees."""

from __future__ import annotations

import numpy as np
import torch

from trajvae.local_geometry.walls import Walls

from helpers import normal_numbers


def of_matrix(limits: np.ndarray) -> Walls:
    """Walls that stand as a matrix says."""
    return Walls(len(limits), lambda pairs: limits[pairs[:, 0], pairs[:, 1]], float(limits.max()))


def test_pairs_near_a_wall_are_found_in_any_conformation() -> None:
    """The same by distances of all pairs and by a tree, and by brute force."""
    x = 3.0 * normal_numbers(30, 3, 5)
    limits = np.triu(np.random.default_rng(0).uniform(0.0, 2.5, (30, 30)), 1)
    limits[limits < 0.5] = 0.0
    walls = of_matrix(limits)
    frames = x.permute(2, 0, 1)
    lengths = torch.cdist(frames, frames).numpy()
    expected = ((lengths < limits + 1.5).any(axis=0) & (limits > 0.0)).nonzero()
    assert {tuple(p) for p in walls.near(x).atoms.tolist()} == set(zip(*(e.tolist() for e in expected), strict=True))
    by_tree = {tuple(p) for p in walls._by_tree(frames).atoms.tolist()}
    assert by_tree >= {
        tuple(p) for p in walls.near(x).atoms.tolist()
    }  # it may find more: its reach is that of the largest


def test_contacts_are_the_derivatives_of_their_residuals() -> None:
    """Products with J and its transpose agree with finite differences."""
    x, way = 1.5 * normal_numbers(8, 3, 4), normal_numbers(8, 3, 4, seed=1)
    walls, step = of_matrix(np.full((8, 8), 2.5)), 1e-6
    pairs = walls.near(x)
    here, ahead, behind = (walls.linearised(x + s * step * way, pairs) for s in (0, 1, -1))
    assert here is not None and ahead is not None and behind is not None
    assert len(here.residual) == len(ahead.residual) == len(behind.residual) > 20
    slope = (ahead.residual - behind.residual) / (2.0 * step)
    torch.testing.assert_close(here.times(way), slope, rtol=1e-5, atol=1e-4)
    out = torch.zeros_like(x)
    u = normal_numbers(len(slope), seed=2)
    here.add_transposed(u, out)
    torch.testing.assert_close((out * way).sum(), (u * here.times(way)).sum())


def test_no_contact_is_none() -> None:
    """As in most conformations."""
    walls = of_matrix(np.full((4, 4), 0.1))
    x = 10.0 * torch.arange(12, dtype=torch.float64).reshape(4, 3, 1)
    assert walls.linearised(x, walls.near(x)) is None
