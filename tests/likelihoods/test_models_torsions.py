"""Mixtures of von Mises distributions: density, draws and mean against torch, scipy and quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats
from scipy.integrate import cumulative_trapezoid, trapezoid
from torch import Tensor
from torch import distributions as td

from trajvae.likelihoods.torsions import inverse, log_density, mean_direction, mixture_terms
from trajvae.typing import Float64

CAP = 100.0  # the largest concentration
STEP = 2.0 * math.pi / 256  # of the grid by which draws are made


def _capped(size: float) -> float:
    """The concentration that a vector of this norm stands for."""
    return size / math.sqrt(1.0 + (size / CAP) ** 2)


@dataclass(frozen=True)
class Case:
    """A mixture by its weights, mean directions in radians and the norms of the vectors that a decoder gives."""

    name: str
    weights: tuple[float, ...]
    means: tuple[float, ...]
    sizes: tuple[float, ...]

    @property
    def concentrations(self) -> tuple[float, ...]:
        """Of the components."""
        return tuple(_capped(size) for size in self.sizes)

    def numbers(self) -> Tensor:
        """As a decoder gives it, (M, 3); log weights are not normalised."""
        w, m, s = (torch.tensor(a, dtype=torch.float64) for a in (self.weights, self.means, self.sizes))
        return torch.stack([w.log() + 0.7, s * m.cos(), s * m.sin()], dim=-1)

    def pdf(self, x: Float64) -> Float64:
        """Density by scipy."""
        share = np.array(self.weights) / sum(self.weights)
        parts = zip(share, self.means, self.concentrations, strict=True)
        return np.asarray(sum(w * stats.vonmises.pdf(x, k, loc=m) for w, m, k in parts))

    def centre(self) -> float:
        """The mean direction: the angle of sum w A(k) exp(i mean), by scipy."""
        share, k = np.array(self.weights) / sum(self.weights), np.array(self.concentrations)
        mean: Any = (share * special.ive(1, k) / special.ive(0, k) * np.exp(1j * np.array(self.means))).sum()
        return float(np.angle(mean))

    def grid(self, n: int = 200_001) -> tuple[Float64, Float64, Float64]:
        """Angles of a turn from opposite to the mean direction, density and its integral up to there, by scipy."""
        x = self.centre() + np.linspace(-math.pi, math.pi, n)
        return x, self.pdf(x), np.asarray(cumulative_trapezoid(self.pdf(x), x, initial=0.0))

    def unrolled(self, angle: Tensor) -> Tensor:
        """Angles within one turn, on from opposite to the mean direction."""
        cut = self.centre() - math.pi
        return cut - 1e-9 + torch.remainder(angle.double() - cut + 1e-9, 2.0 * math.pi)


CASES = [
    Case("flat", (1.0,), (1.0,), (1e-3,)),
    Case("broad", (1.0,), (-2.0,), (0.5,)),
    Case("narrow", (1.0,), (3.1,), (20.0,)),
    Case("sharpest", (1.0,), (0.4,), (1e5,)),
    Case("three", (0.2, 0.5, 0.3), (-1.3, 1.1, 3.0), (4.0, 15.0, 1.0)),
    Case("unlike", (0.9, 0.1), (0.0, 0.3), (0.1, 1e4)),
    Case("seam", (1.0,), (math.pi,), (8.0,)),
    Case("both sides of it", (0.3, 0.7), (2.9, -2.6), (30.0, 5.0)),
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


@pytest.mark.parametrize("size", [1e-3, 0.1, 1.0, 7.0, 40.0, CAP, 1e5])
@pytest.mark.parametrize("mean", [0.0, 2.5, -3.0])
def test_one_component_is_von_mises(size: float, mean: float) -> None:
    """The log density of one component is scipy's to 1e-9, and torch's to the precision of its Bessel function."""
    angle, concentration = _angles(), _capped(size)
    found = _density(Case("", (0.3,), (mean,), (size,)).numbers(), angle)
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
    """Norms of any size are concentrations below the cap in the same direction, and weights sum to 1."""
    sizes = [0.5, 5.0, 50.0, CAP, 200.0, 1e3, 1e6]
    case = Case("", (2.0,) * 7, tuple(np.linspace(-2.0, 2.0, 7)), tuple(sizes))
    log_weight, vector = mixture_terms(case.numbers())
    torch.testing.assert_close(log_weight.exp(), torch.full((7,), 1.0 / 7.0).double())
    k, means = (torch.tensor(a, dtype=torch.float64) for a in (case.concentrations, case.means))
    assert bool((k.diff() > 0.0).all()) and float(k[-1]) == pytest.approx(CAP, rel=1e-6)
    torch.testing.assert_close(torch.linalg.vector_norm(vector, dim=-1), k, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.atan2(vector[:, 1], vector[:, 0]), means, rtol=0, atol=1e-12)


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
    for a, b, tolerance, turn in zip(single, double, (1e-4, 1e-5, 1e-3), (0.0, 1.0, 1.0), strict=True):
        assert a.dtype == torch.float32
        off = a.double() - b
        assert float((off - turn * 2.0 * math.pi * (off / (2.0 * math.pi)).round()).abs().max()) <= tolerance


def test_the_inverse_has_the_share_below_it(case: Case) -> None:
    """The mass up to inverse(u), by scipy from opposite to the mean, is u to the error of a rule on 256 points."""
    x, density, mass = case.grid()
    share = torch.linspace(0.001, 0.999, 500, dtype=torch.float64)
    angle = case.unrolled(inverse(case.numbers().expand(500, -1, -1), share)).numpy()
    error = np.abs(np.interp(angle, x, mass) - share.numpy())
    slope = np.gradient(density, x)  # the rule's error is that of the slopes at both ends, by Euler and Maclaurin
    assert error.max() <= 1.1 * np.abs(slope - slope[0]).max() * STEP**2 / 12.0 + 1e-8


def test_the_inverse_rises(case: Case) -> None:
    """Over one turn from opposite to the mean direction the inverse always rises, and it is within [-pi, pi)."""
    share = torch.linspace(0.0, 1.0 - 1e-6, 4001, dtype=torch.float64)
    wrapped = inverse(case.numbers().expand(4001, -1, -1), share)
    assert bool(((wrapped >= -math.pi) & (wrapped < math.pi)).all())
    angle, cut = case.unrolled(wrapped), case.centre() - math.pi
    assert float(angle[0]) == pytest.approx(cut, abs=1e-9)
    assert float(angle[-1]) <= cut + 2.0 * math.pi
    assert bool((angle.diff() > 0.0).all())


@pytest.mark.parametrize("turn", [0.7, 2.0, math.pi, -2.9])
def test_the_inverse_turns_with_the_mixture(case: Case, turn: float) -> None:
    """Draws of a mixture turned by an angle are the draws turned by it: no direction is special, nor the seam."""
    turned = Case("", case.weights, tuple(m + turn for m in case.means), case.sizes)
    share = 0.01 + 0.98 * _shares(200, seed=7)
    a, b = (inverse(c.numbers().expand(200, -1, -1), share) for c in (case, turned))
    assert float(torch.sin(0.5 * (b - a - turn)).abs().max()) < 1e-9


def test_the_inverse_does_not_jump(case: Case) -> None:
    """Two shares 1e-9 apart give angles no further apart than the density allows, at points of the grid too."""
    points = case.centre() + np.linspace(-math.pi, math.pi, 257)
    density = case.pdf(points)
    at_points = cumulative_trapezoid(density, points)
    at_points = torch.from_numpy(at_points / at_points[-1])
    share = torch.cat([_shares(300, seed=6), at_points[density[1:] > 1e-3]])
    share = share[(share > 0.01) & (share < 0.99)]
    many = case.numbers().expand(len(share), -1, -1)
    low, high = (case.unrolled(inverse(many, share + shift)) for shift in (-5e-10, 5e-10))
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


def test_the_mean_direction_is_the_analytic_one(case: Case) -> None:
    """The angle of sum w A(k) exp(i mean), by scipy, and of the integral of exp(i phi) times the density."""
    x, density, _ = case.grid()
    integral = complex(trapezoid(density * np.exp(1j * x), x))
    found = float(mean_direction(case.numbers()))
    assert math.remainder(found - case.centre(), 2.0 * math.pi) == pytest.approx(0.0, abs=1e-9)
    assert math.remainder(found - float(np.angle(integral)), 2.0 * math.pi) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("row", [0, 1, 2, 4, 6, 7], ids=lambda k: CASES[k].name)
def test_draws_have_the_density(row: int) -> None:
    """Chi-square and Kolmogorov-Smirnov of 8000 draws against scipy's density leave no doubt at 1e-3."""
    case, n = CASES[row], 8000
    draws = case.unrolled(inverse(case.numbers().expand(n, -1, -1), _shares(n, seed=5))).numpy()
    x, _, mass = case.grid()
    edges = np.interp(np.linspace(0.0, 1.0, 41), mass / mass[-1], x)
    counts = np.histogram(draws, np.r_[x[0] - 1e-9, edges[1:-1], x[-1]])[0]
    assert counts.sum() == n
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(draws, lambda v: np.interp(v, x, mass)).pvalue > 1e-3


def test_no_mean_direction_is_no_trouble() -> None:
    """Mixtures whose components cancel, or have no direction, are drawn without a NaN."""
    for numbers in (torch.tensor([[0.0, 5.0, 0.0], [0.0, -5.0, 0.0]]), torch.zeros(2, 3)):
        assert bool(mean_direction(numbers).isfinite())
        assert bool(inverse(numbers.expand(50, -1, -1), torch.linspace(0.0, 1.0, 50)).isfinite().all())
