"""Maps of spaces of constant curvature as autograd functions with derivatives in closed form, all in float64.

Each map is one node of the graph, since a training step applies them to small tensors, for which a node costs more than
its arithmetic. Coordinates are the first axis inside: sums over a last axis of two or three elements take five times as
long. Results have that layout in memory, so that they pass from one map to the next without a copy. The argument `sign`
is that of the curvature: +1 on spheres, 0 or -1 elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trajvae.geometry.trigonometry import arc_slopes, arc_values, cosine_and_sine_values, sine_slope
from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients

_SMALLEST_SQUARE = 1e-140  # of K |s|^2 beyond an equator


def in_rows(x: Tensor) -> Tensor:
    """Return the tensor with coordinates as its first axis."""
    return x.movedim(-1, 0).contiguous()


def out_of_rows(x: Tensor) -> Tensor:
    """Return the tensor with coordinates as its last axis again, without a copy."""
    return x.movedim(0, -1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return scalar products over the first axis."""
    return (a * b).sum(dim=0)


def _join(c: Tensor, s: Tensor) -> Tensor:
    """Return points (c, s) with coordinates as their first axis."""
    return torch.cat([c.unsqueeze(0), s])


def share(c: Tensor, y: Tensor | None, sign: int) -> Tensor:
    """Return 1 / (1 + c); beyond a sphere's equator from 1 - c^2 = y = K |s|^2, exact at the antipode."""
    if sign <= 0 or y is None:
        return 1.0 / (1.0 + c)
    beyond = c < 0
    return torch.where(beyond, (1.0 - c) / y.clamp(min=_SMALLEST_SQUARE), 1.0 / (1.0 + torch.where(beyond, 0.0, c)))


