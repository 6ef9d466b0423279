"""Maps of curved spaces against closed forms and against the geometry that latents are made with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae.geometry import ConstantCurvature
from trajvae.geometry.manifolds import Rotations
from trajvae.plots import projections

STEP = 1e-6


def directions(n: int, dim: int) -> torch.Tensor:
    """Tangent vectors of many lengths."""
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_hammer_keeps_areas() -> None:
    """The determinant of its derivative, in latitude and longitude, is the cosine of the latitude."""
    latitude, longitude = np.random.default_rng(0).uniform([[-1.5], [-3.1]], [[1.5], [3.1]], (2, 500))
    north = (projections.hammer(latitude + STEP, longitude) - projections.hammer(latitude - STEP, longitude)) / (
        2.0 * STEP
    )
    east = (projections.hammer(latitude, longitude + STEP) - projections.hammer(latitude, longitude - STEP)) / (
        2.0 * STEP
    )
    area = east[:, 0] * north[:, 1] - east[:, 1] * north[:, 0]
    np.testing.assert_allclose(area, np.cos(latitude), atol=1e-8)


def test_hammer_fills_its_ellipse() -> None:
    """The edge of the map is the ellipse of area 4 pi, the origin its centre."""
    latitude = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 51)
    x, y = (projections.hammer(latitude, np.full(51, np.pi)) / (projections.HALF_WIDTH, projections.HALF_HEIGHT)).T
    np.testing.assert_allclose(x**2 + y**2, 1.0, atol=1e-12)
    assert np.pi * projections.HALF_WIDTH * projections.HALF_HEIGHT == pytest.approx(4.0 * np.pi)
    assert np.array_equal(projections.hammer(np.zeros(1), np.zeros(1)), [[0.0, 0.0]])


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])
def test_places_on_spheres(curvature: float) -> None:
    """Latitude and longitude give back the unit vector that a point stands for, at any curvature."""
    points = ConstantCurvature(2, curvature).from_tangent(directions(300, 2)).numpy()
    latitude, longitude = projections.on_sphere(points, curvature)
    unit = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    np.testing.assert_allclose(np.stack(unit, -1), points * [1.0, curvature**0.5, curvature**0.5], atol=1e-10)


@pytest.mark.parametrize("curvature", [-0.3, -1.0, -2.5])
def test_the_disc_is_poincare_s(curvature: float) -> None:
    """A point at the distance r lies at tanh(sqrt(-K) r / 2), in the direction of its tangent vector."""
    v = directions(300, 2)
    radius, angle = projections.on_disc(ConstantCurvature(2, curvature).from_tangent(v).numpy(), curvature)
    lengths = torch.linalg.vector_norm(v, dim=1).numpy()
    np.testing.assert_allclose(radius, [projections.disc_radius(r, curvature) for r in lengths], atol=1e-12)
    np.testing.assert_allclose(angle, torch.atan2(v[:, 1], v[:, 0]).numpy(), atol=1e-12)


def test_the_disc_s_angles_are_the_plane_s() -> None:
    """Distances of near points are 2 |dp| / (sqrt(-K) (1 - |p|^2)): the model is conformal."""
    curvature = -0.7
    space, v = ConstantCurvature(2, curvature), directions(200, 2)
    near = v + 1e-5 * directions(200, 2).flip(0)
    a, b = space.from_tangent(v), space.from_tangent(near)
    p, q = (projections.polar(*projections.on_disc(x.numpy(), curvature)) for x in (a, b))
    small = 2.0 * np.linalg.norm(p - q, axis=1) / (1.0 - (p**2).sum(axis=1)) / np.sqrt(-curvature)
    np.testing.assert_allclose(small, space.distance(a, b).numpy(), rtol=1e-3)


def test_tangent_coordinates_are_the_logarithm_s() -> None:
    """Of hyperbolic spaces of three dimensions, at the origin too."""
    space, v = ConstantCurvature(3, -0.4), torch.cat([torch.zeros(1, 3, dtype=torch.float64), directions(100, 3)])
    np.testing.assert_allclose(projections.tangent(space.from_tangent(v).numpy(), -0.4), v.numpy(), atol=1e-9)


def test_quaternions_of_rotations() -> None:
    """The vector part is the axis times the sine of half the angle; the scalar is not negative."""
    matrices = Rotations().sample(200, torch.Generator().manual_seed(0))
    vectors = Rotations().tangent(matrices).double().numpy()
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    q = projections.quaternions(matrices.double().numpy())
    assert (q[:, 0] >= 0.0).all()
    np.testing.assert_allclose(q[:, 1:], np.sin(0.5 * angle) * vectors / angle, atol=1e-5)
