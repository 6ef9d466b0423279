"""Sine and cosine of curvature K, smooth through K = 0: trigonometric for K > 0, hyperbolic for K < 0.

With x = K r^2, every function here is an entire or analytic function of x; where closed forms are 0/0 or lose digits,
its power series stands in. `torch.where` gets safe arguments on both branches, so that gradients stay finite.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_NEAR = 1e-2  # |x| below which the series (to x^5) is used: its error is below 1e-16 there


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    out = torch.full_like(x, coefficients[-1])
    for a in reversed(coefficients[:-1]):
        out = out * x + a
    return out


def _piecewise(
    x: Tensor, series: tuple[float, ...], positive: Callable[[Tensor], Tensor], negative: Callable[[Tensor], Tensor]
) -> Tensor:
    """Series near zero, one function of sqrt(x) above it, another of sqrt(-x) below."""
    near = x.abs() < _NEAR
    up = torch.where(near | (x < 0), torch.ones_like(x), x).sqrt()
    down = torch.where(near | (x > 0), torch.ones_like(x), -x).sqrt()
    far = torch.where(x > 0, positive(up), negative(down))
    return torch.where(near, _series(torch.where(near, x, torch.zeros_like(x)), series), far)


def cosine(x: Tensor) -> Tensor:
    """cos(sqrt x), cosh(sqrt -x)."""
    return _piecewise(x, (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800), torch.cos, torch.cosh)


def sine_ratio(x: Tensor) -> Tensor:
    """sin(sqrt x) / sqrt x, sinh(sqrt -x) / sqrt -x: the generalised sine of r over r, for x = K r^2."""
    series = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800)
    return _piecewise(x, series, lambda s: torch.sin(s) / s, lambda s: torch.sinh(s) / s)


def log_sine_ratio(x: Tensor) -> Tensor:
    """log of |`sine_ratio`|, without overflow for x far below zero."""
    series = (0.0, -1 / 6, -1 / 180, -1 / 2835, -1 / 37800, -1 / 467775)

    def _hyperbolic(s: Tensor) -> Tensor:
        return s + torch.log(-torch.expm1(-2.0 * s)) - torch.log(2.0 * s)

    return _piecewise(x, series, lambda s: torch.log((torch.sin(s) / s).abs()), _hyperbolic)


def arc_ratio(y: Tensor) -> Tensor:
    """asin(sqrt y) / sqrt y, asinh(sqrt -y) / sqrt -y: an arc over its generalised sine, for y = K s^2 <= 1."""
    series = (1.0, 1 / 6, 3 / 40, 5 / 112, 35 / 1152, 63 / 2816)
    return _piecewise(y, series, lambda s: torch.asin(s.clamp(max=1.0)) / s, lambda s: torch.asinh(s) / s)
