"""Metrics: pullback of a known map, centroids against their definition, closed-form gradients, densities."""

from __future__ import annotations

import pytest
import torch

from trajvae.geometry.metric import CentroidMetric, DensityWeighted, KernelDensity, Pullback, spacing

from helpers import normal_numbers, on_sphere


def _centroids(n: int = 30, d: int = 3, temperature: float = 1.3) -> CentroidMetric:
    return CentroidMetric(normal_numbers(n, d), 0.3 * normal_numbers(n, d, d, seed=1), temperature, 0.05)


def test_pullback_of_the_sphere_is_its_metric() -> None:
    """G = R^2 diag(1, sin^2 theta); speeds are those of the mapped points."""
    z, v = 1.0 + 0.5 * normal_numbers(10, 2), normal_numbers(10, 2, seed=2)
    metric = Pullback(on_sphere)
    exact = 4.0 * torch.diag_embed(torch.stack([torch.ones(10, dtype=z.dtype), z[:, 0].sin().square()], dim=-1))
    torch.testing.assert_close(metric.tensor(z), exact)
    torch.testing.assert_close(metric.square(z, v), torch.einsum("bi,bij,bj->b", v, exact, v))
    h = 1e-6
    speed = (on_sphere(z + h * v) - on_sphere(z - h * v)).norm(dim=-1) / (2 * h)
    torch.testing.assert_close(metric.square(z, v).sqrt(), speed, rtol=1e-6, atol=1e-8)


def test_inverse_is_the_sum_over_centroids() -> None:
    """By the definition, one centroid at a time; factor, tensor, determinant and speed agree with it."""
    metric, z, v = _centroids(), normal_numbers(7, 3, seed=3), normal_numbers(7, 3, seed=4)
    factors = 0.3 * normal_numbers(30, 3, 3, seed=1)
    expected = 0.05 * torch.eye(3, dtype=z.dtype).expand(7, 3, 3).clone()
    for c, factor in zip(normal_numbers(30, 3), factors, strict=True):
        weight = torch.exp(-(z - c).square().sum(dim=-1) / 1.3**2)
        expected += weight[:, None, None] * (factor @ factor.T)
    torch.testing.assert_close(metric.inverse(z), expected)
    torch.testing.assert_close(metric.tensor(z), torch.linalg.inv(expected))
    torch.testing.assert_close(metric.log_det(z), -torch.linalg.slogdet(expected).logabsdet)
    torch.testing.assert_close(metric.factor(z) @ metric.factor(z).mT, expected)
    speed = torch.einsum("bi,bij,bj->b", v, torch.linalg.inv(expected), v)
    torch.testing.assert_close(metric.square(z, v), speed)


def test_far_from_all_centroids_it_is_flat() -> None:
    """G = I / lambda, and its determinant does not underflow at 32 dimensions."""
    metric = CentroidMetric(normal_numbers(5, 32), normal_numbers(5, 32, 32), 1.0, 0.01)
    z = torch.full((1, 32), 100.0, dtype=torch.float64)
    torch.testing.assert_close(metric.log_det(z), torch.tensor([-32 * torch.tensor(0.01).double().log()]))


def test_closed_gradients_equal_automatic_ones() -> None:
    """Of log det G and of the kinetic energy, at random momenta."""
    metric, momentum = _centroids(), normal_numbers(6, 3, seed=6)
    z = normal_numbers(6, 3, seed=5).requires_grad_()
    kinetic = torch.einsum("bi,bij,bj->b", momentum, metric.inverse(z), momentum)
    expected = [torch.autograd.grad(x.sum(), z)[0] for x in (metric.log_det(z), kinetic)]
    for found, exact in zip(metric.gradients(z.detach(), momentum), expected, strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)


def test_posterior_factors_give_the_posterior_precision() -> None:
    """At a lonely centroid G is diag(1 / s^2), but for lambda."""
    scale = torch.tensor([[0.1, 0.5]], dtype=torch.float64)
    metric = CentroidMetric(torch.zeros(1, 2, dtype=torch.float64), torch.diag_embed(scale), 1.0, 1e-9)
    torch.testing.assert_close(metric.tensor(torch.zeros(1, 2, dtype=torch.float64))[0], torch.diag(scale[0] ** -2))


def test_density_counts_neighbours_and_lengthens_empty_space() -> None:
    """One at a lonely point, none far off; `DensityWeighted` divides by 1 - exp(-density) + floor."""
    points = torch.tensor([[0.0, 0.0], [50.0, 0.0]], dtype=torch.float64)
    density = KernelDensity(points, 2.0)
    z = torch.tensor([[0.0, 0.0], [2.0, 0.0], [25.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([1.0, 0.36787944117, 0.0], dtype=torch.float64)
    torch.testing.assert_close(density(z), expected, rtol=1e-8, atol=1e-12)
    v = normal_numbers(3, 2)
    plain = Pullback(lambda x: x)
    longer = DensityWeighted(plain, density, 0.03).square(z, v)
    torch.testing.assert_close(longer, plain.square(z, v) / (1.03 - torch.exp(-expected)), rtol=1e-8, atol=1e-12)


def test_spacing_is_the_median_nearest_neighbour_distance() -> None:
    """Of points on a line at growing distances."""
    points = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0]], dtype=torch.float64)
    assert spacing(points) == pytest.approx(2.0)
