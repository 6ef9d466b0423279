"""Mixtures of von Mises distributions: density, draws and mean against torch, scipy and quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats
from scipy.integrate import cumulative_trapezoid, trapezoid
from torch import Tensor
from torch import distributions as td

from trajvae.models.torsions import inverse, log_density, mean_direction, mixture_terms

CAP = 100.0  # the largest concentration
STEP = 2.0 * math.pi / 256  # of the grid by which draws are made
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A mixture by its weights, mean directions in radians and concentrations."""

    name: str
    weights: tuple[float, ...]
    means: tuple[float, ...]
    concentrations: tuple[float, ...]

    def numbers(self) -> Tensor:
        """As a decoder gives it, (M, 3); log weights are not normalised."""
        w, m, k = (torch.tensor(a, dtype=torch.float64) for a in (self.weights, self.means, self.concentrations))
        return torch.stack([w.log() + 0.7, k * m.cos(), k * m.sin()], dim=-1)

    def pdf(self, x: Float64) -> Float64:
        """Density by scipy."""
        share = np.array(self.weights) / sum(self.weights)
        parts = zip(share, self.means, self.concentrations, strict=True)
        return np.asarray(sum(w * stats.vonmises.pdf(x, k, loc=m) for w, m, k in parts))

    def grid(self, n: int = 200_001) -> tuple[Float64, Float64, Float64]:
        """Angles in [-pi, pi], density there and its integral up to there, by scipy."""
        x = np.linspace(-math.pi, math.pi, n)
        return x, self.pdf(x), np.asarray(cumulative_trapezoid(self.pdf(x), x, initial=0.0))


CASES = [
    Case("flat", (1.0,), (1.0,), (1e-3,)),
    Case("broad", (1.0,), (-2.0,), (0.5,)),
    Case("narrow", (1.0,), (3.1,), (20.0,)),
    Case("sharpest", (1.0,), (0.4,), (CAP,)),
    Case("three", (0.2, 0.5, 0.3), (-1.3, 1.1, 3.0), (4.0, 15.0, 1.0)),
    Case("unlike", (0.9, 0.1), (0.0, 0.3), (0.1, CAP)),
]


@pytest.fixture(params=CASES, ids=lambda c: c.name)
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


def _angles(n: int = 200, seed: int = 0) -> Tensor:
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2.0 - 1.0) * math.pi


def _density(numbers: Tensor, angle: Tensor) -> Tensor:
    return log_density(numbers, angle.cos(), angle.sin())


def _shares(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("concentration", [1e-3, 0.1, 1.0, 7.0, 40.0, CAP])
@pytest.mark.parametrize("mean", [0.0, 2.5, -3.0])
def test_one_component_is_von_mises(concentration: float, mean: float) -> None:
    """The log density of one component is scipy's to 1e-9, and torch's to the precision of its Bessel function."""
    angle, numbers = _angles(), Case("", (0.3,), (mean,), (concentration,)).numbers()
    found = _density(numbers, angle)
    exact = torch.from_numpy(stats.vonmises.logpdf(angle.numpy(), concentration, loc=mean))
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)
    twin = td.VonMises(torch.tensor(mean).double(), torch.tensor(concentration).double()).log_prob(angle)
    torch.testing.assert_close(found, twin, rtol=1e-6, atol=1e-6)


def test_a_mixture_is_torch_s(case: Case) -> None:
    """The log density of a mixture equals MixtureSameFamily of von Mises distributions."""
    weights, means, sizes = (
        torch.tensor(a, dtype=torch.float64) for a in (case.weights, case.means, case.concentrations)
    )
    twin = td.MixtureSameFamily(td.Categorical(probs=weights), td.VonMises(means, sizes))
    angle = _angles(seed=1)
    torch.testing.assert_close(_density(case.numbers(), angle), twin.log_prob(angle), rtol=1e-6, atol=1e-6)


def test_the_density_integrates_to_one(case: Case) -> None:
    """The mass over the circle is 1 to 1e-9, whether the density is given one mixture or a row of them."""
    angle = torch.linspace(-math.pi, math.pi, 4097, dtype=torch.float64)[:-1]
    density = _density(case.numbers().expand(2, 1, -1, -1), angle.expand(2, -1)).exp()
    torch.testing.assert_close(density.mean(dim=-1) * 2.0 * math.pi, torch.ones(2).double(), rtol=0, atol=1e-9)


