"""Posteriors of a hidden variable in the unit cube, whose prior is uniform."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trajvae.latents.base import Params

_EDGE = 1e-15  # hidden numbers stay this far from 0 and 1
_MOST = 6e4  # of a beta distribution's concentration: beyond it gamma draws are rounded
_LEAST = 0.05
_LOW = 0.3  # of a beta distribution's parameters: of lower ones much lies nearer to 0 than a float
_NARROWER = 1.0  # an untrained encoder starts with a posterior this much narrower than the prior, in log scale
_STEEPEST = 10.0  # of the logarithm of mean over rest


class HiddenDraw(NamedTuple):
    """Hold draws u (B, dim) in the cube, with log q(u|x) - log p(u), (B,)."""

    u: Tensor
    log_ratio: Tensor


class Hidden(Protocol):
    """Describe a posterior on the unit cube.

    Attributes
    ----------
    sizes : dict of str to int
        Sizes of the encoder's heads, which are the posterior's parameters, by name.
    """

    sizes: dict[str, int]

    def __init__(self, dim: int, min_scale: float) -> None: ...

    def draw(self, params: Params, generator: torch.Generator | None) -> HiddenDraw:
        """Draw u from the posterior, reparameterised, with its log density."""

    def locate(self, u: Tensor) -> Tensor:
        """Return the head `loc` (dim,) whose posterior is centred on u (dim,)."""

    def kl(self, params: Params) -> Tensor:
        """Return the KL divergence from the uniform distribution, in nats, (B,)."""

    def mean(self, params: Params) -> Tensor:
        """Return the centre of the posterior, (B, dim)."""

    def spread(self, params: Params) -> Tensor:
        """Return standard deviations in the cube's coordinates, (B, dim)."""


def _cdf(h: Tensor) -> Tensor:
    """Return the log of the normal distribution function, precise in both tails."""
    u: Tensor = torch.special.ndtr(h)
    return u


class HiddenNormal:
    """Map normal numbers to the cube: u = Phi(h) with h from N(loc, scale^2), uniform where that is N(0, 1).

    The head gives the logarithm of the scale, plus 1: an isometry has no effect on a uniform posterior.
    """

    def __init__(self, dim: int, min_scale: float) -> None:
        self.sizes, self._low = {"loc": dim, "log_scale": dim}, math.log(min_scale)

    def _log_scale(self, params: Params) -> Tensor:
        return (params["log_scale"] - _NARROWER).clamp(self._low, 5.0)

    def draw(self, params: Params, generator: torch.Generator | None) -> HiddenDraw:
        """Draw u from the posterior, reparameterised, with log q(u|x), (B,)."""
        loc, log_scale = params["loc"], self._log_scale(params)
        noise = torch.randn(loc.shape, dtype=loc.dtype, device=loc.device, generator=generator)
        h = loc + log_scale.exp() * noise
        return HiddenDraw(_cdf(h), (0.5 * (h.square() - noise.square()) - log_scale).sum(dim=-1))

    def locate(self, u: Tensor) -> Tensor:
        """Return the normal quantiles of u, (dim,)."""
        h: Tensor = torch.special.ndtri(u)
        return h

    def kl(self, params: Params) -> Tensor:
        """Return the divergence of the normal numbers from N(0, I), in nats, (B,)."""
        log_scale = self._log_scale(params)
        return (0.5 * (params["loc"].square() + (2.0 * log_scale).exp() - 1.0) - log_scale).sum(dim=-1)

    def mean(self, params: Params) -> Tensor:
        """Return the median of each coordinate, (B, dim)."""
        return _cdf(params["loc"])

    def spread(self, params: Params) -> Tensor:
        """Return standard deviations in the cube's coordinates, to first order, (B, dim)."""
        density = torch.exp(-0.5 * params["loc"].square()) / math.sqrt(2.0 * math.pi)
        return density * self._log_scale(params).exp()


class HiddenBeta:
    """Describe beta distributions, by the logit of the mean and the logarithm of the concentration over 2, less 2.

    A draw is a share of two gamma draws in float64: pathwise gradients of those are unbiased where torch's own Beta
    has a bias, and nothing is lost at 0 and 1.
    """

    def __init__(self, dim: int, min_scale: float) -> None:
        self.sizes = {"loc": dim, "log_concentration": dim}
        self._high = min(math.log(_MOST), -2.0 * math.log(min_scale))

    def _parameters(self, params: Params) -> tuple[Tensor, Tensor]:
        logit = params["loc"].double().clamp(-_STEEPEST, _STEEPEST)
        total = (
            (params["log_concentration"].double() + math.log(2.0) + 2.0 * _NARROWER)
            .clamp(math.log(_LEAST), self._high)
            .exp()
        )
        return (total * logit.sigmoid()).clamp(min=_LOW), (total * (-logit).sigmoid()).clamp(min=_LOW)

    def draw(self, params: Params, generator: torch.Generator | None) -> HiddenDraw:
        """Draw u from the posterior, reparameterised, with log q(u|x), (B,)."""
        a, b = self._parameters(params)
        first, second = (torch._standard_gamma(x, generator=generator) for x in (a, b))
        total = first + second
        u, rest = ((x / total).clamp(_EDGE, 1.0 - _EDGE) for x in (first, second))
        normalisation = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        ratio = (a - 1.0) * u.log() + (b - 1.0) * rest.log() - normalisation
        like = params["loc"]
        return HiddenDraw(u.to(like), ratio.sum(dim=-1).to(like))

    def locate(self, u: Tensor) -> Tensor:
        """Return the logits of u, (dim,)."""
        return torch.logit(u)

    def kl(self, params: Params) -> Tensor:
        """Return the KL divergence from the uniform distribution in closed form, in nats, (B,)."""
        a, b = self._parameters(params)
        total = a + b
        normalisation = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(total)
        means = (a - 1.0) * torch.digamma(a) + (b - 1.0) * torch.digamma(b) - (total - 2.0) * torch.digamma(total)
        return (means - normalisation).sum(dim=-1).to(params["loc"])

    def mean(self, params: Params) -> Tensor:
        """Return the mean of each coordinate, (B, dim)."""
        a, b = self._parameters(params)
        return (a / (a + b)).to(params["loc"])

    def spread(self, params: Params) -> Tensor:
        """Return standard deviations in the cube's coordinates, (B, dim)."""
        a, b = self._parameters(params)
        return ((a * b / (a + b + 1.0)).sqrt() / (a + b)).to(params["loc"])


HIDDEN: dict[str, type[Hidden]] = {"normal": HiddenNormal, "beta": HiddenBeta}
