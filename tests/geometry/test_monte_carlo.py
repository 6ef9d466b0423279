"""Hamiltonian Monte Carlo against a known density; effective sample sizes against a known autocorrelation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trajvae.geometry.monte_carlo import LogDensity, SamplingPlan, effective_sample_size, hamiltonian_monte_carlo


def _normal(z: Tensor) -> tuple[Tensor, Tensor]:
    """Of mean (1, -2) and standard deviations (0.5, 3)."""
    mean, scale = torch.tensor([1.0, -2.0], dtype=z.dtype), torch.tensor([0.5, 3.0], dtype=z.dtype)
    return -0.5 * ((z - mean) / scale).square().sum(dim=-1), -(z - mean) / scale.square()


def test_samples_of_a_normal_have_its_moments() -> None:
    """Mean and variance within four standard errors by the effective sample size; acceptance as it was set."""
    generator = torch.Generator().manual_seed(0)
    start = torch.zeros(200, 2, dtype=torch.float64)
    scale = torch.tensor([0.5, 3.0], dtype=torch.float64)
    samples, acceptance = hamiltonian_monte_carlo(_normal, start, scale, SamplingPlan(8, 200, 50), generator)
    assert samples.shape == (50, 200, 2) and acceptance == pytest.approx(0.8, abs=0.05)
    size = effective_sample_size(samples)
    assert 500.0 < size < 50_000.0
    flat = samples.view(-1, 2)
    exact = torch.tensor([1.0, -2.0], dtype=torch.float64)
    assert bool(((flat.mean(dim=0) - exact).abs() <= 4.0 * scale / size**0.5).all())
    assert bool(((flat.var(dim=0) / scale.square() - 1.0).abs() <= 4.0 * (2.0 / size) ** 0.5).all())


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_effective_sample_size_of_an_autoregression(correlation: float) -> None:
    """n (1 - r) / (1 + r) for x' = r x + noise."""
    generator = torch.Generator().manual_seed(1)
    x, out = torch.randn(100, 1, dtype=torch.float64, generator=generator), []
    for _ in range(400):
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        x = correlation * x + (1.0 - correlation**2) ** 0.5 * noise
        out.append(x)
    exact = 40_000 * (1.0 - correlation) / (1.0 + correlation)
    assert effective_sample_size(torch.stack(out)) == pytest.approx(exact, rel=0.15)


def test_what_is_not_finite_is_not_accepted() -> None:
    """A wall of NaN: chains stay on their side."""

    def half(z: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = _normal(z)
        return torch.where(z[:, 0] > 0.0, value, torch.nan), gradient

    start = torch.ones(50, 2, dtype=torch.float64)
    scale = torch.tensor([0.5, 3.0], dtype=torch.float64)
    samples, _ = hamiltonian_monte_carlo(half, start, scale, SamplingPlan(5, 20, 10), torch.Generator().manual_seed(2))
    assert bool((samples[..., 0] > 0.0).all())


def _funnel(z: Tensor) -> tuple[Tensor, Tensor]:
    """A standard normal coordinate that sets the width of the others, exp(z0 / 4)."""
    width = (0.25 * z[:, :1]).exp()
    part = z[:, 1:] / width
    value = -0.5 * z[:, 0].square() - 0.5 * part.square().sum(dim=-1) - 0.25 * z[:, 0] * (z.shape[1] - 1)
    first = -z[:, 0] + 0.25 * part.square().sum(dim=-1) - 0.25 * (z.shape[1] - 1)
    return value, torch.cat([first[:, None], -part / width], dim=1)


def _quartic(z: Tensor) -> tuple[Tensor, Tensor]:
    return -z.square().square().sum(dim=-1), -4.0 * z**3


def _tight(z: Tensor) -> tuple[Tensor, Tensor]:
    return -0.5 * (50.0 * z).square().sum(dim=-1), -2500.0 * z


@pytest.mark.parametrize("density", [_normal, _funnel, _quartic, _tight])
@pytest.mark.parametrize("chains", [20, 100])
def test_acceptance_after_the_burn_in_is_as_it_was_set(density: LogDensity, chains: int) -> None:
    """0.8 within 0.05, wherever the chains begin and however wide the density is thought to be."""
    generator = torch.Generator().manual_seed(chains)
    start = 0.1 * torch.randn(chains, 2, dtype=torch.float64, generator=generator)
    scale = 0.3 * torch.ones(2, dtype=torch.float64)
    _, acceptance = hamiltonian_monte_carlo(density, start, scale, SamplingPlan(15, 200, 60), generator)
    assert acceptance == pytest.approx(0.8, abs=0.05)
