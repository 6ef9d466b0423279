"""The weight of the target of a shrunk covariance: leaving frames out one by one, limits, and other frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.likelihoods.gaussians import FRAMES_A_FEATURE, Full
from trajvae.likelihoods.shrinkage import Weighing, target_weight, weight_for


def _left_out(residual: Tensor, w: float) -> float:
    """Mean log density of each residual (n, F) under the shrunk covariance of the others; the target is 1."""
    n, size = residual.shape
    out = []
    for k in range(n):
        others = torch.cat([residual[:k], residual[k + 1 :]])
        covariance = (1.0 - w) * others.T @ others / (n - 1) + w * torch.eye(size, dtype=residual.dtype)
        out.append(td.MultivariateNormal(torch.zeros(size).double(), covariance).log_prob(residual[k]))
    return float(torch.stack(out).mean())


@pytest.mark.parametrize("n", [8, 40])
def test_the_weight_is_nearly_the_best_of_leaving_out_one(n: int) -> None:
    """Of residuals about a mean that was not taken from them, within 0.1 nats a feature of all weights."""
    size = 12
    scale = torch.logspace(0, -1, size, dtype=torch.float64)
    residual = torch.randn(n, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale
    moment = residual.T @ residual / n
    # one residual more of the same moment: the weight takes one to be lost to the mean
    found = target_weight(torch.linalg.eigvalsh(moment) * n / (n + 1), n + 1)
    best = max(_left_out(residual, w) for w in np.linspace(0.02, 0.98, 33))
    assert _left_out(residual, found) > best - 0.1 * size


def test_other_frames_decide() -> None:
    """Of all weights, with its own best factor, the one that is found has the largest likelihood of the others."""
    values, others = torch.logspace(-2, 2, 30).double(), torch.logspace(-1, 1.5, 30).double()
    found = weight_for(values, others)

    def loss(w: float) -> float:
        widths = (1.0 - w) * values + w
        widths = widths * (others / widths).mean()
        return float((widths.log() + others / widths).sum())

    assert all(loss(found) <= loss(w) + 1e-2 for w in np.linspace(0.001, 0.999, 200))


def test_a_decided_weight_stays() -> None:
    """What other frames decided is not guessed again, is in the state, and files without it load."""
    weighing = Weighing()
    weighing.decide(torch.tensor([0.1, 1.0, 5.0]), torch.tensor([0.5, 1.0, 3.0]))
    before = weighing.weight.clone()
    weighing.guess(torch.ones(3), 50)
    assert torch.equal(weighing.weight, before)
    other = Weighing()
    other.load_state_dict(weighing.state_dict())
    assert torch.equal(other.weight, before)
    other.load_state_dict({})
    assert torch.equal(other.weight, before)


def test_limits() -> None:
    """Residuals as the target says leave hardly anything but the target; quite other ones hardly anything of it."""
    assert target_weight(torch.ones(20), 50) > 0.9
    assert target_weight(torch.logspace(-3, 3, 20), 5000) < 0.1
    assert 0.0 <= target_weight(torch.zeros(4), 3) <= 1.0


def _mean_divergence(weight: float, moment: Tensor, true: Tensor) -> float:
    """Twice the nats that a frame of the true covariance loses with the shrunk one, up to a constant."""
    size = len(moment)
    shrunk = (1.0 - weight) * moment + weight * moment.trace() / size * torch.eye(size, dtype=moment.dtype)
    return float(torch.logdet(shrunk) + (torch.linalg.inv(shrunk) * true).sum())


@pytest.mark.parametrize("n", [15, 60, 300])
def test_full_is_nearly_as_good_as_with_the_best_weight(n: int) -> None:
    """Within 0.1 nats a feature of the best of all weights for frames left out; n/(F + n) of the moment is worse."""
    size = 40
    true = torch.diag(torch.logspace(0, -4, size, dtype=torch.float64))
    noise = torch.randn(n, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    residual = noise @ true.sqrt()
    likelihood = Full(size, 1e-6, n)
    assert n < FRAMES_A_FEATURE * size
    moment = likelihood.moment(residual)
    likelihood.set_moment(moment)
    covariance = likelihood.cholesky @ likelihood.cholesky.T
    found = float(torch.logdet(covariance) + (torch.linalg.inv(covariance) * true).sum())
    best = min(_mean_divergence(w, moment, true) for w in np.logspace(-5, 0, 60))
    assert found < best + 2.0 * 0.1 * size
    assert found < _mean_divergence(size / (size + n), moment, true)
