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
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl

from trajvae.errors import TrajvaeError
from trajvae.geometry.manifolds import ConstantCurvature
from trajvae.geometry.trigonometry import log_sine_ratio

_TURNS = 3  # of a sphere, either way
_POSITIVE_VECTOR = constraints.independent(constraints.positive, 1)  # type: ignore[no-untyped-call]


class Draw(NamedTuple):
    """A draw: the point (..., dim + 1), and the log density there (...)."""

    z: Tensor
    log_prob: Tensor


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
    curvature = space.curvature
    square = v.square().sum(dim=-1)
    constant = scale.log().sum(dim=-1) + 0.5 * space.dim * math.log(2.0 * math.pi)
    energy = 0.5 * (v / scale).square().sum(dim=-1)
    volume = (space.dim - 1) * log_sine_ratio(curvature * square)
    if not bool(curvature > 0):
        return -energy - constant - volume
    turn = 2.0 * math.pi / curvature.sqrt()
    length = torch.where(square > 0, square, torch.ones_like(square)).sqrt()
    length = torch.where(square > 1e-20, length, torch.full_like(length, 1e-10))
    turns = torch.arange(-_TURNS, _TURNS + 1, dtype=torch.float64, device=v.device)
    ratio = 1.0 + turns * (turn / length).unsqueeze(-1)  # of each preimage's length to v's
    terms = -energy.unsqueeze(-1) * ratio.square() + (space.dim - 1) * ratio.abs().clamp(min=1e-300).log()
    return torch.logsumexp(terms, dim=-1) - constant - volume


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
    v = scale * noise
    z = space.exp(loc, *space.transport0(loc, v))
    return Draw(z, log_density(space, v, scale).to(z))


def log_prior(space: ConstantCurvature, z: Tensor) -> Tensor:
    """Log density of the wrapped standard normal at the origin, (..., dim + 1) to (...)."""
    v = space.log0(z.double())
    return log_density(space, v, torch.ones_like(v)).to(z)


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
        return draw(self.space, self.loc.expand(*shape, self.space.dim + 1), self.scale, noise).z

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density with respect to the space's volume, (*shape, *batch)."""
        loc, z = torch.broadcast_tensors(self.loc.double(), value.double())  # type: ignore[no-untyped-call]
        tangent = self.space.log(loc, z)
        _, v = self.space.transport(loc, self.space.origin().to(loc).expand_as(loc), *tangent)
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
