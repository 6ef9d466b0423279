"""The von Mises-Fisher distribution: Bessel functions, mass, twins in scipy, unbiased gradients, extremes."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.special import ive
from scipy.stats import vonmises_fisher
from torch import Tensor
from torch import distributions as td

from trajvae.errors import TrajvaeError
from trajvae.geometry.distributions import SphereUniform, VonMisesFisher, log_bessel, log_sphere_area

from helpers import mean_agrees

DRAWS = 40_000


def _fisher(m: int, concentration: float, dtype: torch.dtype = torch.float64) -> VonMisesFisher:
    loc = torch.randn(m, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return VonMisesFisher((loc / loc.norm()).to(dtype), torch.tensor(concentration, dtype=dtype))


@pytest.mark.parametrize("order", [0.0, 0.5, 1.5, 7.0, 31.0])
@pytest.mark.parametrize("x", [0.3, 1.0, 10.0, 16.0, 100.0, 1e4])
def test_bessel_equals_scipy(order: float, x: float) -> None:
    """To 1e-12 of a nat wherever scipy's scaled function is above zero."""
    found = float(log_bessel(order, torch.tensor(x, dtype=torch.float64)))
    assert found == pytest.approx(math.log(ive(order, x)) + x, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("order, x", [(63.0, 0.1), (149.0, 1.0), (255.5, 1e-3)])
def test_bessel_where_others_underflow(order: float, x: float) -> None:
    """Small arguments: (x / 2)^order / order! times its series, where the function itself is below 1e-100."""
    series = sum((0.25 * x * x) ** k / math.exp(math.lgamma(k + 1)) for k in range(1))
    expected = order * math.log(0.5 * x) - math.lgamma(order + 1.0) + math.log(series) + 0.25 * x * x / (order + 1.0)
    assert float(log_bessel(order, torch.tensor(x, dtype=torch.float64))) == pytest.approx(expected, rel=1e-6)


def test_bessel_recurrence_holds_at_its_derivative() -> None:
    """d log I_v / dx = I_(v+1) / I_v + v / x, by automatic differentiation of the quadrature."""
    x = torch.tensor([0.1, 2.0, 30.0, 1e4], dtype=torch.float64, requires_grad=True)
    for order in (0.0, 0.5, 3.0, 100.0):
        (slope,) = torch.autograd.grad(log_bessel(order, x).sum(), x)
        ratio = torch.exp(log_bessel(order + 1.0, x) - log_bessel(order, x)) + order / x
        torch.testing.assert_close(slope, ratio.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("m", [2, 3, 5, 16])
@pytest.mark.parametrize("concentration", [1e-3, 0.7, 4.0, 20.0, 1e4])
def test_mass_and_moments(m: int, concentration: float) -> None:
    """T2, by another quadrature; and the entropy is the mean of minus the log density."""
    p = _fisher(m, concentration)
    ring = math.exp(log_sphere_area(m - 1)) if m > 2 else 2.0
    side = torch.nn.functional.normalize(torch.eye(m, dtype=torch.float64)[0] - p.loc[0] * p.loc, dim=0)

    def over(function) -> float:
        def value(angle: float) -> float:
            x = math.cos(angle) * p.loc + math.sin(angle) * side
            return function(float(p.log_prob(x)), math.cos(angle)) * math.sin(angle) ** (m - 2) * ring

        width = min(math.pi, 40.0 / math.sqrt(concentration))
        return quad(value, 0.0, width, limit=400)[0]

    assert over(lambda log, _: math.exp(log)) == pytest.approx(1.0, abs=1e-6)
    assert over(lambda log, _: -log * math.exp(log)) == pytest.approx(float(p.entropy()), rel=1e-6, abs=1e-6)
    assert over(lambda log, cos: cos * math.exp(log)) == pytest.approx(float(p.mean_cosine), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("m, concentration", [(3, 2.0), (4, 30.0), (9, 1.0)])
def test_density_and_entropy_equal_scipy(m: int, concentration: float) -> None:
    """At random points."""
    p = _fisher(m, concentration)
    twin = vonmises_fisher(p.loc.numpy(), concentration)
    x = SphereUniform(m, dtype=torch.float64).sample((50,), torch.Generator().manual_seed(1))
    torch.testing.assert_close(p.log_prob(x), torch.from_numpy(twin.logpdf(x.numpy())), rtol=1e-10, atol=1e-10)
    assert float(p.entropy()) == pytest.approx(twin.entropy(), rel=1e-10)


@pytest.mark.parametrize("m", [2, 3, 8, 64])
@pytest.mark.parametrize("concentration", [0.05, 2.0, 2000.0])
def test_draws_follow_the_density(m: int, concentration: float) -> None:
    """Unit vectors whose mean, tangent variance and mean log density are the closed forms."""
    p = _fisher(m, concentration)
    z = p.rsample((DRAWS,), generator=torch.Generator().manual_seed(2))
    assert (z.norm(dim=-1) - 1.0).abs().max() < 1e-12
    assert mean_agrees(z, p.mean)
    assert mean_agrees(-p.log_prob(z), p.entropy())
    assert mean_agrees((1.0 - (z @ p.loc).square()) / (m - 1), p.tangent_variance)


@pytest.mark.parametrize(
    "m, concentration, expected",
    [(5, 2.0, 0.1474), (16, 10.0, 0.0308), (2, 3.0, 0.07393), (3, 1e5, 1e-10), (2, 0.01, 0.5)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_draws_are_unbiased(m: int, concentration: float, expected: float, dtype: torch.dtype) -> None:
    """d E[loc.z] / d concentration = 1 - A^2 - (m - 1) A / concentration; others are up to 79 % low."""
    loc = torch.nn.functional.normalize(torch.ones(m, dtype=torch.float64), dim=0).to(dtype)
    k = torch.full((DRAWS,), concentration, dtype=dtype, requires_grad=True)
    z = VonMisesFisher(loc.expand(DRAWS, m), k).rsample(generator=torch.Generator().manual_seed(3))
    short = 0.5 * (z.double() - loc.double()).square().sum(dim=-1)
    (gradient,) = torch.autograd.grad(-short.sum(), k)
    at = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(VonMisesFisher(loc.double(), at)._moments[1], at)
    assert float(exact) == pytest.approx(expected, rel=2e-3)
    assert mean_agrees(gradient.double(), float(exact))


def test_slope_of_each_draw_keeps_its_quantile() -> None:
    """Each draw moves with the concentration as its quantile does: F(angle; kappa) stays as it was."""
    from trajvae.geometry.von_mises_fisher import _log_density, _log_integral, _log_normaliser

    for m, kappa in ((2, 0.5), (3, 8.0), (7, 3.0), (40, 60.0)):
        k = torch.full((300,), kappa, dtype=torch.float64)
        p = VonMisesFisher(torch.eye(m, dtype=torch.float64)[0].expand(300, m), k)
        angle = p._angles(k, torch.Generator().manual_seed(4))
        slope = p._slope(angle, k, p._moments[1])

        def share(t: Tensor, k: Tensor, m: int = m) -> Tensor:
            low = torch.zeros_like(t)
            return torch.exp(_log_integral(low, t, k, m - 2.0)[0] - _log_normaliser(k, m - 2.0)[0])

        h = 1e-4 * kappa
        change = (share(angle + h * slope, k + h) - share(angle - h * slope, k - h)) / (2 * h)
        scale = torch.exp(_log_density(angle, k, m - 2.0) - _log_normaliser(k, m - 2.0)[0]) * slope.abs() + 1e-6
        assert (change.abs() / scale).max() < 1e-3


@pytest.mark.parametrize("m", [2, 3, 129, 513])
@pytest.mark.parametrize("concentration", [1e-3, 1.0, 1e5])
def test_nothing_is_infinite(m: int, concentration: float) -> None:
    """T7 in float32: draws, densities, divergences and all gradients, to sphere dimension 512."""
    loc = torch.nn.functional.normalize(torch.randn(64, m, generator=torch.Generator().manual_seed(4)), dim=-1)
    loc = loc.requires_grad_()
    k = torch.full((64,), concentration, requires_grad=True)
    p = VonMisesFisher(loc, k)
    z = p.rsample(generator=torch.Generator().manual_seed(5))
    divergence = td.kl_divergence(p, SphereUniform(m))
    gradients = torch.autograd.grad(z.sum() + p.log_prob(z).sum() + divergence.sum(), (loc, k))
    assert all(bool(torch.isfinite(x).all()) for x in (z, divergence, *gradients))
    assert float(divergence.detach().min()) >= -1e-12


def test_divergence_of_two_is_the_mean_log_ratio() -> None:
    """KL in closed form against draws; and zero to itself."""
    p, q = _fisher(4, 7.0), VonMisesFisher(torch.eye(4, dtype=torch.float64)[1], torch.tensor(3.0, dtype=torch.float64))
    z = p.rsample((DRAWS,), generator=torch.Generator().manual_seed(6))
    assert mean_agrees(p.log_prob(z) - q.log_prob(z), td.kl_divergence(p, q))
    assert float(td.kl_divergence(p, p)) == pytest.approx(0.0, abs=1e-12)


def test_shapes_and_expansion() -> None:
    """Batch and event shapes are torch's; expanding keeps the density."""
    p = VonMisesFisher(torch.eye(3)[:2], torch.tensor([1.0, 2.0]))
    assert (p.batch_shape, p.event_shape) == ((2,), (3,))
    assert p.rsample((4, 5)).shape == (4, 5, 2, 3)
    assert p.log_prob(torch.eye(3)[:1]).shape == (2,)
    wide = p.expand((7, 2))
    torch.testing.assert_close(wide.entropy(), p.entropy().expand(7, 2))
    assert td.Independent(p, 1).log_prob(torch.eye(3)[:2]).shape == ()


def test_no_number_ends_in_an_error_not_in_a_loop() -> None:
    """A concentration that is NaN is refused instead of drawn for ever."""
    p = VonMisesFisher(torch.eye(3)[0], torch.tensor(math.nan), validate_args=False)
    with pytest.raises(TrajvaeError, match="rejected"):
        p.rsample()
    with pytest.raises(ValueError, match="concentration"):
        VonMisesFisher(torch.eye(3)[0], torch.tensor(-1.0), validate_args=True)
