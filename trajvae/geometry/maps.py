"""Maps of spaces of constant curvature, each one node of the graph with its closed derivative; all in float64.

A training step runs through them on small tensors, where a node costs more than its numbers do. Inside, coordinates are
the first axis: a sum over a last axis of two or three takes five times as long. Results are laid out so in memory, too,
and go from one map to the next without a copy. Signs are those of the curvature: +1 on spheres, 0 or -1 elsewhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trajvae.geometry.trigonometry import arc_slopes, arc_values, cosine_and_sine_values, sine_slope

_LEAST = 1e-140  # of K |s|^2 beyond an equator


def in_rows(x: Tensor) -> Tensor:
    """Return the tensor with coordinates as its first axis."""
    return x.movedim(-1, 0).contiguous()


def out_of_rows(x: Tensor) -> Tensor:
    """Return the tensor with coordinates as its last axis again, without a copy."""
    return x.movedim(0, -1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=0)


def _join(c: Tensor, s: Tensor) -> Tensor:
    return torch.cat([c.unsqueeze(0), s])


def share(c: Tensor, y: Tensor | None, sign: int) -> Tensor:
    """Return 1 / (1 + c); beyond a sphere's equator from 1 - c^2 = y = K |s|^2, exact at the antipode."""
    if sign <= 0 or y is None:
        return 1.0 / (1.0 + c)
    beyond = c < 0
    return torch.where(beyond, (1.0 - c) / y.clamp(min=_LEAST), 1.0 / (1.0 + torch.where(beyond, 0.0, c)))


def _share_slopes(c: Tensor, y: Tensor | None, value: Tensor) -> tuple[Tensor, Tensor | None]:
    """Derivatives of `share` by c and, where there is one, by y."""
    near = -value.square()
    if y is None:
        return near, None
    beyond, inverse = c < 0, 1.0 / y.clamp(min=_LEAST)
    return torch.where(beyond, -inverse, near), torch.where(beyond & (y > _LEAST), -value * inverse, 0.0)


class _Apart(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """A copy."""
        return out_of_rows(in_rows(x))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Rows one after the other again."""
        return gradient.contiguous()


class _FromOrigin(Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, curvature: Tensor, sign: int) -> Tensor:
        """(cos, sin v), and what the derivative needs."""
        u = in_rows(v)
        square = _dot(u, u)
        cosine, sine = cosine_and_sine_values(curvature * square, sign)
        ctx.save_for_backward(u, curvature, square, cosine, sine)
        return out_of_rows(_join(cosine, sine * u))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """By |v|^2 and along v; the curvature enters with |v|^2."""
        u, curvature, square, cosine, sine = ctx.saved_tensors
        g = in_rows(gradient)
        by_x = sine_slope(curvature * square, cosine, sine) * _dot(g[1:], u) - 0.5 * sine * g[0]
        to_curvature = (by_x * square).sum() if ctx.needs_input_grad[1] else None
        return out_of_rows(sine * g[1:] + (2.0 * curvature * by_x) * u), to_curvature, None


class _OnSphere(Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, curvature: Tensor) -> Tensor:
        """z over its length, and what the derivative needs."""
        w = in_rows(z)
        inverse = (w[0].square() + curvature * _dot(w[1:], w[1:])).clamp(min=1e-300).rsqrt()
        point = inverse * w
        ctx.save_for_backward(point, curvature, inverse)
        return out_of_rows(point)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """The part along the length is taken out."""
        point, curvature, inverse = ctx.saved_tensors
        g, c, s = in_rows(gradient), point[0], point[1:]
        along = _dot(g, point)
        to_curvature = -0.5 * (along * _dot(s, s)).sum() if ctx.needs_input_grad[1] else None
        return out_of_rows(inverse * (g - along * _join(c, curvature * s))), to_curvature


class _Shoot(Function):
    @staticmethod
    def forward(ctx: Any, point: Tensor, v: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor, Tensor]:
        """Values, and what the derivatives need."""
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
    def backward(ctx: Any, gradient: Tensor | None, by_log: Tensor | None, by_square: Tensor | None) -> Any:
        """To the point, to v, and to the curvature."""
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


class _Stretch(Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """Values, and what the derivatives need."""
        w = in_rows(z)
        square = _dot(w[1:], w[1:])
        arc = arc_values(w[0], curvature * square, sign)
        ctx.sign = sign
        ctx.save_for_backward(w, curvature, square, arc)
        return arc, square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_arc: Tensor, by_square: Tensor) -> Any:
        """By the arc's sine, and on spheres by its cosine."""
        w, curvature, square, arc = ctx.saved_tensors
        by_c, by_y = arc_slopes(w[0], curvature * square, arc, ctx.sign)
        to_y = by_arc * by_y
        to_c = torch.zeros_like(arc) if by_c is None else by_arc * by_c
        to_curvature = (to_y * square).sum() if ctx.needs_input_grad[1] else None
        return out_of_rows(_join(to_c, (2.0 * (curvature * to_y + by_square)) * w[1:])), to_curvature, None


def apart(x: Tensor) -> Tensor:
    """Return the same tensor with its last axis as the slowest in memory."""
    out: Tensor = _Apart.apply(x)  # type: ignore[no-untyped-call]
    return out


def from_origin(v: Tensor, curvature: Tensor, sign: int) -> Tensor:
    """Return the exponential map at the origin, (..., dim) to (..., dim + 1)."""
    out: Tensor = _FromOrigin.apply(v, curvature, sign)  # type: ignore[no-untyped-call]
    return out


def on_sphere(z: Tensor, curvature: Tensor) -> Tensor:
    """Return the point of a sphere in the direction of z, both (..., dim + 1)."""
    out: Tensor = _OnSphere.apply(z, curvature)  # type: ignore[no-untyped-call]
    return out


def exp_transported(point: Tensor, v: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the exponential map at a point (..., dim + 1) of v (..., dim), transported there from the origin.

    Returns
    -------
    tuple of Tensor, shapes (..., dim + 1), (...) and (...)
        The end; the log of the generalised sine of |v| over |v|; |v|^2.
    """
    point = point.view(*(1,) * (v.ndim - point.ndim), *point.shape)
    v = v.view(*(1,) * (point.ndim - v.ndim), *v.shape)
    end, log_sine, square = _Shoot.apply(point, v, curvature, sign)  # type: ignore[no-untyped-call]
    return end, log_sine, square


def stretch(z: Tensor, curvature: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Return the distance from the origin over |s|, and |s|^2, both (...): from sine, on spheres from cosine too."""
    arc, square = _Stretch.apply(z, curvature, sign)  # type: ignore[no-untyped-call]
    return arc, square
