"""The uniform and the Power Spherical distribution on the unit sphere.

Points are unit vectors in R^m. Concentrations are converted to float64: in float32 at a concentration of 1e5 the
gradients of a draw would be a third too low.

References
----------
N. De Cao and W. Aziz, arXiv:2006.04437: the Power Spherical distribution.
M. Figurnov, S. Mohamed, A. Mnih, NeurIPS 2018: implicit reparameterisation of gamma draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients, register_divergence


def log_sphere_area(m: int) -> float:
    """Return the log of the area of the unit sphere in R^m: log 2 + (m / 2) log pi - log Gamma(m / 2)."""
    return math.log(2.0) + 0.5 * m * math.log(math.pi) - math.lgamma(0.5 * m)


def _normals(shape: Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal numbers with the type and on the device of a tensor."""
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)


def beta_draws(a: Tensor, b: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return draws from Beta(a, b) with unbiased gradients, in float64 and above zero.

    They are g / (g + h) of two gamma draws: `torch.distributions.Beta` has biased gradients at extreme parameters.
    """
    g = torch._standard_gamma(a.double().contiguous(), generator=generator)
    h = torch._standard_gamma(b.double().contiguous(), generator=generator)
    return (g / (g + h)).clamp(min=torch.finfo(torch.float64).tiny)


class _AtAngle(AutogradFunction):
    """Turn loc by an angle of given cosine and sine in a direction that noise chooses."""

    @staticmethod
    def forward(ctx: AutogradContext, loc: Tensor, cosine: Tensor, sine: Tensor, noise: Tensor) -> Tensor:
        """Compute the values, and keep what the derivative needs."""
        if loc.shape[-1] == 2:  # one of two directions, chosen independently of loc
            length = torch.sign(noise[..., :1] + (noise[..., :1] == 0))
            direction = length * torch.stack([-loc[..., 1], loc[..., 0]], dim=-1)
        else:
            flat = noise - (noise * loc).sum(dim=-1, keepdim=True) * loc
            length = torch.linalg.vector_norm(flat, dim=-1, keepdim=True).clamp(min=1e-12)
            direction = flat / length
        ctx.save_for_backward(loc, cosine, sine, noise, direction, length)
        return cosine * loc + sine * direction

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Apply the chain rule through the projection on loc's tangent space and its normalisation."""
        loc, cosine, sine, noise, direction, length = ctx.saved_tensors
        along, around = (gradient * loc).sum(-1, keepdim=True), (gradient * direction).sum(-1, keepdim=True)
        if loc.shape[-1] == 2:
            turned = length * torch.stack([gradient[..., 1], -gradient[..., 0]], dim=-1)
        else:
            v = (gradient - around * direction) / length
            turned = -(v * loc).sum(-1, keepdim=True) * noise - (noise * loc).sum(-1, keepdim=True) * v
        return cosine * gradient + sine * turned, along, around, None


def at_angle(loc: Tensor, cosine: Tensor, sine: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return unit vectors at given angles from loc, in uniform directions around it; they are smooth in loc everywhere.

    Parameters
    ----------
    loc : Tensor, shape (..., m)
        Unit vectors.
    cosine, sine : Tensor, shape (..., 1)
        Of the angles.
    generator : torch.Generator, optional
    """
    noise = _normals(loc.shape, loc, generator)
    z: Tensor = _AtAngle.apply(loc, cosine, sine, noise)
    return z


class SphereUniform(Distribution):
    """Describe the uniform distribution on the unit sphere in R^m.

    Parameters
    ----------
    m : int
        Ambient dimension, 1 or more; the sphere's own is m - 1.
    dtype, device : optional
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  (torch's own convention)
    has_rsample = False

    def __init__(self, m: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> None:
        self._like = torch.empty(0, dtype=dtype, device=device)
        super().__init__(Size(), Size([m]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Constraint of the values: vectors, whose length is not checked."""
        return constraints.real_vector

    def sample(self, sample_shape: Sequence[int] = Size(), generator: torch.Generator | None = None) -> Tensor:
        """Return draws, (*sample_shape, m)."""
        x = _normals(self._extended_shape(Size(sample_shape)), self._like, generator)
        return torch.nn.functional.normalize(x, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return minus the log of the area."""
        return torch.full_like(value[..., 0], -log_sphere_area(self.event_shape[0]))

    @property
    def mean(self) -> Tensor:
        """Mean of the distribution: the centre of the sphere."""
        return self._like.new_zeros(self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Variance along each axis, 1 / m."""
        return self._like.new_full(self.event_shape, 1.0 / self.event_shape[0])

    def entropy(self) -> Tensor:
        """Return the log of the area, in nats."""
        return torch.full((), log_sphere_area(self.event_shape[0]), dtype=self._like.dtype, device=self._like.device)


class _PowerAngle(AutogradFunction):
    """Draw cosine and sine of the angle between a Power Spherical draw and loc, with the pathwise derivative."""

    @staticmethod
    def forward(
        ctx: AutogradContext, concentration: Tensor, m: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Compute the values, and keep what the derivative needs."""
        b = torch.full_like(concentration, 0.5 * (m - 1))
        a = b + concentration
        g = torch._standard_gamma(b, generator=generator)
        h = torch._standard_gamma(a, generator=generator)
        total = g + h
        w = (g / total).clamp(min=torch.finfo(torch.float64).tiny)
        along, around = 1.0 - 2.0 * w, 2.0 * (w * (h / total)).clamp(min=1e-300).sqrt()
        ctx.save_for_backward(a, h, total, w, along, around)
        return along, around

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, *gradients: Tensor) -> Gradients:
        """Apply the chain rule with the derivative in closed form."""
        a, h, total, w, along, around = ctx.saved_tensors
        by_w = 2.0 * (gradients[1] * along / around - gradients[0])
        return -by_w * w / total * torch._standard_gamma_grad(a, h), None, None


class _PowerEntropy(AutogradFunction):
    """Compute the entropy of the Power Spherical distribution in R^m.

    Its derivative is concentration (psi'(a + b) - psi'(a)).
    """

    @staticmethod
    def forward(ctx: AutogradContext, concentration: Tensor, m: int) -> Tensor:
        """Compute the values, and keep what the derivative needs."""
        b = 0.5 * (m - 1)
        a = concentration + b
        ctx.save_for_backward(concentration)
        ctx.b = b
        log_normaliser = torch.lgamma(a + b) - torch.lgamma(a) - ((a + b) * math.log(2.0) + b * math.log(math.pi))
        expected = math.log(2.0) + torch.digamma(a) - torch.digamma(a + b)
        return -(log_normaliser + concentration * expected)

    @staticmethod
    def backward(ctx: AutogradContext, *gradients: Tensor) -> Gradients:
        """Apply the chain rule with the derivative in closed form."""
        (concentration,) = ctx.saved_tensors
        a = concentration + ctx.b
        return gradients[0] * concentration * (torch.polygamma(1, a + ctx.b) - torch.polygamma(1, a)), None


class AboutDirection(Distribution):
    """Share the code of distributions about a unit vector `loc` (..., m), m >= 2, with a concentration (...)."""

    arg_constraints: dict[str, constraints.Constraint] = {  # noqa: RUF012  (torch's own convention)
        "loc": constraints.real_vector,
        "concentration": constraints.positive,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None) -> None:
        self.m = loc.shape[-1]
        spread, _ = broadcast_all(concentration, loc[..., 0])
        self.concentration, self.loc = spread, loc.expand(*spread.shape, self.m)
        super().__init__(spread.shape, Size([self.m]), validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Self:
        """Return the same distribution over a larger batch."""
        shape = Size(batch_shape)
        return type(self)(self.loc.expand(*shape, self.m), self.concentration.expand(shape), validate_args=False)


class PowerSpherical(AboutDirection):
    """Describe the density proportional to (1 + loc.x)^concentration on the unit sphere in R^m, m >= 2.

    Parameters
    ----------
    loc : Tensor, shape (..., m)
        Unit vectors.
    concentration : Tensor, shape (...)
        Positive.

    Notes
    -----
    With a = (m - 1) / 2 + concentration and b = (m - 1) / 2, (1 - loc.x) / 2 follows Beta(b, a). It is drawn as
    g / (g + h) from two gamma draws, which keeps its digits where loc.x = 1 - 2 w would round to 1. The direction
    around loc is a normal draw projected on loc's tangent space, which is smooth in loc everywhere; rotations and
    reflections that carry one pole to loc are not.
    """

    def _ab(self) -> tuple[Tensor, Tensor]:
        """Return the parameters a and b of the beta distribution."""
        b = torch.full_like(self.concentration, 0.5 * (self.m - 1), dtype=torch.float64)
        return b + self.concentration.double(), b

    def rsample(self, sample_shape: Sequence[int] = Size(), generator: torch.Generator | None = None) -> Tensor:
        """Return draws with pathwise gradients, (*sample_shape, *batch, m)."""
        shape = self._extended_shape(Size(sample_shape))
        concentration = self.concentration.double().expand(shape[:-1]).unsqueeze(-1)
        along, around = _PowerAngle.apply(concentration, self.m, generator)
        loc = self.loc.double().expand(shape)
        return at_angle(loc, along, around, generator).to(self.loc)

    def _log_normaliser(self) -> Tensor:
        """Return the log of the factor that normalises the density."""
        a, b = self._ab()
        return -((a + b) * math.log(2.0) + torch.lgamma(a) - torch.lgamma(a + b) + b * math.log(math.pi))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density with respect to the sphere's area, (*shape, *batch)."""
        cosine = (self.loc.double() * value.double()).sum(dim=-1).clamp(min=-1.0 + 1e-15)
        return (self._log_normaliser() + self.concentration.double() * torch.log1p(cosine)).to(value)

    def entropy(self) -> Tensor:
        """Return the entropy in nats, in closed form."""
        return self.exact_entropy().to(self.loc)

    def exact_entropy(self) -> Tensor:
        """Return the entropy in nats, in float64."""
        entropy: Tensor = _PowerEntropy.apply(self.concentration.double(), self.m)
        return entropy

    @property
    def mean(self) -> Tensor:
        """Mean E[x], a point inside the sphere."""
        a, b = self._ab()
        return (((a - b) / (a + b)).unsqueeze(-1) * self.loc.double()).to(self.loc)

    @property
    def tangent_variance(self) -> Tensor:
        """Variance along each direction orthogonal to loc, E[1 - (loc.x)^2] / (m - 1)."""
        a, b = self._ab()
        return (4.0 * a * b / ((a + b) * (a + b + 1.0)) / (self.m - 1)).to(self.loc)


@register_divergence(PowerSpherical, SphereUniform)
def _kl_power_spherical_uniform(p: PowerSpherical, q: SphereUniform) -> Tensor:
    """Return log area - entropy, (batch,), computed in float64 so that small divergences keep their digits."""
    return (log_sphere_area(q.event_shape[0]) - p.exact_entropy()).to(p.loc)
