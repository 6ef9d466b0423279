"""The weight of the target of a shrunk covariance: the evidence against quadrature, limits, and frames left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from trajvae.likelihoods.gaussians import FRAMES_A_FEATURE, Full
from trajvae.likelihoods.shrinkage import target_weight


def _log_evidence(square: float, n: int, k: float) -> float:
    """Of n residuals of one number with mean square S, by quadrature over the variance; the target is 1."""

    def density(log_variance: float) -> float:
        v = np.exp(log_variance)
        prior = stats.invgamma.logpdf(v, (k + 2.0) / 2.0, scale=k / 2.0)  # whose mean is 1
        return float(np.exp(prior + log_variance - 0.5 * n * (np.log(2.0 * np.pi * v) + square / v) + 0.5 * n))

    return float(np.log(integrate.quad(density, -12.0, 12.0, limit=400)[0]))


@pytest.mark.parametrize("square", [0.3, 2.5])
def test_the_weight_has_the_largest_evidence(square: float) -> None:
    """Of one number: no other weight has a larger integral of likelihood times prior."""
    n = 12
    best = target_weight(torch.tensor([square]), n)

    def evidence(w: float) -> float:
        return _log_evidence(square, n, n * w / (1.0 - w))

    assert all(evidence(best) >= evidence(w) - 1e-6 for w in (0.9 * best, 0.5 * best, min(1.1 * best, 0.99)))


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
