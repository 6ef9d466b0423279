"""The von Mises-Fisher distribution, with a pathwise gradient to the concentration that is exact in every dimension.

The angle from loc has the density exp(kappa cos t) sin(t)^(m - 2) / Z. Its integrals are taken by Gauss-Legendre
quadrature over the part of (0, pi) that carries mass, in float64 and relative to the largest exponent: no dimension or
concentration causes an underflow, and automatic differentiation of the sum is quadrature of the derivative.

References
----------
G. Ulrich, Appl. Statist. 33, 158 (1984); A. T. A. Wood, Commun. Stat. Simul. 23, 157 (1994): the rejection sampler.
M. Figurnov, S. Mohamed, A. Mnih, NeurIPS 2018, eq. 5: the gradient dt/dkappa = -(dF/dkappa) / f of a draw t.
T. R. Davidson et al., arXiv:1804.00891, appendix A: the divergence to the uniform distribution.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Size, Tensor

from trajvae.errors import TrajvaeError
from trajvae.geometry.spherical import AboutDirection, SphereUniform, at_angle, beta_draws, log_sphere_area
from trajvae.torch_types import register_divergence

_NODES = 96  # of the quadrature
# widths below and above the mode beyond which the density of the angle is below exp(-40); it has a long upper tail
_BELOW, _ABOVE = 11.0, 16.0
_ROUNDS = 1000  # of rejection sampling, each of which accepts two thirds of the draws or more


@functools.cache
def _rule() -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and the logs of their weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return torch.from_numpy(0.5 * (nodes + 1.0)), torch.from_numpy(np.log(0.5 * weights))


def _log_density(angle: Tensor, kappa: Tensor, power: float) -> Tensor:
    """Return the log density of the angle less kappa, not normalised; without kappa no digits are lost."""
    return -2.0 * kappa * (0.5 * angle).sin().square() + power * angle.sin().clamp(min=1e-300).log()


def _core(kappa: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the mode and the width of the angle's density."""
    root = (power * power + 4.0 * kappa * kappa).sqrt()
    cosine = 2.0 * kappa / (root + power).clamp(min=1e-300)
    square = (1.0 - cosine.square()).clamp(min=1e-300) if power else torch.ones_like(kappa)
    return torch.acos(cosine.clamp(max=1.0)), (kappa * cosine + power / square).clamp(min=1e-12).rsqrt()