def test_concentrations_stop_at_the_cap() -> None:
    """Numbers of any size are the mixture of the largest concentration in the same direction, and weights sum to 1."""
    numbers = Case("", (2.0, 3.0), (1.0, -2.0), (1e5, 5.0)).numbers()
    capped = Case("", (0.4, 0.6), (1.0, -2.0), (CAP, 5.0)).numbers()
    torch.testing.assert_close(_density(numbers, _angles()), _density(capped, _angles()), rtol=1e-9, atol=1e-9)
    log_weight, vector = mixture_terms(numbers)
    torch.testing.assert_close(log_weight.exp(), torch.tensor([0.4, 0.6]).double())
    torch.testing.assert_close(torch.linalg.vector_norm(vector, dim=-1), torch.tensor([CAP, 5.0]).double())


def test_single_precision_is_close(case: Case) -> None:
    """Density, mean direction and draws of float32 numbers are float32, and those of float64 to 1e-4, 1e-5, 1e-3."""
    numbers, angle, share = case.numbers(), _angles(), 0.01 + 0.98 * _shares(200)
    many = numbers.expand(200, -1, -1)
    single = (
        _density(numbers.float(), angle.float()),
        mean_direction(numbers.float())[None],
        inverse(many.float(), share.float()),
    )
    double = _density(numbers, angle), mean_direction(numbers)[None], inverse(many, share)
    for a, b, tolerance in zip(single, double, (1e-4, 1e-5, 1e-3), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, rtol=0, atol=tolerance)


def test_gradients_of_the_density() -> None:
    """Derivatives of log density by numbers and angle agree with finite differences, below the cap and above it."""
    numbers = 0.9 * torch.stack([c.numbers()[[0, -1]] for c in CASES])
    far = torch.cat([numbers, 3.0 * numbers[3:4]]).requires_grad_()
    angle = _angles(len(far), seed=2).requires_grad_()
    assert torch.autograd.gradcheck(_density, (far, angle), atol=1e-5, rtol=1e-5)


def test_gradients_stay_finite_without_concentration() -> None:
    """A component of no direction at all is uniform, and has finite first and second derivatives."""
    numbers = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    value = _density(numbers, torch.tensor(0.3).double())
    assert value.item() == pytest.approx(-math.log(2.0 * math.pi), abs=1e-6)
    (first,) = torch.autograd.grad(value, numbers, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), numbers)
    assert bool(first.isfinite().all()) and bool(second.isfinite().all())
    torch.testing.assert_close(first[0, 1:], torch.tensor([math.cos(0.3), math.sin(0.3)]).double(), atol=1e-5, rtol=0)


def test_the_inverse_has_the_share_below_it(case: Case) -> None:
    """The mass below inverse(u), by scipy, is u to the error of a trapezoidal rule on the grid of 256 points."""
    x, density, mass = case.grid()
    share = torch.linspace(0.001, 0.999, 500, dtype=torch.float64)
    angle = inverse(case.numbers().expand(500, -1, -1), share).numpy()
    error = np.abs(np.interp(angle, x, mass) - share.numpy())
    slope = np.gradient(density, x)  # the rule's error is that of the slopes at both ends, by Euler and Maclaurin
    assert error.max() <= 1.1 * np.abs(slope - slope[0]).max() * STEP**2 / 12.0 + 1e-8


def test_the_inverse_rises(case: Case) -> None:
    """From -pi to pi the inverse never falls, and within these it always rises."""
    share = torch.linspace(0.0, 1.0 - 1e-6, 4001, dtype=torch.float64)
    angle = inverse(case.numbers().expand(4001, -1, -1), share)
    assert float(angle[0]) == pytest.approx(-math.pi, abs=1e-9)
    assert float(angle[-1]) <= math.pi
    assert bool((angle.diff() > 0.0).all())


