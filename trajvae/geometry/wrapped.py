"""The wrapped normal distribution on a space of constant curvature.

v is normal with independent components in the tangent space at the origin, carried to loc by parallel transport and
on to the space by the exponential map. Its density takes the volume that the map makes of tangent space into account;
on spheres, where tangent vectors that differ by a whole turn end at one point, all turns that matter are summed.

References
----------
Y. Nagano et al., ICML 2019 (arXiv:1902.02992), eq. 8 to 10: the density on the hyperboloid.
M. Skopek, O. Ganea, G. Becigneul, ICLR 2020 (arXiv:1911.08411), appendix B: other curvatures.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl

from trajvae.errors import TrajvaeError
from trajvae.geometry.manifolds import ConstantCurvature
from trajvae.geometry.trigonometry import sine_ratio

_REACH = 8.0  # standard deviations to which turns of a sphere are summed
_NEGLIGIBLE = 40.0  # nats
_MOST_TURNS = 1e5
_SHORT = 1e-20  # squared length below which a tangent vector has no direction
_POSITIVE_VECTOR = constraints.independent(constraints.positive, 1)  # type: ignore[no-untyped-call]


class Draw(NamedTuple):
    """A draw: the point (..., dim + 1), and the log density there (...) in float64."""

    z: Tensor
    log_prob: Tensor


class _Turns(Function):
    """`_fold` where more turns than one matter, as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, energy: Tensor, square: Tensor, curvature: Tensor, power: int, most: int) -> Tensor:
        """Values, and the weighted sums over turns that the derivatives are."""
        turns = torch.arange(-most, most + 1, dtype=energy.dtype, device=energy.device)
        added = turns * (2.0 * math.pi * (curvature * square).rsqrt()).unsqueeze(-1)
        factor = 1.0 + added
        factor_square = factor.square()
        terms = -energy.unsqueeze(-1) * factor_square
        if power:
            terms += (0.5 * power) * factor_square.clamp(min=1e-300).log()
        out = torch.logsumexp(terms, dim=-1)
        weights = torch.exp(terms - out.unsqueeze(-1))
        slope = factor * (power / factor_square.clamp(min=1e-300) - 2.0 * energy.unsqueeze(-1))
        by_energy, by_factor = (weights * factor_square).sum(dim=-1), (weights * added * slope).sum(dim=-1)
        ctx.save_for_backward(square, curvature, by_energy, by_factor)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Energy enters by the factors' squares; length and curvature by the factors."""
        square, curvature, by_energy, by_factor = ctx.saved_tensors
        bent = -0.5 * gradient * by_factor
        return -gradient * by_energy, bent / square, bent.sum() / curvature, None, None


def _fold(space: ConstantCurvature, energy: Tensor, square: Tensor, largest: float) -> Tensor:
    """Log of the sum over a sphere's turns of exp(-energy) times the volume's share, all of shape (...).

    The tangent vectors that end where one of squared length `square` does are that one, made longer by whole turns:
    by a factor f, with energy f^2 times as high and a volume f^(dim - 1) times as large.
    """
    turn = 2.0 * math.pi / float(space.curvature.detach()) ** 0.5
    length = square.clamp(min=_SHORT)
    at_centre = square < _SHORT
    if bool(at_centre.any()):  # as if a little beside it, where the direction of turns is known
        slope = energy / torch.where(square > 0, square, torch.inf)
        energy = torch.where(at_centre, _SHORT * slope.clamp(min=0.5 / largest**2), energy)
    with torch.no_grad():
        nearest = energy * ((1.0 - turn * length.rsqrt()).square() - 1.0)
    if float(nearest.min()) > _NEGLIGIBLE:
        return -energy
    turns = (_REACH + math.sqrt(space.dim - 1)) * largest / turn
    if not turns < _MOST_TURNS:  # of networks that diverged: no density
        return energy * math.nan
    most = 1 + math.ceil(turns)
    out: Tensor = _Turns.apply(energy, length, space.curvature, space.dim - 1, most)  # type: ignore[no-untyped-call]
    return out


