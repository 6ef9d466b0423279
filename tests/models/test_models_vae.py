"""The ELBO: its parts against their definitions, and against the exact evidence by quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae import Model, TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.latents import Context
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE

FRAMES = 6


def _vae(dim: int) -> tuple[VAE, Tensor, Tensor]:
    """An untrained VAE with networks large enough to matter, in float64, with inputs and targets."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3, 2)) * [2.0, 0.5]
    alignment = Alignment("none", x.mean(axis=0), np.ones(3))
    vae = build_vae(TrainConfig(latent_dim=dim, hidden=(16,)), alignment, ModelSizes(6, "full", 1e-3, 200)).double()
    targets = vae.features.targets(torch.from_numpy(x))
    targets = vae.features.set_components(targets, 6, 0.1)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for head in (vae.encoder.head, vae.decoder.head):
            head.weight.normal_(0.0, 8.0 * math.sqrt(0.02 / head.in_features), generator=generator)
            head.bias.copy_(0.3 * torch.randn(head.bias.shape, generator=generator))
    inputs = vae.features.inputs(targets)
    vae.likelihood.set_moment(vae.likelihood.moment(targets - targets.mean(dim=0)))
    vae.requires_grad_(False)
    return vae, inputs[:FRAMES], targets[:FRAMES]


def _log_likelihood(vae: VAE, z: Tensor, targets: Tensor) -> Tensor:
    """log p(x|z) by torch.distributions, (len(z), len(targets))."""
    loc = vae.features.expand(vae.decoder(z)["loc"])
    covariance = vae.likelihood.cholesky @ vae.likelihood.cholesky.T
    return td.MultivariateNormal(loc[:, None], covariance).log_prob(targets)


def test_the_terms_are_their_definitions() -> None:
    """log-likelihood, KL and residual of one draw equal those made by hand with torch.distributions."""
    vae, inputs, targets = _vae(2)
    terms = vae.terms(inputs, targets, torch.Generator().manual_seed(7))
    params = vae.encoder(inputs)
    noise = torch.randn(FRAMES, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    z = params["loc"] + params["log_scale"].exp() * noise
    posterior = td.Normal(params["loc"], params["log_scale"].exp())
    torch.testing.assert_close(terms.log_likelihood, _log_likelihood(vae, z, targets).diagonal())
    torch.testing.assert_close(terms.kl, td.kl_divergence(posterior, td.Normal(torch.zeros(2), 1.0)).double())
    torch.testing.assert_close(terms.residual, targets - vae.features.expand(vae.decoder(z)["loc"]))


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.5])
def test_the_elbo_is_the_sum_of_its_parts(beta: float) -> None:
    """ELBO = log-likelihood - beta times the KL summed over parts."""
    vae, inputs, targets = _vae(2)
    terms = vae.terms(inputs, targets, torch.Generator().manual_seed(0))
    torch.testing.assert_close(terms.elbo(beta), terms.log_likelihood - beta * (terms.kl[:, 0] + terms.kl[:, 1]))
    assert float(terms.kl.sum()) > 0.1


def test_elbo_equals_quadrature_and_stays_below_the_evidence() -> None:
    """With one latent dimension: the drawn ELBO is the integral's within 4 s.e., and below the exact log p(x)."""
    vae, inputs, targets = _vae(1)
    grid = torch.linspace(-12.0, 12.0, 20_001, dtype=torch.float64)
    step = float(grid[1] - grid[0])
    joint = _log_likelihood(vae, grid[:, None], targets) + td.Normal(0.0, 1.0).log_prob(grid)[:, None]
    evidence = torch.logsumexp(joint, dim=0) + math.log(step)
    params = vae.encoder(inputs)
    q = td.Normal(params["loc"][:, 0], params["log_scale"][:, 0].exp())
    log_q = q.log_prob(grid[:, None])
    exact = (log_q.exp() * (joint - log_q)).sum(dim=0) * step
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([vae.terms(inputs, targets, generator).elbo() for _ in range(2000)])
    error = draws.std(dim=0) / math.sqrt(len(draws))
    assert bool(((draws.mean(dim=0) - exact).abs() <= 4.0 * error).all())
    assert bool((exact < evidence).all())
    assert bool((exact > evidence - 50.0).all())


def _iwae(vae: VAE, inputs: Tensor, targets: Tensor, k: int, seed: int) -> Tensor:
    """The importance-weighted bound of K draws, (B,)."""
    params = {name: value.repeat_interleave(k, dim=0) for name, value in vae.encode(inputs).items()}
    many = targets.repeat_interleave(k, dim=0)
    z, ratio = vae.latent.rsample(params, Context(torch.Generator().manual_seed(seed)))
    weight = vae.likelihood.log_prob(many, vae.decode(z)) - ratio.sum(dim=-1)
    return torch.logsumexp(weight.view(len(inputs), k), dim=1) - math.log(k)


def test_iwae_approaches_the_evidence_from_below() -> None:
    """With many draws the importance-weighted bound is the exact evidence; with few it is lower."""
    vae, inputs, targets = _vae(1)
    grid = torch.linspace(-12.0, 12.0, 20_001, dtype=torch.float64)
    joint = _log_likelihood(vae, grid[:, None], targets) + td.Normal(0.0, 1.0).log_prob(grid)[:, None]
    evidence = torch.logsumexp(joint, dim=0) + math.log(float(grid[1] - grid[0]))
    many = torch.stack([_iwae(vae, inputs, targets, 2000, s) for s in range(30)])
    few = torch.stack([_iwae(vae, inputs, targets, 1, s) for s in range(300)])
    torch.testing.assert_close(many.mean(dim=0), evidence, rtol=0, atol=0.05)
    assert bool((few.mean(dim=0) < evidence).all())


def test_elbo_is_not_above_the_iwae_bound(tiny_model: Model, chain: np.ndarray) -> None:
    """T5: for a trained model, ELBO <= IWAE of 100 draws + 3 standard errors, on independent draws."""
    pipeline = tiny_model.pipeline
    exact = pipeline.targets(pipeline.alignment.apply(chain[tiny_model.record.held_out]))
    inputs, targets = pipeline.vae.features.inputs(exact).float(), exact.float()
    generator = torch.Generator().manual_seed(11)
    elbo = torch.stack([pipeline.vae.terms(inputs, targets, generator).elbo() for _ in range(50)])
    iwae = torch.stack([_iwae(pipeline.vae, inputs, targets, 100, s) for s in range(5)])
    gap = iwae.mean(dim=0) - elbo.mean(dim=0)
    error = float((elbo.var(dim=0) / 50 + iwae.var(dim=0) / 5).sum().sqrt()) / len(inputs)
    assert float(gap.mean()) >= -3.0 * error
    assert float(gap.mean()) < 5.0