def test_the_inverse_does_not_jump(case: Case) -> None:
    """Two shares 1e-9 apart give angles no further apart than the density allows, at points of the grid too."""
    points = np.linspace(-math.pi, math.pi, 257)
    density = case.pdf(points)
    at_points = cumulative_trapezoid(density, points)
    at_points = torch.from_numpy(at_points / at_points[-1])
    share = torch.cat([_shares(300, seed=6), at_points[density[1:] > 1e-3]])
    share = share[(share > 0.01) & (share < 0.99)]
    many = case.numbers().expand(len(share), -1, -1)
    low, high = (inverse(many, share + shift) for shift in (-5e-10, 5e-10))
    around = [torch.from_numpy(case.pdf((low + shift).numpy())) for shift in (-STEP, 0.0, STEP)]
    assert bool((high - low <= 1.05e-9 / torch.stack(around).amin(dim=0) + 1e-12).all())


def test_draws_of_the_sharpest_are_one_percent_too_wide() -> None:
    """The variance at the largest concentration is the exact one, and half to one and a half percent."""
    numbers = CASES[3].numbers().expand(5000, -1, -1)
    share = (torch.arange(5000, dtype=torch.float64) + 0.5) / 5000
    x, density, _ = CASES[3].grid()
    exact = float(trapezoid(density * (x - 0.4) ** 2, x))
    excess = float((inverse(numbers, share) - 0.4).square().mean()) / exact - 1.0
    assert 0.005 < excess < 0.015


def test_gradients_of_the_inverse() -> None:
    """Derivatives of draws by all numbers of their mixtures agree with finite differences."""
    numbers = torch.stack([CASES[4].numbers(), CASES[5].numbers()[[0, 1, 1]], CASES[1].numbers()[[0, 0, 0]]])
    numbers = (0.9 * numbers.repeat(4, 1, 1)).requires_grad_()
    share = 0.02 + 0.96 * _shares(12, seed=3)
    assert torch.autograd.gradcheck(lambda n: inverse(n, share), (numbers,), eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("mean", "concentration"), [(0.5, 2.0), (-1.2, 8.0)])
def test_pathwise_gradients_are_those_of_the_expectation(mean: float, concentration: float) -> None:
    """The mean slope of cos(draw) is within 4 standard errors of the derivative of E cos = A(k) cos(mean)."""
    n = 10_000
    numbers = Case("", (1.0,), (mean,), (concentration,)).numbers().repeat(n, 1, 1).requires_grad_()
    inverse(numbers, _shares(n, seed=4)).cos().sum().backward()
    assert numbers.grad is not None
    slope = numbers.grad[:, 0, 1:].numpy()
    length = special.i1e(concentration) / special.i0e(concentration)
    along, across = 1.0 - length**2 - length / concentration, length / concentration
    c, s = math.cos(mean), math.sin(mean)
    exact = np.array([along * c * c + across * s * s, (along - across) * c * s])
    error = slope.std(axis=0) / math.sqrt(n)
    assert (np.abs(slope.mean(axis=0) - exact) <= 4.0 * error).all()
    assert (error < 0.1 * np.abs(exact).max()).all()


def test_the_mean_direction_is_the_analytic_one(case: Case) -> None:
    """The angle of sum w A(k) exp(i mean), by scipy, and of the integral of exp(i phi) times the density."""
    share, k = np.array(case.weights) / sum(case.weights), np.array(case.concentrations)
    exact: Any = np.angle((share * special.ive(1, k) / special.ive(0, k) * np.exp(1j * np.array(case.means))).sum())
    assert float(mean_direction(case.numbers())) == pytest.approx(exact, abs=1e-9)
    x, density, _ = case.grid()
    assert float(mean_direction(case.numbers())) == pytest.approx(
        float(np.angle(trapezoid(density * np.exp(1j * x), x))), abs=1e-5
    )


@pytest.mark.parametrize("row", [0, 1, 2, 4], ids=lambda k: CASES[k].name)
def test_draws_have_the_density(row: int) -> None:
    """Chi-square and Kolmogorov-Smirnov of 8000 draws against scipy's density leave no doubt at 1e-3."""
    case, n = CASES[row], 8000
    draws = inverse(case.numbers().expand(n, -1, -1), _shares(n, seed=5)).numpy()
    x, _, mass = case.grid()
    edges = np.interp(np.linspace(0.0, 1.0, 41), mass / mass[-1], x)
    counts = np.histogram(draws, np.r_[-math.pi, edges[1:-1], math.pi])[0]
    assert counts.sum() == n
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(draws, lambda v: np.interp(v, x, mass)).pvalue > 1e-3
