"""Means, spreads, quantiles and differences of values on a circle, beside those of a line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import circmean

from trajvae.outputs.searching.circular_statistics import mean, quantiles, spread, wrapped

ANGLES = np.random.default_rng(0).normal(175.0, 20.0, size=(3, 500))


def test_wrapped_is_above_minus_half_a_period() -> None:
    """180 stays and -180 becomes 180; by whole periods; without a period nothing changes; the slope is 1."""
    assert wrapped(np.array([180.0, -180.0, 190.0, -190.0, 540.0, 0.0]), 360.0).tolist() == [
        180,
        180,
        -170,
        170,
        180,
        0,
    ]
    assert wrapped(725.0, 360.0) == 5.0
    assert wrapped(725.0, 0.0) == 725.0
    x = torch.tensor([-500.0, 10.0, 190.0], requires_grad=True)
    assert torch.autograd.grad(wrapped(x, 360.0).sum(), x)[0].tolist() == [1.0, 1.0, 1.0]


def test_the_mean_is_the_mean_direction() -> None:
    """That of SciPy, across the cut; its gradient is that of finite differences; without a direction it is finite."""
    x = torch.from_numpy(wrapped(ANGLES, 360.0))
    twin = circmean(x.numpy(), high=180.0, low=-180.0, axis=1)
    np.testing.assert_allclose(mean(x, 360.0, dim=1), twin, atol=1e-9)
    assert torch.equal(mean(x, 0.0, dim=1), x.mean(dim=1))
    assert torch.autograd.gradcheck(lambda x: mean(x, 360.0, dim=1), x[:1, :6].clone().requires_grad_(True))
    opposite = torch.tensor([[0.0, 180.0], [90.0, -90.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(mean(opposite, 360.0, dim=1).sum(), opposite)
    assert bool(slope.isfinite().all())


def test_spread_and_quantiles_do_not_depend_on_where_the_circle_is_cut() -> None:
    """Those of angles across the cut are those of the same angles turned away from it, turned back."""
    angles, away = wrapped(ANGLES[0], 360.0), ANGLES[0] - 175.0
    assert spread(angles, 360.0) == pytest.approx(np.std(away), rel=1e-3)
    low, high = quantiles(angles, [0.01, 0.99], 360.0)
    assert low == pytest.approx(np.quantile(away, 0.01) + 175.0, abs=1e-6)
    assert high == pytest.approx(np.quantile(away, 0.99) + 175.0 - 360.0, abs=1e-6)


def test_without_a_period_they_are_numpy_s() -> None:
    """To the bit."""
    assert spread(ANGLES[0], 0.0) == float(np.std(ANGLES[0]))
    assert quantiles(ANGLES[0], [0.01, 0.5], 0.0) == np.quantile(ANGLES[0], [0.01, 0.5]).tolist()
