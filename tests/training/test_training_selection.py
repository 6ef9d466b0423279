"""The end of a training keeps what networks add to principal components only where validation frames ask for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.training.batches import InMemoryBatches
from trajvae.training.evaluation import Evaluation, evaluate
from trajvae.training.schedule import Schedule
from trajvae.training.selection import Selection, excess_over_principal
from trajvae.training.trainer import Trainer


def _setup(x: np.ndarray, held: int, dim: int, likelihood: str = "isotropic") -> tuple[VAE, InMemoryBatches]:
    frames, n = torch.from_numpy(x), len(x) - held
    alignment = Alignment("none", x.mean(axis=0), np.ones(x.shape[1]))
    size = x[0].size
    vae = build_vae(
        TrainConfig(hidden=(32,), latent_dim=dim), alignment, ModelSizes(size, likelihood, 1e-3, n, carried=dim)
    )
    vae.features.set_components(vae.features.targets(frames[:n]), size, 0.1)
    targets = vae.features.targets(frames)
    inputs, targets = vae.features.inputs(targets).float(), targets.float()
    return vae, InMemoryBatches(inputs[:n], targets[:n], inputs[n:], targets[n:])


def _frames(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(size=(n, 2)) @ random.normal(size=(2, 6)) + 0.3 * random.normal(size=(n, 6))).reshape(n, 3, 2)


def _select(vae: VAE, data: InMemoryBatches) -> None:
    def score() -> Evaluation:
        return evaluate(vae, data, seed=0)

    Selection(vae, data, score, lambda factor: max(factor, 1.0), torch.Generator().manual_seed(0), 0).run()


@pytest.mark.parametrize("likelihood", ["isotropic", "full", "lowrank"])
def test_a_model_that_starts_is_principal_components(likelihood: str) -> None:
    """Its networks add nothing yet: reconstructions are the projections."""
    vae, data = _setup(_frames(120), 40, 2, likelihood)
    decoded = vae.likelihood.mean(vae.decode(vae.latent.mean(vae.encode(data.validation_inputs))))
    torch.testing.assert_close(decoded, vae.features.project(data.validation_targets, 2), atol=1e-5, rtol=0)
    assert excess_over_principal(vae, data) == 0.0


@pytest.mark.parametrize("likelihood", ["isotropic", "full"])
def test_networks_that_do_harm_are_left_out(likelihood: str) -> None:
    """With noise in their heads they are worse than principal components: what they add goes, wholly or in part."""
    vae, data = _setup(_frames(120), 40, 2, likelihood)
    for network in (vae.encoder, vae.decoder):
        torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(1))
    assert excess_over_principal(vae, data) > 0.1
    _select(vae, data)
    assert excess_over_principal(vae, data) <= 0.0
    assert not vae.decoder.head.weight[vae.decoder.rows("loc")].any()


def test_networks_that_help_are_kept() -> None:
    """Frames along a parabola: one curved dimension reconstructs them better than one straight line."""
    t = np.random.default_rng(3).normal(size=200)
    x = np.stack([t, 0.4 * t**2, 0.0 * t, 0.0 * t], axis=1) + 0.05 * np.random.default_rng(4).normal(size=(200, 4))
    vae, data = _setup(x.reshape(200, 2, 2), 60, 1)
    Trainer(vae, data, Schedule(60, 16, warmup=100)).run()
    assert excess_over_principal(vae, data) < -0.1
    assert bool(vae.decoder.head.weight[vae.decoder.rows("loc")].any())
