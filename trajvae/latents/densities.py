"""Densities of flat latent spaces that may be replaced: the prior of positions, and that of a flow's last momenta.

One of one's own is an entry in `PRIORS` or `MOMENTA`, made before a model is trained or loaded; models keep its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.geometry.leapfrog import Place


class Prior(Protocol):
    """A density of R^d."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Of z (B, d) columns (B, d) that sum to log p(z): where coordinates are independent, that of each."""

    def sample(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        """Draws, (n, dim), on the generator's device."""


class StandardNormal:
    """N(0, I), against which the divergence of a normal posterior is closed."""

    def log_prob(self, z: Tensor) -> Tensor:
        """See `Prior`."""
        return -0.5 * (z.square() + math.log(2.0 * math.pi))

    def sample(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        """See `Prior`."""
        device = generator.device if generator is not None else None
        return torch.randn(n, dim, generator=generator, device=device)


class StudentT:
    """Independent Student distributions of unit scale: rare states may lie far out.

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
        """See `Prior`."""
        return self._constant - 0.5 * (self.freedom + 1.0) * torch.log1p(z.square() / self.freedom)

    def sample(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        """See `Prior`: a normal number over the root of a chi-square one's share."""
        device = generator.device if generator is not None else None
        half = torch.full((n, dim), 0.5 * self.freedom, device=device)
        gamma = torch._standard_gamma(half, generator=generator)
        return torch.randn(n, dim, generator=generator, device=device) * (half / gamma).sqrt()


def riemannian(place: Place, momentum: Tensor) -> Tensor:
    """log N(momentum; 0, G(z)) but for d/2 log 2 pi, (B,)."""
    return -place.kinetic(momentum) - 0.5 * place.log_det()


def spherical(place: Place, momentum: Tensor) -> Tensor:
    """log N(momentum; 0, I) but for d/2 log 2 pi, (B,)."""
    return -0.5 * momentum.square().sum(dim=-1)


PRIORS: dict[str, Prior] = {"normal": StandardNormal(), "student": StudentT(5.0)}
MOMENTA: dict[str, Callable[[Place, Tensor], Tensor]] = {"riemannian": riemannian, "spherical": spherical}


def check_prior(name: str) -> None:
    """Refuse a prior that is not registered."""
    if name not in PRIORS:
        raise OptionError(f"prior must be one of {', '.join(PRIORS)}, got '{name}'")


def check_momentum(name: str) -> None:
    """Refuse a density of momenta that is not registered."""
    if name not in MOMENTA:
        raise OptionError(f"momentum must be one of {', '.join(MOMENTA)}, got '{name}'")
