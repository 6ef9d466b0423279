"""Medoids by the distances of a manifold."""

from __future__ import annotations

import torch

from trajvae.geometry.manifolds.named import manifold_of
from trajvae.geometry.medoids import medoid


def test_a_medoid_has_the_least_sum_of_distances() -> None:
    """On a circle across its seam, beside all sums; a heavy point draws it."""
    angle = torch.tensor([3.0, 3.1, -3.05, -2.9, 0.0], dtype=torch.float64)
    points = torch.stack([angle.cos(), angle.sin()], dim=-1)
    space, weights = manifold_of("s1:1.0", 2), torch.ones(5)
    sums = space.pairwise_distance(points, points).sum(dim=1)
    assert medoid(points, space, weights) == int(sums.argmin()) == 2
    assert medoid(points, space, torch.tensor([1.0, 1.0, 1.0, 1.0, 9.0])) == 4


def test_manifolds_are_known_by_name() -> None:
    """Of every factor; a space without a name is flat, of as many dimensions as there are coordinates."""
    assert manifold_of("h2:0.5,s1:1.0,e3", 8).ambient_dim == 8
    assert manifold_of("", 4).geometry() == "e4" and manifold_of("so3", 9).dim == 3
    assert manifold_of("h2:0.5,e3", 6).geometry() == "h2:0.5,e3"
