"""The wrapped normal distribution on a space of constant curvature.

A tangent vector v at the origin has independent normal components. Parallel transport carries it to loc, and the
exponential map carries it on to the space. The density takes the change of volume by the map into account; on spheres,
where vectors that differ by a whole winding end at one point, all windings that matter are summed.

References
----------
Y. Nagano et al., ICML 2019 (arXiv:1902.02992), eq. 8 to 10: the density on the hyperboloid.
M. Skopek, O. Ganea, G. Becigneul, ICLR 2020 (arXiv:1911.08411), appendix B: other curvatures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints

from trajvae.errors import TrajvaeError
from trajvae.geometry.manifolds import ConstantCurvature
from trajvae.geometry.maps import in_rows, out_of_rows
from trajvae.geometry.trigonometry import arc_slopes, arc_values, sine_ratio
from trajvae.geometry.windings import SHORTEST_SQUARE, log_sum_over_windings, n_windings, sum_over_windings
from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients, register_divergence

_POSITIVE_VECTOR = constraints.independent(constraints.positive, 1)  # type: ignore[no-untyped-call]


class Draw(NamedTuple):
    """Hold draws: the points (..., dim + 1), and the log density there (...) in float64."""

    z: Tensor
    log_prob: Tensor


def _exponent(space: ConstantCurvature, energy: Tensor, square: Tensor, scale: Tensor, log_sine: Tensor) -> Tensor:
    """Return the log density at the end of a tangent vector v, without the normal distribution's constant.

    Parameters
    ----------
    space : ConstantCurvature
    energy : Tensor, shape (...)
        |v / scale|^2 / 2.
    square : Tensor, shape (...)
        |v|^2.
    scale : Tensor, shape (..., dim)
        Standard deviations, of which the largest determines the number of windings.
    log_sine : Tensor, shape (...)
        Log of the generalised sine of |v| over |v|.
    """
    exponent = (
        log_sum_over_windings(space.curvature, space.dim - 1, energy, square, scale) if space.sign > 0 else -energy
    )
    return exponent if space.dim == 1 else torch.sub(exponent, log_sine, alpha=space.dim - 1)


def _normaliser(scale: Tensor) -> Tensor:
    """Return the log of the constant that normalises a normal density."""
    return scale.log().sum(dim=-1) + 0.5 * scale.shape[-1] * math.log(2.0 * math.pi)


def log_density(space: ConstantCurvature, v: Tensor, scale: Tensor) -> Tensor:
    """Return the log density with respect to the space's volume at the end of the tangent vector v.

    Parameters
    ----------
    space : ConstantCurvature
    v : Tensor, shape (..., dim)
        Vectors at the origin, before transport.
    scale : Tensor, shape (..., dim)
        Standard deviations.

    Returns
    -------
    Tensor, shape (...)
        In float64.
    """
    v, scale = v.double(), scale.double()
    square = v.square().sum(dim=-1)
    energy = 0.5 * (v / scale).square().sum(dim=-1)
    log_sine = sine_ratio(space.curvature * square).abs().log()
    return _exponent(space, energy, square, scale, log_sine) - _normaliser(scale)


def draw(space: ConstantCurvature, loc: Tensor, scale: Tensor, noise: Tensor) -> Draw:
    """Draw from the wrapped normal at a point.

    Parameters
    ----------
    space : ConstantCurvature
    loc : Tensor, shape (..., dim + 1)
        The centre.
    scale : Tensor, shape (..., dim)
    noise : Tensor, shape (..., dim)
        Standard normal.
    """
    scale, noise = scale.double(), noise.double()
    energy = 0.5 * noise.square().sum(dim=-1)
    z, exponent = exp_with_log_density(space, loc, scale * noise, energy, scale)
    return Draw(z, exponent - _normaliser(scale))


def exp_with_log_density(
    space: ConstantCurvature, loc: Tensor, v: Tensor, energy: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the point that v (..., dim) leads to from loc, and the log density there, without the normal's constant.

    Parameters
    ----------
    space, loc, v
        See `ConstantCurvature.exp_transported`.
    energy : Tensor, shape (...)
        |v / scale|^2 / 2.
    scale : Tensor, shape (..., dim)
    """
    z, log_sine, square = space.exp_transported(loc, v)
    return z, _exponent(space, energy, square, scale, log_sine)


