"""Latent points from all posteriors together: widening keeps mean and covariance, and fills gaps where it helps."""

from __future__ import annotations

import math

import pytest
import torch

from trajvae.models.aggregate import widening


def _normal(n: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "dim"), [(30, 2), (400, 10)])
def test_mean_and_covariance_stay(n: int, dim: int) -> None:
    """Those of the draws are those of the posteriors together, whatever is taken from one and given to the other."""
    mixing = torch.eye(dim, dtype=torch.float64) + 0.4 * _normal(dim, dim, 1)
    mean, scale = _normal(n, dim, 0) @ mixing + 3.0, torch.full((n, dim), 0.05, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    found = widening(mean, scale, mean[:0], generator)
    assert 0.1 < found.share < 0.6
    rows = torch.randint(n, (200_000,), generator=generator)
    z = mean[rows] + scale[rows] * torch.randn(len(rows), dim, generator=generator, dtype=torch.float64)
    drawn = found.apply(z, generator)
    wanted = mean.T.cov() + 0.05**2 * torch.eye(dim, dtype=torch.float64)
    error = 4.0 * wanted.diagonal().max() * math.sqrt(2.0 / len(rows))
    torch.testing.assert_close(drawn.T.cov(), wanted * (1.0 - 1.0 / n), atol=float(error) + 2.0 / n, rtol=0)
    torch.testing.assert_close(drawn.mean(dim=0), mean.mean(dim=0), atol=float(error), rtol=0)


def test_posteriors_that_overlap_stay_as_they_are() -> None:
    """Where each is as wide as a kernel by the rule nothing is added: draws are the very same numbers."""
    generator = torch.Generator().manual_seed(0)
    mean = _normal(500, 2, 0)
    found = widening(mean, torch.full((500, 2), 0.5, dtype=torch.float64), _normal(50, 2, 1), generator)
    assert found.share == 0.0 and found.apply(mean, generator) is mean


def test_validation_frames_choose_how_wide_a_kernel_is() -> None:
    """The rule is for one normal distribution: of two narrow ones far apart kernels are narrower."""
    side = torch.tensor([-10.0, 10.0], dtype=torch.float64).repeat(200)[:, None]
    points, judges = side + _normal(400, 2, 0), side + _normal(400, 2, 1)
    scale = torch.full((400, 2), 0.02, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    by_rule = widening(points, scale, judges[:5], generator).share
    assert widening(points, scale, judges, generator).share < 0.5 * by_rule
    one = widening(_normal(400, 2, 4), scale, _normal(100, 2, 5), generator)
    assert one.share >= 0.5 * by_rule


def test_too_few_posteriors_stay_as_they_are() -> None:
    """Fewer frames than dimensions have no covariance."""
    generator = torch.Generator().manual_seed(0)
    found = widening(_normal(3, 4, 0), torch.ones(3, 4, dtype=torch.float64), _normal(20, 4, 1), generator)
    assert found.share == 0.0
