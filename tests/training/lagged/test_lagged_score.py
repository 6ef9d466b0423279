"""The VAMP-2 score: closed forms, deeptime called by hand, invariances, and the gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from trajvae.choices import LATENTS
from trajvae.latents import make_latent
from trajvae.training.lagged.score import (
    RIDGE,
    lagged_coordinates,
    reversible_moments,
    slowest_combinations,
    vamp2,
)

KEPT = (0.9, 0.5)


def autoregressive(n: int, kept: tuple[float, ...] = KEPT, seed: int = 0) -> torch.Tensor:
    """Independent normal processes whose correlation from frame to frame is known."""
    noise = np.random.default_rng(seed).standard_normal((n, len(kept)))
    return torch.tensor(np.stack([lfilter([np.sqrt(1 - a * a)], [1, -a], noise[:, k]) for k, a in enumerate(kept)], 1))


def test_the_score_of_known_processes():
    """1 plus the squared correlations, within four standard errors of 20 runs."""
    found = [float(vamp2(z[:-1], z[1:])) for z in (autoregressive(4000, seed=s) for s in range(20))]
    error = np.std(found, ddof=1) / 20**0.5
    assert abs(np.mean(found) - 1.0 - sum(a * a for a in KEPT)) < 4 * error
    assert error < 0.01


def test_bounds():
    z = autoregressive(300)
    assert float(vamp2(z, z)) == pytest.approx(3.0, abs=1e-12)
    still = torch.ones(300, 2, dtype=torch.float64)
    assert float(vamp2(still, still, None, RIDGE)) == pytest.approx(1.0, abs=1e-12)
    assert 1.0 < float(vamp2(z[:-1], z[1:], None, RIDGE)) < float(vamp2(z[:-1], z[1:]))


@pytest.mark.parametrize("weighted", [False, True])
def test_deeptime_by_hand(weighted):
    decomposition = pytest.importorskip("deeptime.decomposition", reason="an optional package, in trajvae[kinetics]")
    from deeptime.covariance import Covariance

    z = autoregressive(2000, (0.9, 0.6, 0.3)) @ torch.tensor(np.random.default_rng(1).normal(size=(3, 3)))
    w = np.random.default_rng(2).uniform(0.5, 2.0, 2000) if weighted else None
    estimator = Covariance(lagtime=5, compute_c0t=True, reversible=True, remove_data_mean=True)
    moments = estimator.fit(z.numpy(), weights=w).fetch_model()
    model = decomposition.TICA(epsilon=1e-12, scaling=None).fit_from_covariances(moments).fetch_model()
    by_hand = 1.0 + np.sum(model.singular_values**2)
    own = float(vamp2(z[:-5], z[5:], None if w is None else torch.tensor(w[:-5])))
    assert own == pytest.approx(by_hand, abs=1e-8)


def test_linear_maps_change_nothing_and_weights_are_repeats():
    z = autoregressive(400)
    turned = z @ torch.tensor([[2.0, 1.0], [-0.5, 3.0]], dtype=torch.float64) + 7.0
    assert float(vamp2(turned[:-1], turned[1:])) == pytest.approx(float(vamp2(z[:-1], z[1:])), abs=1e-10)
    counts = torch.tensor(np.random.default_rng(0).integers(0, 4, 399))
    rows = torch.repeat_interleave(torch.arange(399), counts)
    repeated = float(vamp2(z[:-1][rows], z[1:][rows]))
    assert float(vamp2(z[:-1], z[1:], counts.double())) == pytest.approx(repeated, abs=1e-12)


def test_time_runs_either_way():
    z = autoregressive(100)
    assert float(vamp2(z[:-1], z[1:])) == pytest.approx(float(vamp2(z[1:], z[:-1])), abs=1e-12)


def test_the_gradient():
    z = autoregressive(30).requires_grad_()
    w = torch.tensor(np.random.default_rng(3).uniform(0.5, 2.0, 29))
    assert torch.autograd.gradcheck(lambda x: vamp2(x[:-1], x[1:], w, RIDGE), (z,), rtol=1e-5)


@pytest.mark.parametrize("backend", LATENTS)
def test_coordinates_of_every_latent_space(backend):
    """Their number is at least the dimension; near points have near coordinates, and gradients are finite."""
    settings = {"signature": "h2,s2,e1"} if backend == "product" else {}
    latent = make_latent(backend, 5 if settings else 2, settings)
    z = latent.prior_sample(40, torch.Generator().manual_seed(0)).detach()
    with torch.no_grad():
        found = lagged_coordinates(latent.manifold, z)
        near = lagged_coordinates(latent.manifold, latent.manifold.project(z + 1e-4 * torch.randn_like(z)))
    assert found.shape[0] == 40 and found.shape[1] >= latent.dim
    assert float((near - found).abs().max()) < 1e-2
    found = lagged_coordinates(latent.manifold, z.requires_grad_())
    (slope,) = torch.autograd.grad(vamp2(found[:-1], found[1:], None, RIDGE), z)
    assert torch.isfinite(slope).all() and slope.abs().max() > 0


def test_the_slowest_combinations():
    """Of mixed processes they are those processes, by falling correlation, each of variance 1."""
    z = autoregressive(20000, (0.5, 0.95, 0.1))
    mixing = torch.tensor(np.random.default_rng(4).normal(size=(3, 3)))
    mixed = z @ mixing
    mean, covariance, lagged = reversible_moments(mixed[:-1], mixed[1:])
    found = slowest_combinations(covariance, lagged, 2, 0.0)
    along = (mixed - mean) @ found.mT
    assert found.shape == (2, 3)
    torch.testing.assert_close(along.var(dim=0), torch.ones(2, dtype=torch.float64), rtol=1e-2, atol=0.0)
    assert abs(np.corrcoef(along[:, 0], z[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(along[:, 1], z[:, 0])[0, 1]) > 0.97
