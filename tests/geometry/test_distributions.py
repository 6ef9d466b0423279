"""Distributions on the sphere: mass, entropy, moments, gradients, extremes."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from torch import distributions as td

from trajvae.geometry.distributions import PowerSpherical, SphereUniform, log_sphere_area

from helpers import mean_agrees

DRAWS = 40_000


def _power(m: int, concentration: float, dtype: torch.dtype = torch.float64, seed: int = 0) -> PowerSpherical:
    loc = torch.randn(m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return PowerSpherical((loc / loc.norm()).to(dtype), torch.tensor(concentration, dtype=dtype))


def _over_sphere(p: PowerSpherical, function) -> float:
    """Integral of function(log density, cosine) over the sphere, by the angle from loc."""
    ring = math.exp(log_sphere_area(p.m - 1)) if p.m > 2 else 2.0
    side = torch.nn.functional.normalize(torch.randn(p.m, dtype=torch.float64) * 1.0, dim=0)
    side = torch.nn.functional.normalize(side - (side @ p.loc) * p.loc, dim=0)

    def value(angle: float) -> float:
        x = math.cos(angle) * p.loc + math.sin(angle) * side
        return function(float(p.log_prob(x)), math.cos(angle)) * math.sin(angle) ** (p.m - 2) * ring

    width = min(math.pi, 40.0 / math.sqrt(float(p.concentration)))
    return quad(value, 0.0, width, limit=400)[0] + (quad(value, width, math.pi)[0] if width < math.pi else 0.0)


@pytest.mark.parametrize("m", [2, 3, 5, 16])
@pytest.mark.parametrize("concentration", [1e-3, 0.7, 4.0, 100.0, 1e4])
def test_mass_is_one_and_entropy_is_the_mean_log_density(m: int, concentration: float) -> None:
    """T2, by quadrature."""
    torch.manual_seed(1)
    p = _power(m, concentration)
    assert _over_sphere(p, lambda log, _: math.exp(log)) == pytest.approx(1.0, abs=1e-6)
    entropy = _over_sphere(p, lambda log, _: -log * math.exp(log))
    assert float(p.entropy()) == pytest.approx(entropy, rel=1e-6, abs=1e-6)
    cosine = _over_sphere(p, lambda log, cos: cos * math.exp(log))
    assert float(p.mean @ p.loc) == pytest.approx(cosine, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("m, expected", [(2, 0.82770), (3, 0.8094)])
def test_divergence_to_the_uniform_is_known(m: int, expected: float) -> None:
    """Concentration 4, by quadrature elsewhere; torch's registry finds it."""
    assert float(td.kl_divergence(_power(m, 4.0), SphereUniform(m))) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("m", [2, 3, 8, 64])
@pytest.mark.parametrize("concentration", [0.5, 20.0, 2000.0])
def test_draws_follow_the_density(m: int, concentration: float) -> None:
    """Unit vectors whose mean, tangent variance and mean log density are the closed forms."""
    p = _power(m, concentration)
    z = p.rsample((DRAWS,), generator=torch.Generator().manual_seed(2))
    assert (z.norm(dim=-1) - 1.0).abs().max() < 1e-12
    assert mean_agrees(z, p.mean)
    assert mean_agrees(-p.log_prob(z), p.entropy())
    cosine = z @ p.loc
    assert mean_agrees((1.0 - cosine.square()) / (m - 1), p.tangent_variance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("concentration", [1e-2, 3.0, 1e3, 1e5])
@pytest.mark.parametrize("m", [2, 5])
def test_gradients_of_draws_are_unbiased(m: int, concentration: float, dtype: torch.dtype) -> None:
    """d E[loc.z] / d concentration = d/dk of k / (m - 1 + k), at 1e5 in float32 too."""
    loc = torch.nn.functional.normalize(torch.ones(m, dtype=torch.float64), dim=0).to(dtype)
    k = torch.full((DRAWS,), concentration, dtype=dtype, requires_grad=True)
    z = PowerSpherical(loc.expand(DRAWS, m), k).rsample(generator=torch.Generator().manual_seed(3))
    # 1 - loc.z = |z - loc|^2 / 2 keeps the digits that a cosine near one loses
    short = 0.5 * (z.double() - loc.double()).square().sum(dim=-1)
    (gradient,) = torch.autograd.grad(-short.sum(), k)
    assert mean_agrees(gradient.double(), (m - 1) / (m - 1 + concentration) ** 2)


@pytest.mark.parametrize("m", [2, 3, 129, 513])
@pytest.mark.parametrize("concentration", [1e-3, 1.0, 1e5])
def test_nothing_is_infinite(m: int, concentration: float) -> None:
    """T7 in float32: draws, densities, entropies and all gradients, to sphere dimension 512."""
    loc = torch.nn.functional.normalize(torch.randn(64, m, generator=torch.Generator().manual_seed(4)), dim=-1)
    loc = loc.requires_grad_()
    k = torch.full((64,), concentration, requires_grad=True)
    p = PowerSpherical(loc, k)
    z = p.rsample(generator=torch.Generator().manual_seed(5))
    total = z.sum() + p.log_prob(z).sum() + td.kl_divergence(p, SphereUniform(m)).sum()
    gradients = torch.autograd.grad(total, (loc, k))
    assert all(bool(torch.isfinite(x).all()) for x in (z, total, *gradients))
    assert float(td.kl_divergence(p, SphereUniform(m)).detach().min()) >= 0.0


def test_shapes_and_expansion() -> None:
    """Batch and event shapes are torch's; expanding keeps the density."""
    p = PowerSpherical(torch.eye(3)[:2], torch.tensor([1.0, 2.0]))
    assert (p.batch_shape, p.event_shape) == ((2,), (3,))
    assert p.rsample((4, 5)).shape == (4, 5, 2, 3)
    assert p.log_prob(torch.eye(3)[:1]).shape == (2,)
    wide = p.expand((7, 2))
    assert (wide.batch_shape, wide.event_shape) == ((7, 2), (3,))
    torch.testing.assert_close(wide.entropy(), p.entropy().expand(7, 2))
    assert td.Independent(p, 1).log_prob(torch.eye(3)[:2]).shape == ()


@pytest.mark.parametrize("m", [1, 2, 3, 10])
def test_uniform_has_the_area_of_its_sphere(m: int) -> None:
    """2, 2 pi, 4 pi, ...; draws are unit vectors with the stated moments."""
    areas = {1: 2.0, 2: 2 * math.pi, 3: 4 * math.pi, 10: math.pi**5 / 12}
    u = SphereUniform(m, dtype=torch.float64)
    assert float(u.entropy().exp()) == pytest.approx(areas[m], rel=1e-12)
    z = u.sample((DRAWS,), generator=torch.Generator().manual_seed(6))
    torch.testing.assert_close(u.log_prob(z[:5]), -u.entropy().expand(5))
    assert mean_agrees(z, u.mean)
    assert m == 1 or mean_agrees(z.square(), u.variance)


def test_wrong_concentrations_are_refused() -> None:
    """torch's own check of parameters."""
    with pytest.raises(ValueError, match="concentration"):
        PowerSpherical(torch.eye(3)[0], torch.tensor(-1.0), validate_args=True)
