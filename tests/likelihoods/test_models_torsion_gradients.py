"""Gradients of mixtures of von Mises distributions: of the density, the cap, and draws at fixed cuts of the circle."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special
from scipy.integrate import cumulative_simpson
from torch import Tensor

from trajvae.likelihoods.torsions import inverse, log_density, mean_direction

CAP = 100.0  # above all concentrations
STEP = 2.0 * math.pi / 256  # of the grid by which draws are made


def _mixture(*components: tuple[float, float, float]) -> Tensor:
    """Numbers (M, 3) of components by weight, mean direction and the norm of their vector."""
    w, m, s = torch.tensor(components, dtype=torch.float64).T
    return torch.stack([w.log() + 0.7, s * m.cos(), s * m.sin()], dim=-1)


MIXTURES = {
    "flat": _mixture((1.0, 1.0, 1e-3)),
    "broad": _mixture((1.0, -2.0, 0.5)),
    "narrow": _mixture((1.0, 3.1, 20.0)),
    "three": _mixture((0.2, -1.3, 4.0), (0.5, 1.1, 15.0), (0.3, 3.0, 1.0)),
    "seam": _mixture((1.0, math.pi, 8.0)),
    "both sides of it": _mixture((0.3, 2.9, 30.0), (0.7, -2.6, 5.0)),
    "unlike": _mixture((0.9, 0.0, 0.1), (0.1, 0.3, 100.0)),
    "above the cap": _mixture((0.6, 0.0, 2.0), (0.4, 0.3, 200.0)),
}


@pytest.fixture(params=MIXTURES)
def mixture(request: pytest.FixtureRequest) -> Tensor:
    """One of the table."""
    return MIXTURES[request.param]


def _concentration(size: float) -> float:
    return size / math.sqrt(1.0 + (size / CAP) ** 2)


def _density(numbers: Tensor, angle: Tensor) -> Tensor:
    return log_density(numbers, angle.cos(), angle.sin())


def _shares(n: int, seed: int) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gradients_of_the_density(mixture: Tensor) -> None:
    """Derivatives of log density by numbers and angle agree with finite differences, below the cap and above it."""
    angle = ((2.0 * _shares(6, 2) - 1.0) * math.pi).requires_grad_()
    for factor in (1.0, 20.0):
        numbers = (factor * mixture).repeat(6, 1, 1).requires_grad_()
        assert torch.autograd.gradcheck(_density, (numbers, angle), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [20.0, CAP, 300.0, 2000.0])
def test_the_cap_has_a_slope(size: float) -> None:
    """The derivative along a component's vector is (cos - A(k)) dk/ds, beyond the cap too, and not zero there."""
    numbers, angle = _mixture((1.0, 0.8, size)).requires_grad_(), torch.tensor(0.85).double()
    (slope,) = torch.autograd.grad(_density(numbers, angle), numbers)
    along = math.cos(0.8) * float(slope[0, 1]) + math.sin(0.8) * float(slope[0, 2])
    k = _concentration(size)
    exact = (math.cos(float(angle) - 0.8) - special.i1e(k) / special.i0e(k)) * (k / size) ** 3
    assert along == pytest.approx(exact, rel=1e-6)
    assert abs(along) > 1e-3 * min(1.0, CAP / size) ** 3


def test_gradients_stay_finite_without_concentration() -> None:
    """A component of no direction at all is uniform, and has finite first and second derivatives."""
    numbers = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    value = _density(numbers, torch.tensor(0.3).double())
    assert value.item() == pytest.approx(-math.log(2.0 * math.pi), abs=1e-6)
    (first,) = torch.autograd.grad(value, numbers, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), numbers)
    assert bool(first.isfinite().all()) and bool(second.isfinite().all())
    torch.testing.assert_close(first[0, 1:], torch.tensor([math.cos(0.3), math.sin(0.3)]).double(), atol=1e-5, rtol=0)


def test_gradients_of_the_inverse(mixture: Tensor, at_fixed_cuts: Callable[..., Callable[..., Tensor]]) -> None:
    """Derivatives of draws by all numbers of their mixtures agree with finite differences that hold the cuts."""
    numbers, share = (0.9 * mixture).repeat(8, 1, 1).requires_grad_(), 0.02 + 0.96 * _shares(8, 3)
    draw = at_fixed_cuts(lambda n: inverse(n, share))
    assert torch.equal(draw(numbers), inverse(numbers, share))
    assert torch.autograd.gradcheck(draw, (numbers,), eps=1e-6, atol=1e-5, rtol=1e-4)


def test_gradients_of_the_inverse_by_quadrature(mixture: Tensor) -> None:
    """They are -dF/dn / p at the draw, F the mass from the cut without a grid, to the error of the grid."""
    n, step = 40, 1e-5
    numbers = mixture.repeat(n, 1, 1).requires_grad_()
    angle = inverse(numbers, 0.02 + 0.96 * _shares(n, 8))
    (found,) = torch.autograd.grad(angle.sum(), numbers)
    cut = float(mean_direction(mixture)) - math.pi
    x = cut + np.linspace(0.0, 2.0 * math.pi, 20_001)
    at = cut + np.remainder(angle.detach().numpy() - cut, 2.0 * math.pi)
    density = _density(mixture, angle.detach()).exp().numpy()
    exact = torch.zeros_like(found)
    for row, column in np.ndindex(*mixture.shape):
        shift = torch.zeros_like(mixture)
        shift[row, column] = step
        up, down = (_density(mixture + sign * shift, torch.from_numpy(x)).exp().numpy() for sign in (1.0, -1.0))
        change = cumulative_simpson((up - down) / (2.0 * step), x=x, initial=0.0)
        exact[:, row, column] = torch.from_numpy(-np.interp(at, x, change) / density)
    curvature = 1.0 + _concentration(float(mixture[:, 1:].norm(dim=-1).max()))  # of the density, over itself
    assert float((found - exact).abs().max()) <= curvature * STEP**2 / 6.0 * float(exact.abs().max())


@pytest.mark.parametrize(("mean", "size"), [(0.5, 2.0), (-1.2, 8.0), (math.pi, 2.0), (-math.pi, 8.0), (3.1, 60.0)])
def test_pathwise_gradients_are_those_of_the_expectation(mean: float, size: float) -> None:
    """Mean slopes of cos and sin of draws are within 4 standard errors of those of A(k) cos(mean), A(k) sin(mean)."""
    n, k, c, s = 10_000, _concentration(size), math.cos(mean), math.sin(mean)
    numbers = _mixture((1.0, mean, size)).repeat(n, 1, 1).requires_grad_()
    angle = inverse(numbers, _shares(n, 4))
    length = special.i1e(k) / special.i0e(k)
    along, across = (1.0 - length**2 - length / k) * (k / size) ** 3, length / size
    mixed = (along - across) * c * s
    for value, exact in (
        (angle.cos(), [along * c * c + across * s * s, mixed]),
        (angle.sin(), [mixed, along * s * s + across * c * c]),
    ):
        (slope,) = torch.autograd.grad(value.sum(), numbers, retain_graph=True)
        found = slope[:, 0, 1:].numpy()
        error = found.std(axis=0) / math.sqrt(n)
        assert (np.abs(found.mean(axis=0) - exact) <= 4.0 * error).all()
        assert (error < 0.1 * np.abs(exact).max()).all()