def _log_integral(low: Tensor, high: Tensor, kappa: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the log of the density's integral from low to high, and the mean cosine less one in that interval."""
    nodes, log_weights = (x.to(kappa.device) for x in _rule())
    length = (high - low).unsqueeze(-1)
    angle = low.unsqueeze(-1) + length * nodes
    terms = _log_density(angle, kappa.unsqueeze(-1), power) + log_weights + length.log()
    log_integral = torch.logsumexp(terms, dim=-1)
    versine = 2.0 * (0.5 * angle).sin().square()
    return log_integral, -(torch.exp(terms - log_integral.unsqueeze(-1)) * versine).sum(dim=-1)


def _log_normaliser(kappa: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the log of the integral of exp(kappa (cos t - 1)) sin(t)^power over (0, pi), and E[cos t] - 1."""
    with torch.no_grad():
        mode, width = _core(kappa, power)
        low = (mode - _BELOW * width).clamp(min=0.0)
        high = (mode + _ABOVE * width).clamp(max=math.pi)
    return _log_integral(low, high, kappa, power)


def log_bessel(order: float, x: Tensor) -> Tensor:
    """Return log I_order(x) of the modified Bessel function for x > 0 and orders 0, 1/2, 1, ..., without overflow.

    References
    ----------
    NIST Digital Library of Mathematical Functions, 10.32.2.
    """
    z = x.double()
    integral, _ = _log_normaliser(z, 2.0 * order)
    constant = 0.5 * math.log(math.pi) + math.lgamma(order + 0.5)
    return (order * (0.5 * z).log() - constant + integral + z).to(x)


class VonMisesFisher(AboutDirection):
    """Describe the density proportional to exp(concentration loc.x) on the unit sphere in R^m, m >= 2.

    Parameters
    ----------
    loc : Tensor, shape (..., m)
        Unit vectors.
    concentration : Tensor, shape (...)
        Positive.
    """

    @functools.cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Log of the normalising integral over exp(kappa), and E[loc.x] - 1, in float64."""
        return _log_normaliser(self.concentration.double(), float(self.m - 2))

    def rsample(self, sample_shape: Sequence[int] = Size(), generator: torch.Generator | None = None) -> Tensor:
        """Return draws with pathwise gradients, (*sample_shape, *batch, m)."""
        shape = self._extended_shape(Size(sample_shape))
        kappa = self.concentration.double().expand(shape[:-1])
        mean = self._moments[1].detach().expand(shape[:-1])  # computed with a graph, since densities use it again
        with torch.no_grad():
            angle = self._angles(kappa, generator)
            slope = self._slope(angle, kappa, mean) if kappa.requires_grad else 0.0
        moving = (angle + slope * (kappa - kappa.detach())).unsqueeze(-1)
        loc = self.loc.double().expand(shape)
        return at_angle(loc, moving.cos(), moving.sin(), generator).to(self.loc)

    def _angles(self, kappa: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return draws of the angle by rejection sampling.

        The angle is twice the arc sine of sqrt((1 - cosine) / 2), which keeps its digits.
        """
        k, n = kappa.reshape(-1), float(self.m - 1)
        b = n / (2.0 * k + (4.0 * k * k + n * n).sqrt())
        out, left = torch.empty_like(k), torch.arange(len(k), device=k.device)
        for _ in range(_ROUNDS):
            if not len(left):
                return (2.0 * torch.asin(out.clamp(max=1.0).sqrt())).view(kappa.shape)
            at, kk = b[left], k[left]
            half = torch.full_like(at, 0.5 * n)
            e = beta_draws(half, half, generator)
            u = at * e / (1.0 - (1.0 - at) * e)  # (1 - cosine) / 2
            x0 = (1.0 - at) / (1.0 + at)
            cosine = 1.0 - 2.0 * u
            # the envelope touches the target where the cosine is x0
            score = kk * (cosine - x0) + n * (torch.log1p(-x0 * cosine) - torch.log1p(-x0 * x0))
            uniform = torch.rand(at.shape, dtype=at.dtype, device=at.device, generator=generator)
            good = score >= uniform.log()
            out[left[good]] = u[good]
            left = left[~good]
        raise TrajvaeError(f"von Mises-Fisher draws were rejected {_ROUNDS} times: the concentration is not finite")

    def _slope(self, angle: Tensor, kappa: Tensor, mean: Tensor) -> Tensor:
        """Return dt/dkappa of drawn angles t, from the integral over the tail beyond t, away from the mode."""
        power = float(self.m - 2)
        mode, width = _core(kappa, power)
        below = angle < mode
        low = torch.where(below, (angle - _BELOW * width).clamp(min=0.0), angle)
        high = torch.where(below, angle, (angle + _ABOVE * width).clamp(max=math.pi))
        log_mass, tail_mean = _log_integral(low, high, kappa, power)
        mass = torch.exp(log_mass - _log_density(angle, kappa, power)) * (tail_mean - mean)
        return torch.where(below, -mass, mass)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density with respect to the sphere's area, (*shape, *batch)."""
        half = 0.5 * (value.double() - self.loc.double()).square().sum(dim=-1)  # 1 - loc.x, with its digits
        return (-self.concentration.double() * half - self._log_z()).to(value)

    def _log_z(self) -> Tensor:
        """Return the log of the integral of exp(kappa (loc.x - 1)) over the sphere."""
        return self._moments[0] + log_sphere_area(self.m - 1)

    @property
    def mean_cosine(self) -> Tensor:
        """Mean cosine E[loc.x], the ratio of Bessel functions I_(m/2) / I_(m/2 - 1)."""
        return (1.0 + self._moments[1]).to(self.loc)

    @property
    def mean(self) -> Tensor:
        """Mean E[x], a point inside the sphere."""
        return ((1.0 + self._moments[1]).unsqueeze(-1) * self.loc.double()).to(self.loc)

    @property
    def tangent_variance(self) -> Tensor:
        """Variance along directions orthogonal to loc, E[1 - (loc.x)^2] / (m - 1) = E[loc.x] / concentration."""
        return ((1.0 + self._moments[1]) / self.concentration.double()).to(self.loc)

    def exact_entropy(self) -> Tensor:
        """Return the entropy in nats, in float64."""
        return self._log_z() - self.concentration.double() * self._moments[1]

    def entropy(self) -> Tensor:
        """Return the entropy in nats."""
        return self.exact_entropy().to(self.loc)


@register_divergence(VonMisesFisher, SphereUniform)
def _kl_von_mises_fisher_uniform(p: VonMisesFisher, q: SphereUniform) -> Tensor:
    """Return log area - entropy, (batch,)."""
    return (log_sphere_area(q.event_shape[0]) - p.exact_entropy()).to(p.loc)


@register_divergence(VonMisesFisher, VonMisesFisher)
def _kl_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    """Return -H(p) - E_p[log q], (batch,), where E_p[1 - q.loc.x] = 1 - A_p p.loc.q.loc."""
    cosine = (p.loc.double() * q.loc.double()).sum(dim=-1)
    expected = 1.0 - (1.0 + p._moments[1]) * cosine
    return (q._log_z() + q.concentration.double() * expected - p.exact_entropy()).to(p.loc)