def _exponent(space: ConstantCurvature, energy: Tensor, square: Tensor, largest: float, sine: Tensor) -> Tensor:
    """Log density at the end of a tangent vector v, but for the normal distribution's constant.

    Parameters
    ----------
    space : ConstantCurvature
    energy : Tensor, shape (...)
        |v / scale|^2 / 2.
    square : Tensor, shape (..., 1)
        |v|^2.
    largest : float
        The largest scale.
    sine : Tensor, shape (..., 1)
        The generalised sine of |v| over |v|.
    """
    curved = bool(space.curvature > 0)
    exponent = _fold(space, energy, square.squeeze(-1), largest) if curved else -energy
    return exponent if space.dim == 1 else exponent - (space.dim - 1) * sine.squeeze(-1).abs().log()


def _normaliser(scale: Tensor) -> Tensor:
    return scale.log().sum(dim=-1) + 0.5 * scale.shape[-1] * math.log(2.0 * math.pi)


def log_density(space: ConstantCurvature, v: Tensor, scale: Tensor) -> Tensor:
    """Log density with respect to the space's volume at the end of the tangent vector v.

    Parameters
    ----------
    space : ConstantCurvature
    v : Tensor, shape (..., dim)
        As drawn at the origin, before transport.
    scale : Tensor, shape (..., dim)
        Standard deviations.

    Returns
    -------
    Tensor, shape (...)
        In float64.
    """
    v, scale = v.double(), scale.double()
    square = v.square().sum(dim=-1, keepdim=True)
    energy = 0.5 * (v / scale).square().sum(dim=-1)
    sine = sine_ratio(space.curvature * square)
    return _exponent(space, energy, square, float(scale.max().detach()), sine) - _normaliser(scale)


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
    z, sine, square = space.shoot(loc, scale * noise)
    energy = 0.5 * noise.square().sum(dim=-1)
    return Draw(z, _exponent(space, energy, square, float(scale.max().detach()), sine) - _normaliser(scale))


def log_prior(space: ConstantCurvature, z: Tensor) -> Tensor:
    """Log density of the wrapped standard normal at the origin, (..., dim + 1) to (...)."""
    stretch, square = space.stretch0(z)
    length_square = stretch.square() * square
    exponent = _exponent(space, 0.5 * length_square.squeeze(-1), length_square, 1.0, 1.0 / stretch)
    return (exponent - 0.5 * space.dim * math.log(2.0 * math.pi)).to(z)


class WrappedNormal(Distribution):
    """A normal distribution in a tangent space, carried on to a space of constant curvature.

    Parameters
    ----------
    space : ConstantCurvature
    loc : Tensor, shape (..., dim + 1)
        The centre, a point of the space as (c, s).
    scale : Tensor, shape (..., dim)
        Standard deviations along the axes of the origin's tangent space, carried to loc by parallel transport.
    """

    arg_constraints: dict[str, Any] = {  # noqa: RUF012  (torch's own convention)
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

    def expand(self, batch_shape: Any, _instance: Any = None) -> WrappedNormal:
        """The same distribution over a larger batch."""
        shape, dim = Size(batch_shape), self.space.dim
        loc, scale = self.loc.expand(*shape, dim + 1), self.scale.expand(*shape, dim)
        return WrappedNormal(self.space, loc, scale, validate_args=False)

    def rsample(self, sample_shape: Any = Size(), generator: torch.Generator | None = None) -> Tensor:  # noqa: B008
        """Draws with pathwise gradients, also to the curvature, (*sample_shape, *batch, dim + 1)."""
        shape = self._extended_shape(Size(sample_shape))[:-1]
        like = self.scale
        noise = torch.randn(*shape, self.space.dim, dtype=like.dtype, device=like.device, generator=generator)
        return draw(self.space, self.loc.expand(*shape, self.space.dim + 1), self.scale, noise).z.to(self.loc)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density with respect to the space's volume, (*shape, *batch)."""
        v = self.space.aim(self.loc.double(), value.double())
        return log_density(self.space, v, self.scale).to(value)


@register_kl(WrappedNormal, WrappedNormal)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_wrapped_normals(p: WrappedNormal, q: WrappedNormal) -> Tensor:
    """Closed on flat space alone, (batch,)."""
    if float(p.space.curvature.detach()) != 0.0 or float(q.space.curvature.detach()) != 0.0:
        raise TrajvaeError(
            "no closed form of the divergence on curved space: average log_prob differences over draws of rsample"
        )
    ratio = (p.scale / q.scale).square()
    shift = ((p.loc - q.loc)[..., 1:] / q.scale).square()
    return 0.5 * (ratio + shift - 1.0 - ratio.log()).sum(dim=-1)
