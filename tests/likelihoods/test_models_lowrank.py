"""Normal likelihoods in principal components: the covariance from z, and low rank plus diagonal, against torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.features import ShapeSpace
from trajvae.likelihoods.principal import Basis, Conditional, LowRank, UnitBasis, split

SIZE = 6
FLOOR = 1e-3
MANY = 10_000


def _space(kept: int) -> ShapeSpace:
    """Features of six numbers, so many principal components of them kept."""
    space = ShapeSpace(np.zeros((SIZE, 1)), np.ones(SIZE), "none", kept)
    space.set_components(_residuals(seed=7), kept, 0.1)
    return space


def _residuals(n: int = 3000, seed: int = 0, size: int = SIZE) -> Tensor:
    """Correlated numbers in Å."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return 0.3 * torch.randn(n, size, generator=generator, dtype=torch.float64) @ mix


@dataclass(frozen=True)
class Case:
    """A basis by how many components it keeps, or that of numbers of order one."""

    name: str
    basis: Basis


CASES = [
    Case("one", _space(1)),
    Case("three", _space(3)),
    Case("all", _space(SIZE)),
    Case("unit", UnitBasis(4)),
    Case("many", UnitBasis(45)),
]


@pytest.fixture(params=CASES, ids=lambda c: c.name)
def basis(request: pytest.FixtureRequest) -> Basis:
    """Of one row of the table."""
    return request.param.basis


def _params(likelihood: Conditional, rows: int, seed: int = 1) -> dict[str, Tensor]:
    """What a decoder could give: deviations about half of the scales, and all couplings."""
    generator = torch.Generator().manual_seed(seed)
    draw = {
        k: torch.randn(rows, n, generator=generator, dtype=torch.float64) for k, n in likelihood.param_sizes.items()
    }
    loc = 0.1 * torch.randn(rows, likelihood.size, generator=generator, dtype=torch.float64)
    return {"loc": loc, "log_scale": 0.3 * draw["log_scale"] - 0.7, "coupling": 0.3 * draw["coupling"]}


def _covariance(likelihood: Conditional, params: dict[str, Tensor]) -> Tensor:
    """The covariance of one row, (F, F), built from its definition with plain loops."""
    basis = likelihood._basis[0]
    kept, coupled = basis.input_size, min(basis.input_size, 40)
    lower = torch.eye(kept, dtype=torch.float64)
    values = iter(params["coupling"][0])
    for row in range(coupled):
        for column in range(row):
            lower[row, column] = next(values)
    scaled = (2.0 * params["log_scale"][0]).exp() + (likelihood.floor / basis.scale) ** 2
    inverse = torch.linalg.inv(lower)
    whole = basis.axes @ (basis.scale[:, None] * (inverse @ scaled.diag() @ inverse.T) * basis.scale @ basis.axes.T)
    rest = torch.eye(basis.size, dtype=torch.float64) - basis.axes @ basis.axes.T
    return whole + likelihood.variance * rest


def _conditional(basis: Basis, floor: float = FLOOR) -> Conditional:
    """With a variance of the rest of 0.04 Å^2."""
    likelihood = Conditional(basis, floor, MANY)
    likelihood.set_moment(torch.tensor(0.04, dtype=torch.float64))
    return likelihood


def test_conditional_log_prob_is_torch_s(basis: Basis) -> None:
    """log p is MultivariateNormal's with the covariance built from deviations, couplings and the rest's variance."""
    likelihood = _conditional(basis)
    params, targets = _params(likelihood, 5), _residuals(5, 2, basis.size)
    rows = [{k: v[i : i + 1] for k, v in params.items()} for i in range(5)]
    exact = [
        td.MultivariateNormal(p["loc"][0], _covariance(likelihood, p)).log_prob(targets[i]) for i, p in enumerate(rows)
    ]
    torch.testing.assert_close(likelihood.log_prob(targets, params), torch.stack(exact), rtol=1e-8, atol=1e-8)


def test_conditional_draws_have_the_covariance(basis: Basis) -> None:
    """Every entry of the draws' covariance is within 4.5 standard errors of it, 4 where there are few entries."""
    likelihood = _conditional(basis)
    n, params = 20_000 if basis.size < 10 else 4000, _params(likelihood, 1)
    covariance = _covariance(likelihood, params)
    many = {k: v.expand(n, -1) for k, v in params.items()}
    residual = likelihood.sample(many, torch.Generator().manual_seed(3)) - params["loc"]
    error = ((covariance.diagonal().outer(covariance.diagonal()) + covariance.square()) / n).sqrt()
    most = 4.0 if basis.size < 10 else 4.5
    assert bool(((residual.T @ residual / n - covariance).abs() <= most * error).all())
    assert bool((residual.mean(dim=0).abs() <= 4.0 * (covariance.diagonal() / n).sqrt()).all())


