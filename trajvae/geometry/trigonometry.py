"""Sine and cosine of curvature K, smooth through K = 0: trigonometric for K > 0, hyperbolic for K < 0.

With x = K r^2, every function here is an entire or analytic function of x. Values come from the closed forms; the
derivatives, which are differences over x, from power series near zero. Each function is one node of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_Functions = Sequence[Callable[[Tensor], Tensor]]
_NEAR = 1e-3  # |x| below which derivatives come from their series, whose error is below 1e-15 there


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    out = torch.full_like(x, coefficients[-1])
    for a in reversed(coefficients[:-1]):
        out = out * x + a
    return out


def _by_sign(x: Tensor, above: _Functions, below: _Functions) -> list[Tensor]:
    """Functions of sqrt(x) where x is above zero, others of sqrt(-x) elsewhere; most often one sign comes alone."""
    root = x.abs().sqrt().clamp(min=1e-150)
    low, high = torch.aminmax(x)
    if float(low) > 0.0:
        return [f(root) for f in above]
    if not float(high) > 0.0:
        return [f(root) for f in below]
    return [torch.where(x > 0, f(root), g(root)) for f, g in zip(above, below, strict=True)]


def _over_twice(difference: Tensor, x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """difference / (2 x), by its series where x is small."""
    near = x.abs() < _NEAR
    if not bool(near.any()):
        return difference / (2.0 * x)
    return torch.where(near, _series(x, coefficients), difference / torch.where(near, 1.0, 2.0 * x))


class _CosineAndSine(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and what the derivative needs."""
        above = (torch.cos, lambda s: torch.sin(s) / s)
        below = (torch.cosh, lambda s: torch.sinh(s) / s)
        cosine, sine = _by_sign(x, above, below)
        ctx.save_for_backward(x, cosine, sine)
        return cosine, sine

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The chain rule, with the closed derivative."""
        x, cosine, sine = ctx.saved_tensors
        slope = _over_twice(cosine - sine, x, (-1 / 6, 1 / 60, -1 / 1680, 1 / 90720))
        return gradients[1] * slope - 0.5 * gradients[0] * sine


class _ArcRatio(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        """Values, and what the derivative needs."""
        above = (lambda s: torch.asin(s.clamp(max=1.0)) / s,)
        below = (lambda s: torch.asinh(s) / s,)
        (arc,) = _by_sign(y, above, below)
        ctx.save_for_backward(y, arc)
        return arc

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The chain rule, with the closed derivative."""
        y, arc = ctx.saved_tensors
        difference = (1.0 - y).clamp(min=1e-300).rsqrt() - arc
        return gradients[0] * _over_twice(difference, y, _ARC_SLOPES)


_ARC_SLOPES = (1 / 6, 3 / 20, 15 / 112, 35 / 288, 315 / 2816)


class _WideArcRatio(Function):
    @staticmethod
    def forward(ctx: Any, c: Tensor, y: Tensor) -> Tensor:
        """Values, and what the derivatives need."""
        root = y.clamp(min=1e-300).sqrt()
        arc = torch.atan2(root, c) / root
        ctx.save_for_backward(c, y, arc)
        return arc

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """By y alone where c follows from it well enough; near and beyond the equator by both."""
        c, y, arc = ctx.saved_tensors
        steep = (y > 0.5) | (c < 0)
        by_y = _over_twice(torch.where(steep, c, 1.0 / torch.where(steep, 1.0, c)) - arc, y, _ARC_SLOPES)
        beyond = (c - arc) / (2.0 * y.clamp(min=1e-140))  # near half a turn y is as small as near none
        by_y = torch.where(c < 0, beyond, by_y)
        return torch.where(steep, -gradients[0], 0.0), gradients[0] * by_y


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


def wide_arc_ratio(c: Tensor, y: Tensor) -> Tensor:
    """`arc_ratio` for arcs of up to half a turn, by their cosine c and the square y >= 0 of their sine."""
    out: Tensor = _WideArcRatio.apply(c, y)  # type: ignore[no-untyped-call]
    return out
