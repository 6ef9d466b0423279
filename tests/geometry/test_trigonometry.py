"""Generalised sines and cosines against arbitrary-precision arithmetic."""

from __future__ import annotations

import mpmath
import pytest
import torch

from trajvae.geometry.trigonometry import arc_ratio, cosine, sine_ratio

POINTS = [-900.0, -40.0, -1.0, -0.0101, -0.0099, -1e-4, -1e-12, 0.0, 1e-12, 1e-4, 0.0099, 0.0101, 0.7, 0.99]


def _root(x: float) -> mpmath.mpc:
    return mpmath.sqrt(mpmath.mpf(x))


TWINS = {
    "cosine": (cosine, lambda x: mpmath.cos(_root(x))),
    "sine_ratio": (sine_ratio, lambda x: mpmath.sinc(_root(x))),
    "arc_ratio": (arc_ratio, lambda x: mpmath.asin(_root(x)) / _root(x) if x else mpmath.mpf(1)),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("x", POINTS)
def test_values_agree_to_fourteen_digits(name: str, x: float) -> None:
    """Series, trigonometric and hyperbolic branches, on both sides of where they meet."""
    function, twin = TWINS[name]
    with mpmath.workdps(50):
        expected = float(mpmath.re(twin(x)))
    assert float(function(torch.tensor(x, dtype=torch.float64))) == pytest.approx(expected, rel=2e-14, abs=1e-15)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("x", [p for p in POINTS if abs(abs(p) - 0.01) > 1e-3])
def test_derivatives_agree_and_are_finite(name: str, x: float) -> None:
    """No branch that is not taken leaks a NaN into the gradient."""
    function, twin = TWINS[name]
    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(point), point)
    with mpmath.workdps(50):
        expected = float(mpmath.re(mpmath.diff(lambda t: mpmath.re(twin(t)), x, h=mpmath.mpf("1e-15"))))
    assert float(slope) == pytest.approx(expected, rel=1e-9, abs=1e-12)
