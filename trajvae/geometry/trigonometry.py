"""Sine and cosine of curvature K, smooth through K = 0: trigonometric for K > 0, hyperbolic for K < 0.

With x = K r^2, every function here is an entire or analytic function of x. Values come from the closed forms; the
derivatives, which are differences over x, from power series near zero. Each function is one node of the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_NEAR = 1e-2  # |x| below which derivatives come from their series: its error is below 1e-14 there


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    out = torch.full_like(x, coefficients[-1])
    for a in reversed(coefficients[:-1]):
        out = out * x + a
    return out


def _by_sign(x: Tensor, above: Callable[[Tensor], Tensor], below: Callable[[Tensor], Tensor]) -> Tensor:
    """One function of sqrt(x) where x is above zero, another of sqrt(-x) elsewhere; most often one sign comes alone."""
    root = x.abs().sqrt().clamp(min=1e-150)
    positive = x > 0
    if bool(positive.all()):
        return above(root)
    if not bool(positive.any()):
        return below(root)
    return torch.where(positive, above(root), below(root))


def _near_zero(x: Tensor, coefficients: tuple[float, ...], difference: Tensor) -> Tensor:
    """difference / (2 x), by its series where x is small."""
    near = x.abs() < _NEAR
    if not bool(near.any()):
        return difference / (2.0 * x)
    safe = torch.where(near, torch.ones_like(x), 2.0 * x)
    return torch.where(near, _series(x, coefficients), difference / safe)


def _sine_over_root(x: Tensor) -> Tensor:
    return _by_sign(x, lambda s: torch.sin(s) / s, lambda s: torch.sinh(s) / s)


def _sine_slope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return _near_zero(x, (-1 / 6, 1 / 60, -1 / 1680, 1 / 90720, -1 / 7983360, 1 / 1037836800), cosine - sine)


class _CosineAndSine(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        cosine, sine = _by_sign(x, torch.cos, torch.cosh), _sine_over_root(x)
        ctx.save_for_backward(x)
        return cosine, sine

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        cosine, sine = cosine_and_sine(x)
        return gradients[1] * _sine_slope(x, cosine, sine) - 0.5 * gradients[0] * sine


class _ArcRatio(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return _by_sign(y, lambda s: torch.asin(s.clamp(max=1.0)) / s, lambda s: torch.asinh(s) / s)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (y,) = ctx.saved_tensors
        difference = (1.0 - y).clamp(min=1e-300).rsqrt() - arc_ratio(y)
        return gradients[0] * _near_zero(y, (1 / 6, 3 / 20, 15 / 112, 35 / 288, 315 / 2816, 693 / 6656), difference)


def cosine_and_sine(x: Tensor) -> tuple[Tensor, Tensor]:
    """`cosine` and `sine_ratio` at once."""
    cos, sin = _CosineAndSine.apply(x)  # type: ignore[no-untyped-call]
    return cos, sin


def cosine(x: Tensor) -> Tensor:
    """cos(sqrt x), cosh(sqrt -x)."""
    return cosine_and_sine(x)[0]


def sine_ratio(x: Tensor) -> Tensor:
    """sin(sqrt x) / sqrt x, sinh(sqrt -x) / sqrt -x: the generalised sine of r over r, for x = K r^2."""
    return cosine_and_sine(x)[1]


def arc_ratio(y: Tensor) -> Tensor:
    """asin(sqrt y) / sqrt y, asinh(sqrt -y) / sqrt -y: an arc over its generalised sine, for y = K s^2 <= 1."""
    out: Tensor = _ArcRatio.apply(y)  # type: ignore[no-untyped-call]
    return out
