"""Checks of likelihoods: densities, draws, gradients, moments, state."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trajvae.likelihoods import Builder, Likelihood
from trajvae.likelihoods.base import Params
from trajvae.likelihoods.principal import UnitBasis
from trajvae.testing.numbers import agrees, check_gradients, close, random_heads, require

SIZE, FLOOR, FRAMES = 4, 1e-3, 10_000
DRAWS = 20_000
Make = Callable[[], Likelihood]


def _residuals(n: int = 3000) -> Tensor:
    """Correlated residuals (n, F) in Å."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    return 0.3 * torch.randn(n, SIZE, generator=generator, dtype=torch.float64) @ mix


def _fitted(make: Make) -> Likelihood:
    likelihood = make()
    likelihood.set_moment(likelihood.moment(_residuals()))
    return likelihood


def _params(likelihood: Likelihood, n: int, dtype: torch.dtype = torch.float64) -> Params:
    return random_heads(likelihood.param_sizes, n, dtype=dtype)


def _log_prob(likelihood: Likelihood, targets: Tensor, params: Params) -> Tensor:
    return likelihood.log_prob(targets, likelihood.condition_on(targets, params))


def check_outputs(make: Make) -> None:
    """Check shape and precision of densities, draws and means."""
    likelihood = _fitted(make)
    for dtype in (torch.float32, torch.float64):
        params = _params(likelihood, 5, dtype)
        targets = likelihood.sample(params, torch.Generator().manual_seed(0))
        mean, density = likelihood.mean(params), _log_prob(likelihood, targets, params)
        for name, found, shape in (
            ("sample", targets, (5, SIZE)),
            ("mean", mean, (5, SIZE)),
            ("log_prob", density, (5,)),
        ):
            require(found.shape == shape, f"{name}: expected {shape}, found {tuple(found.shape)}")
            require(found.dtype == dtype, f"{name}: expected {dtype}, found {found.dtype}")
            require(bool(found.isfinite().all()), f"{name} is not finite")


def check_normalisation(make: Make) -> None:
    """Check that the density of draws is the density they have: a narrower normal over it averages to one."""
    likelihood = _fitted(make)
    params = {name: value.expand(DRAWS, -1) for name, value in _params(likelihood, 1).items()}
    targets = likelihood.sample(params, torch.Generator().manual_seed(1))
    covariance = 0.25 * torch.cov(targets.T)
    narrow = torch.distributions.MultivariateNormal(targets.mean(dim=0), covariance)
    expected: Tensor = narrow.log_prob(targets)  # type: ignore[no-untyped-call]
    weights = (expected - _log_prob(likelihood, targets, params)).exp()
    require(agrees(weights, 1.0), f"exp(log_prob) is not the density of draws: its integral is {float(weights.mean())}")


def check_mean(make: Make) -> None:
    """Check that draws average to the mean."""
    likelihood = _fitted(make)
    one = _params(likelihood, 1)
    params = {name: value.expand(DRAWS, -1) for name, value in one.items()}
    targets = likelihood.sample(params, torch.Generator().manual_seed(2))
    require(agrees(targets, likelihood.mean(one)[0]), "draws do not average to the mean")


def check_randomness(make: Make) -> None:
    """Check that equal seeds give equal draws, other seeds others, and that `sample` is `draw` of `noise`."""
    likelihood = _fitted(make)
    params = _params(likelihood, 7)
    one, again, other = (likelihood.sample(params, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    require(torch.equal(one, again), "draws of one seed differ")
    require(not torch.equal(one, other), "draws of two seeds are the same")
    close(one, likelihood.draw(params, likelihood.noise(7, torch.Generator().manual_seed(0))), "sample")


def check_gradients_of_densities(make: Make) -> None:
    """Check gradients of log p, and of draws, by all heads, with central differences."""
    likelihood = _fitted(make)
    params = _params(likelihood, 3)
    targets = likelihood.sample(params, torch.Generator().manual_seed(3))
    noise = likelihood.noise(3, torch.Generator().manual_seed(4))
    check_gradients(lambda p: _log_prob(likelihood, targets, p).mean(), params, "log_prob")
    check_gradients(lambda p: likelihood.draw(p, noise).sin().sum(), params, "draw")


def check_moments(make: Make) -> None:
    """Check that moments of batches average to the moment of all, and that a fitted covariance fits."""
    likelihood, residual = _fitted(make), _residuals()
    halves = (likelihood.moment(residual[:1500]) + likelihood.moment(residual[1500:])) / 2
    close(halves, likelihood.moment(residual), "mean moment of two batches")
    misfit = float(likelihood.misfit(residual))
    require(abs(misfit - 1.0) < 1e-6, f"misfit of the residuals that it was set by: expected 1, found {misfit}")


def check_floor(make: Make) -> None:
    """Check that residuals of zero leave densities finite."""
    likelihood = make()
    likelihood.set_moment(likelihood.moment(torch.zeros(20, SIZE, dtype=torch.float64)))
    params = _params(likelihood, 5)
    found = _log_prob(likelihood, likelihood.mean(params), params)
    require(bool(found.isfinite().all()), "log_prob is not finite where residuals were zero")


def check_state(make: Make) -> None:
    """Check that a likelihood that loads the state of another has the same densities."""
    likelihood, other = _fitted(make), make()
    other.load_state_dict(likelihood.state_dict())
    params = _params(likelihood, 5)
    targets = likelihood.mean(params) + 0.1
    same = torch.equal(_log_prob(likelihood, targets, params), _log_prob(other, targets, params))
    require(same, "densities differ after loading the state: a number is missing from it")


LIKELIHOOD_CHECKS = (
    check_outputs,
    check_normalisation,
    check_mean,
    check_randomness,
    check_gradients_of_densities,
    check_moments,
    check_floor,
    check_state,
)


def check_likelihood(build: Builder) -> None:
    """Check a likelihood of linear targets.

    Parameters
    ----------
    build : callable
        Makes it of (basis, floor, n_frames), as an entry of the table of likelihoods does, such as the class.

    Raises
    ------
    AssertionError
        What is wrong.
    """
    for check in LIKELIHOOD_CHECKS:
        check(lambda: build(UnitBasis(SIZE), FLOOR, FRAMES))
