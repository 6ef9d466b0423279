"""Checks of manifolds: distances, geodesics, projections, steps."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.geometry.manifolds import Manifold
from trajvae.testing.numbers import close, require


def check_shapes(manifold: Manifold, z: Tensor) -> None:
    """Check the shapes of what every method returns, and that `distance` is the diagonal of `pairwise_distance`."""
    n, ambient = z.shape
    require(ambient == manifold.ambient_dim, f"{ambient} coordinates, ambient_dim {manifold.ambient_dim}")
    require(manifold.flat == (manifold.dim == manifold.ambient_dim), "flat means as many coordinates as dimensions")
    between = manifold.pairwise_distance(z, z[:2])
    require(between.shape == (n, 2), f"pairwise_distance: expected ({n}, 2), found {tuple(between.shape)}")
    shape = manifold.tangent(z).shape
    require(shape == (n, manifold.dim), f"tangent: expected ({n}, {manifold.dim}), found {tuple(shape)}")
    rows = manifold.distance(z, z.roll(1, dims=0))
    close(rows, manifold.pairwise_distance(z, z.roll(1, dims=0)).diagonal(), "distance", rtol=1e-5, atol=1e-6)
    require(isinstance(manifold.geometry(), str), "geometry is a text")


def check_distances(manifold: Manifold, z: Tensor) -> None:
    """Check that distances are a metric's: symmetric, zero on the diagonal, with the triangle inequality."""
    between = manifold.pairwise_distance(z, z)
    close(between, between.T, "pairwise_distance is symmetric")
    close(between.diagonal(), torch.zeros_like(between[0]), "distance of a point to itself", rtol=0.0, atol=1e-6)
    inequality = between[:, None] <= between[:, :, None] + between[None] + 1e-6
    require(bool(inequality.all()), "distances violate the triangle inequality")


def check_geodesic(manifold: Manifold, z: Tensor) -> None:
    """Check that the geodesic starts and ends at its ends, and runs at constant speed."""
    line = manifold.geodesic(z[0], z[1], torch.linspace(0, 1, 5, dtype=z.dtype))
    close(line[[0, -1]], z[:2], "ends of the geodesic")
    length = manifold.distance(z[0], z[1]).expand(4) / 4
    close(manifold.distance(line[1:], line[:-1]), length, "steps along the geodesic", rtol=1e-6, atol=1e-8)


def check_chords(manifold: Manifold, z: Tensor) -> None:
    """Check that chords, where there are any, are never longer than distances, and near a point not much shorter."""
    chords = manifold.chords(z)
    if chords is None:
        return
    lengths, between = torch.cdist(chords, chords), manifold.pairwise_distance(z, z)
    require(bool((lengths <= between + 1e-6 * (1.0 + between)).all()), "a chord is longer than the distance")
    if manifold.chords_are_distances:
        close(lengths, between, "chords that are distances", rtol=1e-5, atol=1e-6)
    generator = torch.Generator().manual_seed(4)
    near = manifold.retract(z[:1], 1e-3 * torch.randn(20, z.shape[1], dtype=z.dtype, generator=generator).sign())
    ends, short = manifold.chords(near), manifold.distance(z[:1].expand_as(near), near)
    require(ends is not None, "chords of some points and none of others")
    if ends is not None:
        share = torch.cdist(chords[:1], ends)[0] / short
        require(float(share[short > 1e-6].detach().min()) > 0.05, "chords of near points are much shorter")


def check_steps(manifold: Manifold, z: Tensor) -> None:
    """Check that a step of zero moves nothing, a small one no farther than it is long, and a descent goes down."""
    close(manifold.retract(z, torch.zeros_like(z)), z, "a step of zero", rtol=1e-5, atol=1e-6)
    moved = manifold.distance(manifold.retract(z, torch.full_like(z, 1e-3)), z).detach()
    limit = 1.001e-3 * manifold.ambient_dim**0.5
    require(0.0 < float(moved.max()) <= limit, f"a step of {limit} moves by up to {float(moved.max())}")
    at = z.detach().requires_grad_()
    weights = torch.linspace(-1.0, 2.0, z.shape[1], dtype=z.dtype)
    value = (at @ weights).sin()
    (gradient,) = torch.autograd.grad(value.sum(), at)
    fall = (value - (manifold.retract(at, -1e-4 * gradient) @ weights).sin()).detach()
    require(float(fall.min()) > -1e-12 and float(fall.max()) > 1e-5, "a step against the gradient does not go down")


def check_projection(manifold: Manifold, z: Tensor) -> None:
    """Check that projection leaves points where they are, and that a second one changes nothing."""
    once = manifold.project(z + 1e-3)
    close(manifold.project(once), once, "projected twice", rtol=1e-12, atol=1e-12)
    close(manifold.project(z), z, "projected points", rtol=1e-5, atol=1e-5)


MANIFOLD_CHECKS = (check_shapes, check_distances, check_geodesic, check_chords, check_steps, check_projection)


def check_manifold(manifold: Manifold, points: Tensor) -> None:
    """Check a manifold.

    Parameters
    ----------
    manifold : Manifold
    points : Tensor, shape (n, ambient)
        Points of it, float64, four or more that are different.

    Raises
    ------
    AssertionError
        What is wrong.
    """
    points = manifold.retract(points, torch.zeros_like(points)).detach()
    for check in MANIFOLD_CHECKS:
        check(manifold, points)
