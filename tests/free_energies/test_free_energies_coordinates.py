"""Latent points taken apart: lines, circles, curved planes and tangent coordinates, with their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae.errors import OptionError
from trajvae.free_energies.coordinates import coordinates_of
from trajvae.geometry.manifolds import Rotations
from trajvae.geometry.manifolds.named import manifold_of
from trajvae.latents import make_latent


def points_of(geometry: str, n: int = 50) -> np.ndarray:
    """Points of a space by the exponential map at its origin."""
    space = manifold_of(geometry, 0)
    v = torch.randn(n, space.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return space.from_tangent(v).numpy()


@pytest.mark.parametrize(
    ("geometry", "planes", "single"),
    [
        ("e3", [], ["z0", "z1", "z2"]),
        ("s1:1.0,e1", [], ["theta0", "z1"]),
        ("h2:0.5,s2:2.0,e1", ["disc0-1", "sphere2-3"], ["z4"]),
        ("h1:1.0,s3:1.0", [], ["t0", "t1", "t2", "t3"]),
    ],
)
def test_coordinates_have_the_names_of_their_dimensions(geometry: str, planes: list[str], single: list[str]) -> None:
    """By number, counted over all factors."""
    found = coordinates_of(points_of(geometry), geometry)
    assert [p.name for p in found.planes] == planes and [c.name for c in found.single] == single


@pytest.mark.parametrize("geometry", ["s3:0.5", "h3:2.0", "h1:1.0", "s4:1.0"])
def test_tangent_coordinates_are_those_of_the_manifold(geometry: str) -> None:
    """The logarithm at the origin, as the torch code has it."""
    z = points_of(geometry)
    expected = manifold_of(geometry, 0).tangent(torch.from_numpy(z)).numpy()
    found = coordinates_of(z, geometry)
    assert np.allclose(np.stack([c.values for c in found.single], axis=-1), expected, atol=1e-9)
    assert [c.own for c in found.single] == [geometry[1] == "1"] * len(found.single)


def test_curved_planes_are_of_unit_size() -> None:
    """Of the unit sphere and the unit hyperboloid, whatever the curvature."""
    found = coordinates_of(points_of("h2:0.5,s2:2.0"), "h2:0.5,s2:2.0")
    disc, sphere = found.planes
    assert np.allclose(disc.points[:, 0] ** 2 - (disc.points[:, 1:] ** 2).sum(axis=1), 1.0)
    assert np.allclose(np.linalg.norm(sphere.points, axis=1), 1.0)
    assert (disc.curvature, sphere.curvature) == (-0.5, 2.0)


def test_circles_know_their_radius() -> None:
    """An angle in radians, and the length of a radian."""
    circle = coordinates_of(points_of("s1:4.0"), "s1:4.0").single[0]
    assert circle.period == 2.0 * np.pi and circle.length == 0.5


def test_rotations_and_spaces_without_a_name() -> None:
    """Rotation vectors; tangent coordinates where they are known, else the points' own."""
    space = Rotations()
    z = space.sample(20, torch.Generator().manual_seed(1)).double()
    vectors = np.stack([c.values for c in coordinates_of(z.numpy(), "so3").single], axis=-1)
    assert np.allclose(np.linalg.norm(vectors, axis=1), np.linalg.norm(space.tangent(z).numpy(), axis=1), atol=1e-5)
    x = np.arange(12.0).reshape(4, 3)
    assert [c.name for c in coordinates_of(x, "").single] == ["t0", "t1", "t2"]
    assert np.array_equal(coordinates_of(x, "", x[:, :2] + 1.0).single[1].values, x[:, 1] + 1.0)


def test_a_wrong_number_of_columns_is_told() -> None:
    """What a space's points have, and what came."""
    with pytest.raises(OptionError, match="have 4 coordinates, got 2"):
        coordinates_of(np.zeros((5, 2)), "s1,s1")


@pytest.mark.parametrize("backend", ["euclidean", "hyperspherical", "rhvae"])
def test_geometries_of_latent_spaces_are_understood(backend: str) -> None:
    """The name that a latent space gives its manifold is one that `manifold_of` knows."""
    manifold = make_latent(backend, 2, {}).manifold
    assert manifold_of(manifold.geometry(), manifold.ambient_dim).ambient_dim == manifold.ambient_dim