class _Prior(AutogradFunction):
    """Compute `prior_exponent` as one node of the graph, whose derivative is computed with its value."""

    @staticmethod
    def forward(ctx: AutogradContext, z: Tensor, curvature: Tensor, sign: int) -> Tensor:
        """Compute the values and the derivatives."""
        rows = in_rows(z)
        c, s = rows[0], rows[1:]
        square, power = (s * s).sum(dim=0), len(s) - 1
        y = curvature * square
        arc = arc_values(c, y, sign)
        arc_square = arc.square()
        raw = arc_square * square
        length = raw.clamp(min=SHORTEST_SQUARE) if sign > 0 else raw
        most = n_windings(curvature, power, 0.5 * length, length, 1.0) if sign > 0 else 0
        by_length: Tensor | float = -0.5
        if most:
            value, by_energy, by_factor = sum_over_windings(0.5 * length, length, curvature, power, most)
            by_length = torch.where(raw < SHORTEST_SQUARE, 0.0, -0.5 * (by_energy + by_factor / length))
        else:
            value, by_factor = -0.5 * length, None
        if power:
            value = torch.add(value, arc.log(), alpha=power)
        if any(ctx.needs_input_grad):
            to_arc = 2.0 * by_length * arc * square + power / arc
            by_c, by_y = arc_slopes(c, y, arc, sign)
            to_y = to_arc * by_y
            to_s = (2.0 * (curvature * to_y + by_length * arc_square)) * s
            to_c = torch.zeros_like(arc) if by_c is None else to_arc * by_c
            to_curvature = to_y * square if by_factor is None else to_y * square - 0.5 * by_factor / curvature
            ctx.save_for_backward(torch.cat([to_c.unsqueeze(0), to_s]), to_curvature)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Multiply the gradient with the derivatives."""
        to_z, to_curvature = ctx.saved_tensors
        return out_of_rows(gradient * to_z), (gradient * to_curvature).sum(), None


def prior_exponent(space: ConstantCurvature, z: Tensor) -> Tensor:
    """Return `log_prior` without the normal distribution's constant, in float64."""
    exponent: Tensor = _Prior.apply(z.double(), space.curvature, space.sign)
    return exponent


def log_prior(space: ConstantCurvature, z: Tensor) -> Tensor:
    """Return the log density of the wrapped standard normal at the origin, (..., dim + 1) to (...)."""
    return (prior_exponent(space, z) - 0.5 * space.dim * math.log(2.0 * math.pi)).to(z)


class WrappedNormal(Distribution):
    """Describe a normal distribution in a tangent space, carried on to a space of constant curvature.

    Parameters
    ----------
    space : ConstantCurvature
    loc : Tensor, shape (..., dim + 1)
        The centre, a point of the space as (c, s).
    scale : Tensor, shape (..., dim)
        Standard deviations along the axes of the origin's tangent space, carried to loc by parallel transport.
    """

    arg_constraints: dict[str, constraints.Constraint] = {  # noqa: RUF012  (torch's own convention)
        "loc": constraints.real_vector,
        "scale": _POSITIVE_VECTOR,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, space: ConstantCurvature, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.space = space
        batch = torch.broadcast_shapes(loc.shape[:-1], scale.shape[:-1])  # type: ignore[no-untyped-call]
        self.loc, self.scale = loc.expand(*batch, space.dim + 1), scale.expand(*batch, space.dim)
        super().__init__(Size(batch), Size([space.dim + 1]), validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> WrappedNormal:
        """Return the same distribution over a larger batch."""
        shape, dim = Size(batch_shape), self.space.dim
        loc, scale = self.loc.expand(*shape, dim + 1), self.scale.expand(*shape, dim)
        return WrappedNormal(self.space, loc, scale, validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = Size(), generator: torch.Generator | None = None) -> Tensor:
        """Return draws with pathwise gradients, also to the curvature, (*sample_shape, *batch, dim + 1)."""
        shape = self._extended_shape(Size(sample_shape))[:-1]
        like = self.scale
        noise = torch.randn(*shape, self.space.dim, dtype=like.dtype, device=like.device, generator=generator)
        return draw(self.space, self.loc.expand(*shape, self.space.dim + 1), self.scale, noise).z.to(self.loc)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density with respect to the space's volume, (*shape, *batch)."""
        v = self.space.log_transported(self.loc.double(), value.double())
        return log_density(self.space, v, self.scale).to(value)


@register_divergence(WrappedNormal, WrappedNormal)
def _kl_wrapped_normals(p: WrappedNormal, q: WrappedNormal) -> Tensor:
    """Return the divergence in closed form, (batch,), which exists on flat space only."""
    if float(p.space.curvature.detach()) != 0.0 or float(q.space.curvature.detach()) != 0.0:
        raise TrajvaeError(
            "no closed form of the divergence on curved space: average log_prob differences over draws of rsample"
        )
    ratio = (p.scale / q.scale).square()
    shift = ((p.loc - q.loc)[..., 1:] / q.scale).square()
    return 0.5 * (ratio + shift - 1.0 - ratio.log()).sum(dim=-1)
