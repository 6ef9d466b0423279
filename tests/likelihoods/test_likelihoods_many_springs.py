"""Springs of very many features: density, draws, parts of the covariance, state, limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.errors import OptionError
from trajvae.features import ShapeSpace
from trajvae.likelihoods import BondedStructure, make_likelihood
from trajvae.likelihoods.gaussians import MAX_FULL
from trajvae.likelihoods.many_springs import MAX_SPRINGS, ManySprings
from trajvae.likelihoods.principal import UnitBasis
from trajvae.testing import LIKELIHOOD_CHECKS
from trajvae.testing.likelihoods import FRAMES

ATOMS, KEPT, FLOOR = 8, 4, 1e-3
SIZE = 3 * ATOMS - 6


def _space() -> tuple[ShapeSpace, BondedStructure]:
    """Features of atoms along a spiral, four principal components kept, and their bonds."""
    k = np.arange(ATOMS)
    x = np.stack([2.3 * np.cos(1.7 * k), 2.3 * np.sin(1.7 * k), 1.5 * k], axis=1)
    x -= x.mean(axis=0)
    features = ShapeSpace(x, np.ones(ATOMS), "superpose", KEPT)
    frames = x + 0.1 * np.random.default_rng(0).normal(size=(50, ATOMS, 3))
    features.set_components(features.targets(torch.from_numpy(frames)), KEPT, 0.1)
    return features, BondedStructure(np.stack([k[:-1], k[1:]], axis=1).astype(np.int64), x)


def _made(n_frames: int = 30, floor: float = FLOOR) -> ManySprings:
    features, structure = _space()
    return ManySprings(features, floor, n_frames, structure)


def _residuals(n: int = 30, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return 0.05 * torch.randn(n, SIZE, generator=generator, dtype=torch.float64) @ mix


def _fitted() -> ManySprings:
    likelihood = _made()
    likelihood.set_moment(likelihood.moment(_residuals()))
    return likelihood


def _covariance(likelihood: ManySprings) -> Tensor:
    """Of draws of the noise's unit vectors."""
    unit = torch.eye(SIZE, dtype=torch.float64)
    columns = likelihood.draw({"loc": torch.zeros_like(unit)}, unit)
    return columns.T @ columns


CHECKS = [check for check in LIKELIHOOD_CHECKS if check.__name__ != "check_moments"]  # springs do not fit any moment


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_checks_of_likelihoods(check: Callable[[Callable[[], ManySprings]], None]) -> None:
    """Those of trajvae.testing, without a molecule."""
    check(lambda: ManySprings(UnitBasis(4), FLOOR, FRAMES))


def test_log_prob_equals_torch() -> None:
    """log p is that of the normal distribution with the covariance of draws, to 1e-9, and nearly so in float32."""
    likelihood, x, loc = _fitted(), _residuals(20, 1), _residuals(20, 2)
    twin = td.MultivariateNormal(loc, _covariance(likelihood)).log_prob(x)
    torch.testing.assert_close(likelihood.log_prob(x, {"loc": loc}), twin, rtol=1e-9, atol=1e-9)
    single = likelihood.log_prob(x.float(), {"loc": loc.float()})
    torch.testing.assert_close(single.double(), twin, rtol=1e-3, atol=1e-3)


def test_components_have_the_shrunk_moment_and_the_rest_follows_the_springs() -> None:
    """The covariance of u is (1 - w) S + w T, and that of v given u, and its mean, are the network's."""
    likelihood, residual = _fitted(), _residuals()
    found = _covariance(likelihood)
    network = likelihood.scale * torch.linalg.inv(likelihood.springs.precision())
    network = network + FLOOR**2 * torch.eye(SIZE, dtype=torch.float64)
    first, w = residual[:, :KEPT], likelihood.weighing.weight
    assert 0.0 < float(w) < 1.0
    shrunk = (1.0 - w) * first.T @ first / len(first) + w * network[:KEPT, :KEPT]
    torch.testing.assert_close(found[:KEPT, :KEPT], shrunk, rtol=1e-3, atol=1e-5)
    precision, expected = torch.linalg.inv(found), torch.linalg.inv(network)
    torch.testing.assert_close(precision[KEPT:, KEPT:], expected[KEPT:, KEPT:], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(precision[KEPT:, :KEPT], expected[KEPT:, :KEPT], rtol=1e-6, atol=1e-6)


def test_structure_zero_is_spherical() -> None:
    """One variance, the mean of the moment."""
    likelihood, residual = _made(), _residuals()
    likelihood.set_moment(likelihood.moment(residual), 0.0)
    expected = residual.square().mean() * torch.eye(SIZE, dtype=torch.float64)
    torch.testing.assert_close(_covariance(likelihood), expected, rtol=1e-3, atol=1e-5)


def test_moments_of_batches_average() -> None:
    """Means of two batches of equal size average to that of all; the misfit is 1 where only size is fitted."""
    likelihood, residual = _made(), _residuals(40)
    halves = (likelihood.moment(residual[:20]) + likelihood.moment(residual[20:])) / 2
    torch.testing.assert_close(halves, likelihood.moment(residual))
    likelihood.set_moment(halves, 0.0)
    torch.testing.assert_close(likelihood.misfit(residual), torch.ones((), dtype=torch.float64), rtol=1e-3, atol=0.0)


def test_a_loaded_likelihood_goes_on_as_the_other() -> None:
    """From the state alone, bit for bit, also while the structure is brought in."""
    likelihood, x = _fitted(), _residuals(5, 3)
    likelihood.set_moment(likelihood.moment(_residuals()), 0.43)
    other = _made()
    other.load_state_dict(likelihood.state_dict())
    assert torch.equal(likelihood.log_prob(x, {"loc": x * 0.9}), other.log_prob(x, {"loc": x * 0.9}))
    for each in (likelihood, other):
        each.set_moment(1.02 * each.moment(_residuals()), 0.47)
    assert torch.equal(likelihood.log_prob(x, {"loc": x * 0.9}), other.log_prob(x, {"loc": x * 0.9}))


@pytest.mark.parametrize("residual", [torch.zeros(5, SIZE).double(), _residuals(2), 1e-9 * _residuals(3)])
def test_no_direction_is_far_narrower_than_the_floor(residual: Tensor) -> None:
    """Whatever the residuals, densities are finite, and no conditional width is below 0.75 of the floor."""
    likelihood = _made(len(residual), floor=0.02)
    likelihood.set_moment(likelihood.moment(residual))
    assert likelihood.log_prob(residual, {"loc": residual * 0.0}).isfinite().all()
    assert torch.linalg.cholesky(_covariance(likelihood)).diagonal().min() >= 0.75 * 0.02


def test_too_many_features_are_refused() -> None:
    """Above 1000 features it stands for `springs`; above 3000 the error names the way out."""
    n = (MAX_FULL + 6) // 3 + 1
    features = ShapeSpace(np.random.default_rng(0).normal(size=(n, 3)), np.ones(n), "superpose", 3)
    assert isinstance(make_likelihood("springs", features, FLOOR, 20), ManySprings)
    n = (MAX_SPRINGS + 6) // 3 + 1
    features = ShapeSpace(np.random.default_rng(0).normal(size=(n, 3)), np.ones(n), "superpose", 3)
    with pytest.raises(OptionError, match="lowrank"):
        make_likelihood("springs", features, FLOOR, 20)
