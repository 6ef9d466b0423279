"""Sine and cosine of curvature K, smooth through K = 0: trigonometric for K > 0, hyperbolic for K < 0.

With x = K r^2, every function in this module is an entire or analytic function of x. Values are closed forms; the
derivatives, which are differences over x, are power series near zero. Each function is one node of the autograd graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients

_Functions = Sequence[Callable[[Tensor], Tensor]]
_ARC_SLOPES = (1 / 6, 3 / 20, 15 / 112, 35 / 288, 315 / 2816)
_SERIES_BELOW = 1e-3  # |x| below which derivatives are power series, with errors below 1e-15


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Return the polynomial with these coefficients, the constant first."""
    *lower, last = coefficients
    out: Tensor | float = last
    for a in reversed(lower):
        out = x * out + a
    return torch.as_tensor(out)


def _by_sign(x: Tensor, above: _Functions, below: _Functions, sign: int | None = None) -> list[Tensor]:
    """Return functions `above` of sqrt(x) where x > 0 and `below` of sqrt(-x) elsewhere; `sign` if all x share it."""
    root = x.abs().sqrt_().clamp_(min=1e-150)
    if sign is None:
        low, high = torch.aminmax(x)
        sign = 1 if float(low) > 0.0 else None if float(high) > 0.0 else -1
    if sign is not None:
        return [f(root) for f in (above if sign > 0 else below)]
    return [torch.where(x > 0, f(root), g(root)) for f, g in zip(above, below, strict=True)]


def _over_twice(difference: Tensor, x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Return difference / (2 x), by a power series where x is small."""
    near = x.abs() < _SERIES_BELOW
    return torch.where(near, _series(x, coefficients), difference / torch.where(near, 1.0, 2.0 * x))


_CIRCULAR: tuple[_Functions, _Functions] = (
    (torch.cos, lambda s: torch.sin(s) / s),
    (torch.cosh, lambda s: torch.sinh(s) / s),
)
_ARC: tuple[_Functions, _Functions] = (
    (lambda s: torch.asin(s.clamp(max=1.0)) / s,),
    (lambda s: torch.asinh(s) / s,),
)


def cosine_and_sine_values(x: Tensor, sign: int | None = None) -> list[Tensor]:
    """Return the values of `cosine_and_sine` without a graph; `sign` is that of all x, if it is known."""
    return _by_sign(x, *_CIRCULAR, sign)


def sine_slope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return the derivative of `sine_ratio`; that of `cosine` is -sine / 2."""
    return _over_twice(cosine - sine, x, (-1 / 6, 1 / 60, -1 / 1680, 1 / 90720))


def arc_values(c: Tensor, y: Tensor, sign: int) -> Tensor:
    """Return the values of `wide_arc_ratio` for the sign +1, else of `arc_ratio` for y <= 0, without a graph."""
    if sign <= 0:
        return _by_sign(y, *_ARC, sign)[0]
    root = y.clamp(min=1e-300).sqrt_()
    return torch.atan2(root, c).div_(root)


def arc_slopes(c: Tensor, y: Tensor, arc: Tensor, sign: int) -> tuple[Tensor | None, Tensor]:
    """Return the derivatives of `arc_values` by c and by y.

    The first is None or zero where c is a well-conditioned function of y: not near or beyond a sphere's equator.
    """
    if sign <= 0:
        return None, _over_twice((1.0 - y).rsqrt_().sub_(arc), y, _ARC_SLOPES)
    steep = (y > 0.5) | (c < 0)
    by_y = _over_twice(torch.where(steep, c, 1.0 / torch.where(steep, 1.0, c)) - arc, y, _ARC_SLOPES)
    beyond = (c - arc) / (2.0 * y.clamp(min=1e-140))  # y is small near an angle of pi, as near 0
    return torch.where(steep, -1.0, 0.0).to(y), torch.where(c < 0, beyond, by_y)


class _CosineAndSine(AutogradFunction):
    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the values, and keep what the derivative needs."""
        cosine, sine = cosine_and_sine_values(x)
        ctx.save_for_backward(x, cosine, sine)
        return cosine, sine

    @staticmethod
    def backward(ctx: AutogradContext, *gradients: Tensor) -> Tensor:
        """Apply the chain rule with the derivative in closed form."""
        x, cosine, sine = ctx.saved_tensors
        slope: Tensor = gradients[1] * sine_slope(x, cosine, sine) - 0.5 * gradients[0] * sine
        return slope


class _ArcRatio(AutogradFunction):
    @staticmethod
    def forward(ctx: AutogradContext, y: Tensor) -> Tensor:
        """Compute the values, and keep what the derivative needs."""
        (arc,) = _by_sign(y, *_ARC)
        ctx.save_for_backward(y, arc)
        return arc

    @staticmethod
    def backward(ctx: AutogradContext, *gradients: Tensor) -> Tensor:
        """Apply the chain rule with the derivative in closed form."""
        y, arc = ctx.saved_tensors
        difference = (1.0 - y).clamp(min=1e-300).rsqrt() - arc
        return gradients[0] * _over_twice(difference, y, _ARC_SLOPES)


class _WideArcRatio(AutogradFunction):
    @staticmethod
    def forward(ctx: AutogradContext, c: Tensor, y: Tensor) -> Tensor:
        """Compute the values, and keep what the derivatives need."""
        arc = arc_values(c, y, 1)
        ctx.save_for_backward(c, y, arc)
        return arc

    @staticmethod
    def backward(ctx: AutogradContext, *gradients: Tensor) -> Gradients:
        """Apply the chain rule with the derivatives in closed form."""
        c, y, arc = ctx.saved_tensors
        by_c, by_y = arc_slopes(c, y, arc, 1)
        return None if by_c is None else gradients[0] * by_c, gradients[0] * by_y


def cosine_and_sine(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return `cosine` and `sine_ratio` together."""
    cos, sin = _CosineAndSine.apply(x)
    return cos, sin


def cosine(x: Tensor) -> Tensor:
    """Return cos(sqrt x), or cosh(sqrt -x) for x < 0."""
    return cosine_and_sine(x)[0]


def sine_ratio(x: Tensor) -> Tensor:
    """Return sin(sqrt x) / sqrt x, or sinh(sqrt -x) / sqrt -x: the generalised sine of r over r, for x = K r^2."""
    return cosine_and_sine(x)[1]


def arc_ratio(y: Tensor) -> Tensor:
    """Return asin(sqrt y) / sqrt y, or asinh(sqrt -y) / sqrt -y: an arc over its sine, for y = K s^2 <= 1."""
    out: Tensor = _ArcRatio.apply(y)
    return out


def wide_arc_ratio(c: Tensor, y: Tensor) -> Tensor:
    """Return `arc_ratio` for arcs of up to half a turn, by their cosine c and the square y >= 0 of their sine."""
    out: Tensor = _WideArcRatio.apply(c, y)
    return out
