"""The product space: its factors side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.geometry import ConstantCurvature, ProductSpace

SPACES = [(2, -1.5), (1, 0.0), (3, 0.4)]


def _space() -> ProductSpace:
    return ProductSpace([ConstantCurvature(dim, k) for dim, k in SPACES])


def _vectors(n: int, seed: int) -> Tensor:
    return 0.5 * torch.randn(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_dimensions_leave_out_the_constant_of_flat_factors() -> None:
    """Two curved factors have a coordinate more than their dimension; one that may become curved too."""
    assert (_space().dim, _space().ambient_dim) == (6, 8)
    learned = ProductSpace([ConstantCurvature(2, 0.0, learnable=True), ConstantCurvature(2, 0.0)])
    assert (learned.ambient_dim, learned.flat_factors, learned.flat) == (5, [False, True], False)


def test_maps_are_the_factors_own() -> None:
    """exp, log and splitting agree with each factor alone; joining undoes splitting."""
    space, v = _space(), _vectors(10, 0)
    z = space.from_tangent(v)
    torch.testing.assert_close(space.tangent(z), v)
    torch.testing.assert_close(space.join(space.points(z)), z)
    for factor, part, vector in zip(space.factors, space.points(z), space.vectors(v), strict=True):
        torch.testing.assert_close(part, factor.from_tangent(vector))


def test_squared_distances_add_up() -> None:
    """Pythagoras over the factors."""
    space = _space()
    a, b = space.from_tangent(_vectors(10, 1)), space.from_tangent(_vectors(10, 2))
    pairs = zip(space.factors, space.points(a), space.points(b), strict=True)
    total = sum(f.distance(x, y).square() for f, x, y in pairs)
    torch.testing.assert_close(space.distance(a, b).square(), total)


def test_geodesic_is_shortest_and_of_constant_speed() -> None:
    """Its pieces are equally long and add up to the distance."""
    space = _space()
    a, b = space.from_tangent(_vectors(2, 3))
    line = space.geodesic(a, b, torch.linspace(0.0, 1.0, 9, dtype=torch.float64))
    steps = space.distance(line[1:], line[:-1])
    torch.testing.assert_close(steps, (space.distance(a, b) / 8).expand(8), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(line[[0, -1]], torch.stack([a, b]), rtol=1e-9, atol=1e-9)


def test_projection_mends_every_factor() -> None:
    """A disturbed point is on the manifold again; the flat coordinate is left alone."""
    space, z = _space(), _space().from_tangent(_vectors(5, 4))
    off = z + 1e-3
    mended = space.project(off)
    for factor, part in zip(space.factors, space.points(mended), strict=True):
        constraint = part[:, 0].square() + factor.curvature * part[:, 1:].square().sum(dim=-1)
        torch.testing.assert_close(constraint, torch.ones_like(constraint))
    torch.testing.assert_close(mended[:, 3], off[:, 3])
