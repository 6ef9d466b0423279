"""Densities on flat latent spaces, by name: the prior of positions, and that of the momenta at the end of a flow.

One of one's own is an entry in `PRIORS` or `MOMENTA`, made before a model is trained or loaded; models keep its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.geometry.leapfrog import MetricAt


class Prior(Protocol):
    """Describe a density on R^d."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return terms (B, d) that sum to log p(z) of z (B, d), one for each coordinate if these are independent."""

    def sample(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        """Draw n points, (n, dim), on the generator's device."""


class StandardNormal:
    """Describe N(0, I), for which the divergence of a normal posterior has a closed form."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density of each coordinate, (B, d)."""
        return -0.5 * (z.square() + math.log(2.0 * math.pi))

    def sample(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        """Draw n points of independent normal numbers, (n, dim), on the generator's device."""
        device = generator.device if generator is not None else None
        return torch.randn(n, dim, generator=generator, device=device)


class StudentT:
    """Describe independent Student distributions of unit scale, with heavy tails for rare states.

    Parameters
    ----------
    freedom : float
        Degrees of freedom, nu.
    """

    def __init__(self, freedom: float) -> None:
        self.freedom = freedom
        self._constant = math.lgamma(0.5 * (freedom + 1.0)) - math.lgamma(0.5 * freedom)
        self._constant -= 0.5 * math.log(freedom * math.pi)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density of each coordinate, (B, d)."""
        return self._constant - 0.5 * (self.freedom + 1.0) * torch.log1p(z.square() / self.freedom)

    def sample(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        """Draw n points, (n, dim): normal numbers over the roots of chi-square numbers per degree of freedom."""
        device = generator.device if generator is not None else None
        half = torch.full((n, dim), 0.5 * self.freedom, device=device)
        gamma = torch._standard_gamma(half, generator=generator)
        return torch.randn(n, dim, generator=generator, device=device) * (half / gamma).sqrt()


def riemannian(place: MetricAt, momentum: Tensor) -> Tensor:
    """Return log N(momentum; 0, G(z)) without its constant d/2 log 2 pi, (B,)."""
    return -place.kinetic(momentum) - 0.5 * place.log_det()


def spherical(place: MetricAt, momentum: Tensor) -> Tensor:
    """Return log N(momentum; 0, I) without its constant d/2 log 2 pi, (B,)."""
    return -0.5 * momentum.square().sum(dim=-1)


PRIORS: dict[str, Prior] = {"normal": StandardNormal(), "student": StudentT(5.0)}
MOMENTA: dict[str, Callable[[MetricAt, Tensor], Tensor]] = {"riemannian": riemannian, "spherical": spherical}


def check_prior(name: str) -> None:
    """Raise an error for the name of an unknown prior."""
    check_choice(name, PRIORS, "prior")


def check_momentum(name: str) -> None:
    """Raise an error for the name of an unknown density of momenta."""
    check_choice(name, MOMENTA, "momentum")
