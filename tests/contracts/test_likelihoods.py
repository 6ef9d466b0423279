"""The contract of every likelihood, over one table of cases; a new one adds its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.errors import OptionError
from trajvae.features import ShapeSpace
from trajvae.likelihoods import LIKELIHOODS, default_likelihood, likelihood_names, make_likelihood
from trajvae.likelihoods.base import Likelihood
from trajvae.likelihoods.gaussians import FRAMES_A_FEATURE, MAX_FULL, Full, Isotropic
from trajvae.likelihoods.principal import LowRank, UnitBasis
from trajvae.testing import LIKELIHOOD_CHECKS

SIZE = 4
FLOOR = 1e-3
MANY = 10_000


def _isotropic_covariance(likelihood: Likelihood) -> Tensor:
    assert isinstance(likelihood, Isotropic)
    return likelihood.sigma.square() * torch.eye(likelihood.size, dtype=torch.float64)


def _lowrank_covariance(likelihood: Likelihood) -> Tensor:
    assert isinstance(likelihood, LowRank)
    axes, v = likelihood._basis[0].axes, likelihood.variance
    return (axes * (v[:-1] - v[-1])) @ axes.T + v[-1] * torch.eye(likelihood.size, dtype=torch.float64)


def _lowrank_best(moment: Tensor) -> Tensor:
    axes = _space(SIZE).axes
    inside = (axes * (axes.T @ moment @ axes).diagonal()) @ axes.T
    rest = torch.eye(SIZE, dtype=torch.float64) - axes @ axes.T
    return inside + (moment * rest).sum() / rest.trace() * rest


def _full_covariance(likelihood: Likelihood) -> Tensor:
    assert isinstance(likelihood, Full)
    return likelihood.cholesky @ likelihood.cholesky.T


def _space(size: int) -> ShapeSpace:
    """Features of so many numbers without alignment, three principal components of them kept."""
    space = ShapeSpace(np.zeros((size, 1)), np.ones(size), "none", 3)
    space.set_components(_residuals(size=size, seed=7), 3, 0.1) if size == SIZE else None
    return space


def _make(name: str, size: int = SIZE, floor: float = FLOOR, n_frames: int = MANY) -> Likelihood:
    return make_likelihood(name, _space(size), floor, n_frames)


@dataclass(frozen=True)
class Case:
    """A likelihood, its covariance, and what its best covariance is for a moment matrix of residuals."""

    name: str
    covariance: Callable[[Likelihood], Tensor]
    best: Callable[[Tensor], Tensor]


CASES = [
    Case("isotropic", _isotropic_covariance, lambda m: m.diagonal().mean() * torch.eye(len(m), dtype=m.dtype)),
    Case("full", _full_covariance, lambda m: m),
    Case("springs", _full_covariance, lambda m: m),
    Case("lowrank", _lowrank_covariance, _lowrank_best),
]


@pytest.fixture(params=CASES, ids=lambda c: c.name)
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


def _residuals(n: int = 3000, size: int = SIZE, seed: int = 0) -> Tensor:
    """Correlated residuals in Å."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return 0.3 * torch.randn(n, size, generator=generator, dtype=torch.float64) @ mix


def _fitted(case: Case, n_frames: int = MANY) -> tuple[Likelihood, Tensor]:
    likelihood = _make(case.name, n_frames=n_frames)
    residual = _residuals()
    likelihood.set_moment(likelihood.moment(residual))
    return likelihood, residual


def _score(likelihood: Likelihood, residual: Tensor) -> float:
    return float(likelihood.log_prob(residual, {"loc": torch.zeros_like(residual)}).mean())


