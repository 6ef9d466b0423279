"""Models with springs: chosen for few frames of a chain, saved and loaded, resumed, and warned of where unsound."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Model
from trajvae.errors import TrajvaeWarning
from trajvae.likelihoods.springs import Springs
from trajvae.models.plain_normal import MARGIN, plain_normal_density, warn_of_unsound_elbo
from trajvae.typing import Floats

pytestmark = pytest.mark.filterwarnings("ignore")


def _chain(n: int = 60) -> Floats:
    """Frames of eight beads (T, 8, 3) in Å, bonded one to the next, about a helix."""
    generator, k = np.random.default_rng(0), np.arange(8)
    helix = np.stack([2.3 * np.cos(1.7 * k), 2.3 * np.sin(1.7 * k), 1.5 * k], axis=1)
    bend = 0.4 * generator.normal(size=(n, 1, 1)) * helix[:, [2, 0, 1]] * 0.2
    return (helix + bend + 0.05 * generator.normal(size=(n, 8, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    """Trained for a few epochs, with defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Model.train(_chain(), epochs=6, seed=0)


def test_springs_are_the_default_of_few_frames(model: Model) -> None:
    """Of a chain without a topology too; validation frames have decided on the weight."""
    likelihood = model.pipeline.vae.likelihood
    assert isinstance(likelihood, Springs)
    assert model.figures.likelihood == "springs"
    assert bool(likelihood.weighing.decided)
    assert 0.0 < float(likelihood.weighing.weight) < 1.0


def test_a_saved_model_is_the_same(model: Model, tmp_path: Path) -> None:
    """Densities and the next covariance, bit for bit."""
    model.save(tmp_path / "model.h5")
    one, other = model.pipeline.vae.likelihood, Model.load(tmp_path / "model.h5").pipeline.vae.likelihood
    x = 0.1 * torch.randn(5, one.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(2):
        assert torch.equal(one.log_prob(x, {"loc": 0.0 * x}), other.log_prob(x, {"loc": 0.0 * x}))
        for each in (one, other):
            each.set_moment(each.moment(x))


def test_plain_normal_density_is_that_of_torch(model: Model) -> None:
    """Mean log-density of frames under the mean and one variance of others."""
    frames = _chain()
    found = plain_normal_density(model.pipeline, frames[:40], frames[40:])
    targets = model.pipeline.targets(model.pipeline.alignment.apply(frames))
    mean = targets[:40].mean(dim=0)
    normal = torch.distributions.Normal(mean, (targets[:40] - mean).square().mean().sqrt())
    assert found == pytest.approx(float(normal.log_prob(targets[40:]).sum(dim=1).mean()), rel=1e-9)
    assert plain_normal_density(model.pipeline, frames[:0], frames) is None


def test_only_an_unsound_elbo_is_warned_of(model: Model) -> None:
    """Five nats a degree of freedom below a plain normal; nothing where that is not known."""
    frames, size = _chain(), model.pipeline.vae.features.size
    plain = plain_normal_density(model.pipeline, frames[:40], frames[40:])
    assert plain is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_of_unsound_elbo(plain - MARGIN * size + 0.1, model.pipeline, frames[:40], frames[40:])
        assert not warn_of_unsound_elbo(-1e9, model.pipeline, frames[:0], frames)
    with pytest.warns(TrajvaeWarning, match="6.0 nats a degree of freedom below"):
        assert warn_of_unsound_elbo(plain - 6.0 * size, model.pipeline, frames[:40], frames[40:])
