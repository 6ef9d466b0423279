"""Posteriors of the hidden variable: against torch.distributions, unbiased gradients, extremes."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import distributions as td

from trajvae.latents.hidden import HIDDEN, HiddenBeta, HiddenNormal


def _beta(mean: float, total: float, n: int = 1) -> dict[str, torch.Tensor]:
    logit = torch.full((n, 1), math.log(mean / (1.0 - mean)), dtype=torch.float64)
    return {"loc": logit, "log_concentration": torch.full((n, 1), math.log(total / 2.0) - 2.0, dtype=torch.float64)}


@pytest.mark.parametrize(
    ("name", "head", "offset"), [("normal", "log_scale", 1.0), ("beta", "log_concentration", -2.0)]
)
def test_the_prior_is_within_reach_and_an_untrained_encoder_is_narrower(name: str, head: str, offset: float) -> None:
    """One value of the heads gives the uniform distribution and no divergence; zeros give a third of its width."""
    hidden = HIDDEN[name](2, 1e-4)
    params = {k: torch.zeros(20_000, size, dtype=torch.float64) for k, size in hidden.sizes.items()}
    assert 0.1 < float(hidden.spread(params).max()) < 0.16
    params[head] += offset
    u, ratio = hidden.draw(params, torch.Generator().manual_seed(0))
    assert float(hidden.kl(params).abs().max()) < 1e-12
    assert float(ratio.abs().max()) < 1e-9
    assert stats.kstest(u[:, 0].numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("a", "b"), [(0.3, 2.0), (1.0, 1.0), (5.0, 0.7), (300.0, 20.0), (2e4, 3e4)])
def test_beta_is_that_of_torch(a: float, b: float) -> None:
    """Mean, spread, divergence, log ratio and law of draws."""
    hidden, twin = HiddenBeta(1, 1e-4), td.Beta(*torch.tensor([a, b], dtype=torch.float64))
    params = _beta(a / (a + b), a + b, 20_000)
    u, ratio = hidden.draw(params, torch.Generator().manual_seed(0))
    one = torch.ones((), dtype=torch.float64)
    assert float(hidden.mean(params)[0, 0]) == pytest.approx(a / (a + b), rel=1e-9)
    assert float(hidden.spread(params)[0, 0]) == pytest.approx(float(twin.stddev), rel=1e-9)
    assert float(hidden.kl(params)[0]) == pytest.approx(float(td.kl_divergence(twin, td.Beta(one, one))), abs=1e-7)
    inside = (u[:, 0] > 1e-9) & (u[:, 0] < 1.0 - 1e-9)
    torch.testing.assert_close(ratio[inside], twin.log_prob(u[inside, 0]), rtol=1e-6, atol=1e-6)
    assert stats.kstest(u[:, 0].numpy(), stats.beta(a, b).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("mean", "total"), [(0.45, 0.8), (0.5, 2.0), (0.2, 500.0), (1e-3, 3e4), (0.9, 5e4)])
def test_gradients_of_beta_draws_are_unbiased(mean: float, total: float) -> None:
    """T1: of E[u] to both heads, 4 standard errors of the closed form; torch's own Beta is off at such extremes."""
    n, hidden = 40_000, HiddenBeta(1, 1e-4)
    params = {k: v.requires_grad_() for k, v in _beta(mean, total, n).items()}
    u = hidden.draw(params, torch.Generator().manual_seed(0)).u
    to_loc, to_concentration = torch.autograd.grad(u.sum(), list(params.values()))
    for found, expected in ((to_loc, mean * (1.0 - mean)), (to_concentration, 0.0)):
        error = float(found.std()) / n**0.5
        assert abs(float(found.mean()) - expected) <= 4.0 * error + 1e-12


@pytest.mark.parametrize("name", HIDDEN)
def test_extremes_are_finite_in_float32(name: str) -> None:
    """T7: heads far out of range, with their gradients."""
    hidden = HIDDEN[name](3, 1e-4)
    for size in (-1e4, 1e4):
        for loc in (-30.0, 0.0, 30.0):
            params = {k: torch.full((50, n), loc if k == "loc" else size) for k, n in hidden.sizes.items()}
            params = {k: v.requires_grad_() for k, v in params.items()}
            u, ratio = hidden.draw(params, torch.Generator().manual_seed(1))
            found = [u, ratio, hidden.kl(params), hidden.mean(params), hidden.spread(params)]
            assert all(bool(x.isfinite().all()) for x in found)
            gradients = torch.autograd.grad(sum(x.sum() for x in found), list(params.values()))
            assert all(bool(g.isfinite().all()) for g in gradients)


def test_a_normal_draw_is_the_distribution_function_of_its_normal() -> None:
    """Its ratio is that of the normals."""
    hidden = HiddenNormal(2, 1e-4)
    params = {"loc": torch.randn(50, 2).double(), "log_scale": 0.3 * torch.randn(50, 2).double() - 1.0}
    u, ratio = hidden.draw(params, torch.Generator().manual_seed(0))
    h = torch.special.ndtri(u)
    twin = td.Normal(params["loc"], (params["log_scale"] - 1.0).exp()).log_prob(h) - td.Normal(0.0, 1.0).log_prob(h)
    torch.testing.assert_close(ratio, twin.sum(dim=-1), rtol=1e-5, atol=1e-5)