def test_conditional_draws_and_density_belong_together(basis: Basis) -> None:
    """The density at a draw is that of its noise over the volume that draws make of noise's."""
    likelihood = _conditional(basis)
    params, noise = _params(likelihood, 1), _residuals(1, 4, basis.size)
    volume = torch.autograd.functional.jacobian(lambda e: likelihood.draw(params, e)[0], noise)[:, 0]
    expected = td.Normal(0.0, 1.0).log_prob(noise).sum() - torch.linalg.slogdet(volume).logabsdet
    found = likelihood.log_prob(likelihood.draw(params, noise), params)
    torch.testing.assert_close(found[0], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kept", [2, SIZE])
def test_conditional_gradients(kept: int) -> None:
    """Derivatives of log p by mean, deviations, couplings and targets agree with finite differences, and are there."""
    likelihood = _conditional(_space(kept))
    params, targets = _params(likelihood, 2), _residuals(2, 2).requires_grad_()
    names = sorted(params)
    leaves = [params[k].requires_grad_() for k in names]

    def value(x: Tensor, *numbers: Tensor) -> Tensor:
        return likelihood.log_prob(x, dict(zip(names, numbers, strict=True)))

    assert torch.autograd.gradcheck(value, (targets, *leaves), atol=1e-5, rtol=1e-5)
    slopes = torch.autograd.grad(value(targets, *leaves).sum(), leaves)
    assert all(bool((slope.abs() > 1e-6).all()) for slope in slopes)


def test_conditional_draws_follow_the_parameters() -> None:
    """Derivatives of draws of fixed noise by mean, deviations and couplings agree with finite differences."""
    likelihood = _conditional(_space(3))
    params, noise = _params(likelihood, 2), _residuals(2, 5)
    names = sorted(params)
    leaves = [params[k].requires_grad_() for k in names]
    assert torch.autograd.gradcheck(
        lambda *numbers: likelihood.draw(dict(zip(names, numbers, strict=True)), noise), leaves, atol=1e-6, rtol=1e-6
    )


def test_conditional_deviations_have_the_floor(basis: Basis) -> None:
    """Deviations that a decoder sends to zero leave the floor in every component; so does a rest of zero."""
    likelihood = _conditional(basis, floor=0.01)
    params = {k: torch.zeros_like(v) for k, v in _params(likelihood, 1).items()}
    params["log_scale"] = params["log_scale"] - 200.0
    params["log_scale"].requires_grad_()
    likelihood.set_moment(torch.tensor(0.0, dtype=torch.float64))
    value = likelihood.log_prob(torch.zeros(1, basis.size, dtype=torch.float64), params)
    assert value.item() == pytest.approx(-basis.size * (math.log(0.01) + 0.5 * math.log(2.0 * math.pi)), rel=1e-9)
    (slope,) = torch.autograd.grad(value, params["log_scale"])
    assert bool(slope.isfinite().all())


def test_conditional_moment_is_of_the_rest() -> None:
    """The moment is the mean square of the directions that the components leave, and the best variance of them."""
    basis, residual = _space(3), _residuals(seed=8)
    likelihood = Conditional(basis, FLOOR, MANY)
    rest = torch.eye(SIZE, dtype=torch.float64) - basis.axes @ basis.axes.T
    moment = likelihood.moment(residual)
    torch.testing.assert_close(moment, (residual @ rest).square().sum() / len(residual) / 3)
    params = {k: v.expand(len(residual), -1) for k, v in _params(likelihood, 1).items()}
    params["loc"] = torch.zeros_like(residual)
    scores = []
    for factor in (1.0, 0.95, 1.05):
        likelihood.set_moment(factor * moment)
        scores.append(likelihood.log_prob(residual, params).mean().item())
    assert scores[0] > max(scores[1:])


def test_conditional_asks_for_heads(basis: Basis) -> None:
    """A mean and a deviation for each component, and the correlations of the first 40 of them."""
    coupled = min(basis.input_size, 40)
    sizes = {"loc": basis.input_size, "log_scale": basis.input_size, "coupling": coupled * (coupled - 1) // 2}
    assert Conditional(basis, FLOOR, MANY).param_sizes == sizes


def test_conditional_state_survives_a_copy() -> None:
    """The variance of the rest is in the state, and nothing of the features is."""
    likelihood, other = _conditional(_space(3)), Conditional(_space(3), FLOOR, MANY)
    params, targets = _params(likelihood, 5), _residuals(5, 2)
    assert set(likelihood.state_dict()) == {"variance"}
    other.load_state_dict(likelihood.state_dict())
    assert torch.equal(other.log_prob(targets, params), likelihood.log_prob(targets, params))


def test_conditional_of_unit_numbers_in_single_precision() -> None:
    """In the basis of numbers of order one float32 gives float32, and float64's log p to 1e-3."""
    likelihood = Conditional(UnitBasis(20), 1e-2, MANY)
    likelihood.set_moment(torch.tensor(0.0, dtype=torch.float64))
    params, targets = _params(likelihood, 50), _residuals(50, 2, 20)
    single = likelihood.log_prob(targets.float(), {k: v.float() for k, v in params.items()})
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), likelihood.log_prob(targets, params), rtol=1e-4, atol=1e-3)


