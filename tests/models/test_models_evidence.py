"""Importance-weighted bounds: nested groups, effective draws, evidence of a model whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.features import PrincipalBaseline
from trajvae.models.evidence import effective_draws, evidence, group_sizes, nested_bounds
from trajvae.models.pipeline import Pipeline
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.topology import Topology


def test_group_sizes_divide_each_other() -> None:
    """Powers of ten where they divide, and all draws."""
    assert group_sizes(1) == (1,)
    assert group_sizes(500) == (1, 10, 100, 500)
    assert group_sizes(1000) == (1, 10, 100, 1000)
    assert group_sizes(64) == (1, 64)


def test_bounds_rise_to_the_log_of_the_mean() -> None:
    """T5: the first is the mean log weight, the last the log mean weight, and none falls (they are nested)."""
    weights = 3.0 * torch.randn(50, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bounds = nested_bounds(weights, group_sizes(1000))
    torch.testing.assert_close(bounds[:, 0], weights.mean(dim=1))
    torch.testing.assert_close(bounds[:, -1], torch.logsumexp(weights, dim=1) - math.log(1000))
    assert bool((bounds.diff(dim=1) >= 0.0).all())


def test_effective_draws() -> None:
    """All of them where weights are equal, one where one is all; by the plain formula elsewhere, at any level."""
    assert float(effective_draws(torch.full((1, 40), -700.0).double())) == pytest.approx(40.0)
    assert float(effective_draws(torch.tensor([[900.0, 0.0, 0.0]]).double())) == pytest.approx(1.0)
    weights = torch.randn(3, 20, dtype=torch.float64)
    plain = weights.exp().sum(dim=1) ** 2 / (2 * weights).exp().sum(dim=1)
    torch.testing.assert_close(effective_draws(weights + 300.0), plain)


@pytest.fixture
def linear() -> tuple[Pipeline, np.ndarray, float]:
    """A model with a linear decoder, whose evidence is a normal density; frames; the mean log-likelihood."""
    x = np.random.default_rng(0).normal(size=(40, 2, 2))
    config = TrainConfig(latent_dim=2, hidden=(8,), align="none")
    alignment = Alignment("none", x.mean(axis=0), np.ones(2))
    vae = build_vae(config, alignment, ModelSizes(4, "isotropic", 1e-3, 40))
    vae.features.set_components(vae.features.targets(torch.from_numpy(x)), 4, 0.1)
    with torch.no_grad():
        vae.decoder.head.weight.zero_()
        vae.likelihood.set_moment(torch.tensor(0.5**2).double())
    pipeline = Pipeline(
        config,
        ModelSizes(4, "isotropic", 1e-3, 40),
        Topology.anonymous(2),
        alignment,
        vae,
        PrincipalBaseline.empty(alignment, vae.features, 0),
        torch.device("cpu"),
    )
    square = ((x - x.mean(axis=0)) ** 2).sum(axis=(1, 2))
    return pipeline, x, float((-0.5 * square / 0.25 - 2.0 * math.log(2 * math.pi * 0.25)).mean())


def test_a_decoder_that_ignores_the_latent_has_a_closed_evidence(linear: tuple[Pipeline, np.ndarray, float]) -> None:
    """The bound by importance reaches it, the ELBO is the divergence below."""
    pipeline, x, exact = linear
    found = evidence(pipeline, x, 1000, seed=1)
    assert found.sizes == (1, 10, 100, 1000) and found.bounds.shape == (40, 4)
    assert float(found.iwae.mean()) == pytest.approx(exact, abs=0.02)
    kl = float(pipeline.reconstruct(x)[1].kl.sum(axis=1).mean())
    assert float(found.elbo.mean()) == pytest.approx(exact - kl, abs=0.02)
    assert np.all(found.elbo <= found.iwae) and np.all((found.effective >= 1.0) & (found.effective <= 1000.0))
    assert np.array_equal(evidence(pipeline, x, 1000, seed=1).bounds, found.bounds)
