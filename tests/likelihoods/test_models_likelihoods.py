"""Likelihoods within a model: what training leaves in them. Their contract is in tests/contracts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.likelihoods.gaussians import Full, Isotropic
from trajvae.training.batches import InMemoryBatches
from trajvae.training.evaluation import mean_moment


def test_mean_moment_does_not_depend_on_the_chunk() -> None:
    """The moment over frames in unequal chunks is that over all at once."""

    class Stub:
        """A VAE whose residuals are its targets."""

        likelihood = Full(3, 1e-3, 1000)

        def terms(self, inputs: torch.Tensor, targets: torch.Tensor, generator: torch.Generator) -> Stub:
            """Keep the residual."""
            self.residual = targets
            return self

        def weighted(self, weights: torch.Tensor | None) -> Stub:
            """All frames count alike."""
            assert weights is None
            return self

    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for chunk in (7, 50, 1000):
        found = mean_moment(Stub(), InMemoryBatches(x, x, x, x), torch.Generator(), chunk)  # type: ignore[arg-type]
        torch.testing.assert_close(found, x.T @ x / 50)


@pytest.mark.filterwarnings("ignore:no topology")
@pytest.mark.parametrize(("name", "kind"), [("isotropic", Isotropic), ("full", Full)])
def test_a_user_s_choice_is_kept(chain: np.ndarray, name: str, kind: type) -> None:
    """`likelihood=` decides the class, and the trained noise is that of the residuals, not the initial 1 Å."""
    config = TrainConfig(epochs=3, hidden=(16,), likelihood=name)
    model = Model.train(chain, config, device="cpu")
    likelihood = model.pipeline.vae.likelihood
    assert isinstance(likelihood, kind)
    assert model.figures["likelihood"] == name
    loc = torch.zeros(20_000, likelihood.size, dtype=torch.float64)
    noise = likelihood.sample({"loc": loc}, torch.Generator().manual_seed(0)).square().mean()
    aligned = model.pipeline.alignment.apply(chain)
    train = ~model.record.held_out
    targets = model.pipeline.targets(aligned)[torch.from_numpy(train)]
    inputs = model.pipeline.vae.features.inputs(targets).float()
    generator = torch.Generator().manual_seed(1)
    residual = model.pipeline.vae.terms(inputs, targets.float(), generator).residual
    assert float(noise) == pytest.approx(float(residual.square().mean()), rel=0.1)


@pytest.mark.filterwarnings("ignore:no topology")
def test_noise_is_never_finer_than_the_file(chain: np.ndarray) -> None:
    """The floor is at least 1e-3 Å, whatever an array's own precision."""
    model = Model.train(chain, TrainConfig(epochs=3, hidden=(16,)), device="cpu")
    assert model.pipeline.vae.likelihood.floor >= 1e-3