@pytest.mark.parametrize("check_part", LIKELIHOOD_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_checks_of_likelihoods(name: str, check_part: Callable[[Callable[[], Likelihood]], None]) -> None:
    """The checks that trajvae.testing has for a user's own."""
    check_part(lambda: LIKELIHOODS[name].load()(UnitBasis(SIZE), FLOOR, MANY))


def test_every_likelihood_has_a_row() -> None:
    """The table covers all likelihoods that a user can choose."""
    assert {c.name for c in CASES} | {"conditional"} == set(likelihood_names("cartesian"))


def test_log_prob_equals_torch(case: Case) -> None:
    """log p equals torch.distributions.MultivariateNormal to 1e-10 in float64."""
    likelihood, targets = _fitted(case)
    loc = _residuals(len(targets), seed=1)
    twin = td.MultivariateNormal(loc, case.covariance(likelihood)).log_prob(targets)
    torch.testing.assert_close(likelihood.log_prob(targets, {"loc": loc}), twin, rtol=1e-10, atol=1e-10)


def test_the_m_step_is_the_maximum(case: Case) -> None:
    """The covariance set from the mean moment is the best one: every other lowers the mean log-likelihood."""
    likelihood, residual = _fitted(case)
    moment = likelihood.moment(residual)
    best = _score(likelihood, residual)
    torch.testing.assert_close(case.covariance(likelihood), case.best(residual.T @ residual / len(residual)))
    generator = torch.Generator().manual_seed(2)
    others = [moment * 1.05, moment * 0.95]
    for _ in range(5):
        noise = torch.randn(moment.shape, generator=generator, dtype=torch.float64) * moment.abs().mean()
        others.append(moment + 0.05 * (noise + noise.mT if noise.ndim == 2 else noise))
    for other in others:
        likelihood.set_moment(other)
        assert _score(likelihood, residual) < best


def test_noise_has_the_covariance(case: Case) -> None:
    """Every entry of the draws' covariance is within four standard errors of the likelihood's."""
    likelihood, _ = _fitted(case)
    covariance = case.covariance(likelihood)
    n = 40_000
    params = {"loc": torch.zeros(n, SIZE, dtype=torch.float64)}
    draws = likelihood.sample(params, torch.Generator().manual_seed(3))
    error = ((covariance.diagonal().outer(covariance.diagonal()) + covariance.square()) / n).sqrt()
    assert bool(((draws.T @ draws / n - covariance).abs() <= 4 * error).all())
    assert bool((draws.mean(dim=0).abs() <= 4 * (covariance.diagonal() / n).sqrt()).all())


def test_no_direction_is_narrower_than_the_floor(case: Case) -> None:
    """Residuals of zero, or confined to a plane, leave the floor as standard deviation and log p finite."""
    likelihood = _make(case.name, floor=0.01)
    flat = _residuals()
    flat[:, 0] = flat[:, 1]
    for residual in (torch.zeros(20, SIZE, dtype=torch.float64), flat):
        likelihood.set_moment(likelihood.moment(residual))
        values = torch.linalg.eigvalsh(case.covariance(likelihood))
        assert values.min() >= 0.01**2 * (1 - 1e-9)
        assert bool(likelihood.log_prob(residual, {"loc": torch.zeros_like(residual)}).isfinite().all())
    likelihood.set_moment(likelihood.moment(torch.zeros(20, SIZE, dtype=torch.float64)))
    torch.testing.assert_close(case.covariance(likelihood), 1e-4 * torch.eye(SIZE, dtype=torch.float64))


def test_structure_zero_is_spherical(case: Case) -> None:
    """Structure 0 keeps the mean variance alone, 1 the moment's own, and between them it is linear."""
    likelihood = _make(case.name)
    moment = likelihood.moment(_residuals())
    found = []
    for structure in (0.0, 0.25, 1.0):
        likelihood.set_moment(moment, structure)
        found.append(case.covariance(likelihood))
    spherical = found[0].diagonal().mean() * torch.eye(SIZE, dtype=torch.float64)
    torch.testing.assert_close(found[0], spherical)
    torch.testing.assert_close(found[1], 0.25 * found[2] + 0.75 * spherical)
    torch.testing.assert_close(found[0].trace(), found[2].trace())


def test_full_covariance_is_shrunk_where_frames_are_few() -> None:
    """Below ten frames a feature, and only there, the covariance is pulled towards its mean variance."""
    moment = _residuals().T @ _residuals() / 3000
    spherical = moment.diagonal().mean() * torch.eye(SIZE, dtype=torch.float64)
    for n in (2 * SIZE, FRAMES_A_FEATURE * SIZE - 1, FRAMES_A_FEATURE * SIZE):
        likelihood = Full(SIZE, FLOOR, n)
        likelihood.set_moment(moment)
        share = float(likelihood.weighing.weight) if likelihood.shrinks else 0.0
        assert likelihood.shrinks == (n < FRAMES_A_FEATURE * SIZE) == (share > 0.0)
        torch.testing.assert_close(_full_covariance(likelihood), (1 - share) * moment + share * spherical)


def test_full_covariance_of_too_many_features_is_refused() -> None:
    """Above 1000 features 'full' is an OptionError that names the way out; at 1000 it is made."""
    with pytest.raises(OptionError, match="isotropic"):
        _make("full", MAX_FULL + 1)
    assert _make("full", MAX_FULL).size == MAX_FULL


def test_unknown_likelihood_is_refused_with_those_there_are() -> None:
    """The message names the likelihoods."""
    with pytest.raises(OptionError, match=r"no_such.*isotropic.*full"):
        _make("no_such")


@pytest.mark.parametrize(
    ("size", "frames", "name"),
    [(30, 300, "full"), (30, 299, "isotropic"), (1000, 10_000, "full"), (1001, 10**6, "lowrank")],
)
def test_default_needs_ten_frames_a_feature(size: int, frames: int, name: str) -> None:
    """`full` by default with 10 frames a feature and at most 1000 features."""
    assert default_likelihood(_space(size), frames) == name