def _share_slopes(c: Tensor, y: Tensor | None, value: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the derivatives of `share` by c and, if y is given, by y."""
    near = -value.square()
    if y is None:
        return near, None
    beyond, inverse = c < 0, 1.0 / y.clamp(min=_SMALLEST_SQUARE)
    return torch.where(beyond, -inverse, near), torch.where(beyond & (y > _SMALLEST_SQUARE), -value * inverse, 0.0)


class _CoordinateMajor(AutogradFunction):
    """Lay a tensor out with its last axis as the slowest in memory."""

    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor) -> Tensor:
        """Copy the tensor."""
        return out_of_rows(in_rows(x))

    @staticmethod
    def backward(ctx: AutogradContext, gradient: Tensor) -> Tensor:
        """Return the gradient with its rows one after the other in memory."""
        return gradient.contiguous()


class _FromOrigin(AutogradFunction):
    """Apply the exponential map at the origin."""

    @staticmethod
    def forward(ctx: AutogradContext, v: Tensor, curvature: Tensor, sign: int) -> Tensor:
        """Compute (cos, sin v), and keep what the derivative needs."""
        u = in_rows(v)
        square = _dot(u, u)
        cosine, sine = cosine_and_sine_values(curvature * square, sign)
        ctx.save_for_backward(u, curvature, square, cosine, sine)
        return out_of_rows(_join(cosine, sine * u))

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Apply the chain rule to |v|^2 and to v; the curvature enters with |v|^2."""
        u, curvature, square, cosine, sine = ctx.saved_tensors
        g = in_rows(gradient)
        by_x = sine_slope(curvature * square, cosine, sine) * _dot(g[1:], u) - 0.5 * sine * g[0]
        to_curvature = (by_x * square).sum() if ctx.needs_input_grad[1] else None
        return out_of_rows(sine * g[1:] + (2.0 * curvature * by_x) * u), to_curvature, None


class _OnSphere(AutogradFunction):
    """Scale a vector to a point of the sphere."""

    @staticmethod
    def forward(ctx: AutogradContext, z: Tensor, curvature: Tensor) -> Tensor:
        """Divide z by its length, and keep what the derivative needs."""
        w = in_rows(z)
        inverse = (w[0].square() + curvature * _dot(w[1:], w[1:])).clamp(min=1e-300).rsqrt()
        point = inverse * w
        ctx.save_for_backward(point, curvature, inverse)
        return out_of_rows(point)

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Apply the chain rule: the gradient's part along z vanishes."""
        point, curvature, inverse = ctx.saved_tensors
        g, c, s = in_rows(gradient), point[0], point[1:]
        along = _dot(g, point)
        to_curvature = -0.5 * (along * _dot(s, s)).sum() if ctx.needs_input_grad[1] else None
        return out_of_rows(inverse * (g - along * _join(c, curvature * s))), to_curvature


class _ExpTransported(AutogradFunction):
    """Apply the exponential map to a tangent vector that is transported from the origin."""

    @staticmethod
    def forward(
        ctx: AutogradContext, point: Tensor, v: Tensor, curvature: Tensor, sign: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the values, and keep what the derivatives need."""
        ctx.set_materialize_grads(False)
        w, u = in_rows(point), in_rows(v)
        c, s = w[0], w[1:]
        y = curvature * _dot(s, s) if sign > 0 else None
        lean, square = _dot(s, u), _dot(u, u)
        cosine, sine = cosine_and_sine_values(curvature * square, sign)
        part, bent = share(c, y, sign), curvature * lean
        moved = u - (bent * part) * s
        ctx.save_for_backward(w, u, curvature, y, lean, square, cosine, sine, part, moved)
        end = _join(cosine * c - sine * bent, cosine * s + sine * moved)
        return out_of_rows(end), sine.abs().log_(), square

    @staticmethod
    @once_differentiable
    def backward(
        ctx: AutogradContext, gradient: Tensor | None, by_log: Tensor | None, by_square: Tensor | None
    ) -> Gradients:
        """Return the gradients of the point, of v and of the curvature."""
        w, u, curvature, y, lean, square, cosine, sine, part, moved = ctx.saved_tensors
        c, s = w[0], w[1:]
        end = square.new_zeros(len(w), *square.shape) if gradient is None else in_rows(gradient)
        first, rest = end[0], end[1:]
        bent, along = curvature * lean, _dot(rest, s)
        to_sine = _dot(rest, moved) - first * bent
        if by_log is not None:
            to_sine += by_log / sine
        to_x = sine_slope(curvature * square, cosine, sine) * to_sine - 0.5 * sine * (first * c + along)
        to_square = curvature * to_x
        if by_square is not None:
            to_square += by_square
        turned = sine * along
        to_bent, to_part = -(sine * first + part * turned), -bent * turned
        by_c, by_y = _share_slopes(c, y, part)
        to_s, to_curvature = (cosine - sine * bent * part) * rest, to_x * square + to_bent * lean
        to_s += (to_lean := curvature * to_bent) * u
        if by_y is not None:
            to_y = to_part * by_y
            to_s += (2.0 * curvature * to_y) * s
            to_curvature += to_y * _dot(s, s)
        to_point = _join(cosine * first + to_part * by_c, to_s).sum_to_size(w.shape)
        to_v = (sine * rest + to_lean * s + (2.0 * to_square) * u).sum_to_size(u.shape)
        return out_of_rows(to_point), out_of_rows(to_v), to_curvature.sum(), None


class _Stretch(AutogradFunction):
    """Compute the distance from the origin over |s|."""

    @staticmethod
    def forward(ctx: AutogradContext, z: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """Compute the values, and keep what the derivatives need."""
        w = in_rows(z)
        square = _dot(w[1:], w[1:])
        arc = arc_values(w[0], curvature * square, sign)
        ctx.sign = sign
        ctx.save_for_backward(w, curvature, square, arc)
        return arc, square

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, by_arc: Tensor, by_square: Tensor) -> Gradients:
        """Apply the chain rule to the arc's sine, and on spheres to its cosine."""
        w, curvature, square, arc = ctx.saved_tensors
        by_c, by_y = arc_slopes(w[0], curvature * square, arc, ctx.sign)
        to_y = by_arc * by_y
        to_c = torch.zeros_like(arc) if by_c is None else by_arc * by_c
        to_curvature = (to_y * square).sum() if ctx.needs_input_grad[1] else None
        return out_of_rows(_join(to_c, (2.0 * (curvature * to_y + by_square)) * w[1:])), to_curvature, None


def apart(x: Tensor) -> Tensor:
    """Return a copy of a tensor with its last axis as the slowest in memory."""
    out: Tensor = _CoordinateMajor.apply(x)
    return out


def from_origin(v: Tensor, curvature: Tensor, sign: int) -> Tensor:
    """Return the exponential map at the origin, (..., dim) to (..., dim + 1)."""
    out: Tensor = _FromOrigin.apply(v, curvature, sign)
    return out


def on_sphere(z: Tensor, curvature: Tensor) -> Tensor:
    """Return the point of a sphere in the direction of z, both (..., dim + 1)."""
    out: Tensor = _OnSphere.apply(z, curvature)
    return out


def exp_transported(point: Tensor, v: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the exponential map at a point (..., dim + 1) of v (..., dim), transported there from the origin.

    Returns
    -------
    tuple of Tensor, shapes (..., dim + 1), (...) and (...)
        The end point; the log of the generalised sine of |v| over |v|; |v|^2.
    """
    point = point.view(*(1,) * (v.ndim - point.ndim), *point.shape)
    v = v.view(*(1,) * (point.ndim - v.ndim), *v.shape)
    end, log_sine, square = _ExpTransported.apply(point, v, curvature, sign)
    return end, log_sine, square


def stretch(z: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Return the distance of points (c, s) from the origin over |s|, and |s|^2, both (...)."""
    arc, square = _Stretch.apply(z, curvature, sign)
    return arc, square