def _lowrank(basis: Basis) -> tuple[LowRank, Tensor]:
    """Fitted to residuals, and its covariance as its definition has it."""
    likelihood = LowRank(basis, FLOOR, MANY)
    likelihood.set_moment(likelihood.moment(_residuals(seed=5, size=basis.size)))
    v, rest = likelihood.variance, torch.eye(basis.size, dtype=torch.float64) - basis.axes @ basis.axes.T
    return likelihood, basis.axes @ v[:-1].diag() @ basis.axes.T + v[-1] * rest


def test_lowrank_log_prob_is_torch_s(basis: Basis) -> None:
    """log p is MultivariateNormal's, whether components are fewer than the features or as many."""
    likelihood, covariance = _lowrank(basis)
    loc, targets = _residuals(5, 1, basis.size), _residuals(5, 2, basis.size)
    exact = td.MultivariateNormal(loc, covariance).log_prob(targets)
    found = likelihood.log_prob(targets, {"loc": loc})
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [SIZE, 60])
@pytest.mark.parametrize("kind", [LowRank, Conditional])
def test_all_components_leave_nothing(size: int, kind: type[LowRank] | type[Conditional]) -> None:
    """With all kept the rest is zero, not rounding over the square of the floor: float32's log p is float64's."""
    basis = ShapeSpace(np.zeros((size, 1)), np.ones(size), "none", size)
    basis.set_components(_residuals(seed=7, size=size), size, 0.1)
    residual, targets = _residuals(seed=5, size=size), _residuals(200, 2, size)
    likelihood = kind(basis, FLOOR, MANY)
    likelihood.set_moment(likelihood.moment(residual))
    assert float(likelihood.variance.reshape(-1)[-1]) == FLOOR**2
    for x in (targets, targets.float()):
        components, rest = split(basis, x)
        assert rest.dtype == x.dtype and torch.equal(rest, torch.zeros_like(x[:, 0]))
        torch.testing.assert_close(components, x @ basis.axes.to(x))
    params = {"loc": _residuals(200, 1, size)}
    if isinstance(likelihood, Conditional):
        params |= {k: v for k, v in _params(likelihood, 200).items() if k != "loc"}
        params["coupling"] = 0.1 * params["coupling"]
    double = likelihood.log_prob(targets, params)
    single = likelihood.log_prob(targets.float(), {k: v.float() for k, v in params.items()})
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-3)


def test_lowrank_draws_have_the_covariance(basis: Basis) -> None:
    """Draws are a linear map of the noise whose square is the covariance."""
    likelihood, covariance = _lowrank(basis)
    noise = torch.eye(basis.size, dtype=torch.float64)
    loc = _residuals(1, 1, basis.size).expand(basis.size, -1)
    made = likelihood.draw({"loc": loc}, noise) - loc
    torch.testing.assert_close(made.T @ made, covariance)


def test_lowrank_takes_each_component_s_own_variance(basis: Basis) -> None:
    """The variances are the residuals' mean squares along the axes, not below the floor; of the rest, their mean."""
    likelihood, covariance = _lowrank(basis)
    residual = _residuals(seed=5, size=basis.size)
    along = (residual @ basis.axes).square().mean(dim=0)
    torch.testing.assert_close(likelihood.variance[:-1], along)
    if basis.input_size < basis.size:
        torch.testing.assert_close(covariance.trace(), residual.square().mean(dim=0).sum())
    likelihood.set_moment(torch.zeros_like(likelihood.variance))
    torch.testing.assert_close(likelihood.variance, torch.full_like(likelihood.variance, FLOOR**2))


def test_lowrank_starts_spherical(basis: Basis) -> None:
    """Structure 0 gives every direction the mean variance, of all features alike."""
    likelihood, residual = LowRank(basis, FLOOR, MANY), _residuals(seed=5, size=basis.size)
    likelihood.set_moment(likelihood.moment(residual), 0.0)
    torch.testing.assert_close(likelihood.variance, residual.square().mean().expand_as(likelihood.variance))


def test_the_basis_of_unit_numbers() -> None:
    """All numbers are kept, along the identity and at scale one."""
    basis = UnitBasis(5)
    assert (basis.size, basis.input_size) == (5, 5)
    assert torch.equal(basis.axes, torch.eye(5, dtype=torch.float64))
    assert torch.equal(basis.scale, torch.ones(5, dtype=torch.float64))
