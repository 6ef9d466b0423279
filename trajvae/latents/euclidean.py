"""The Euclidean latent space: normal posterior with diagonal covariance, standard normal prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.geometry.manifolds import EuclideanSpace
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params
from trajvae.latents.densities import PRIORS, StandardNormal, check_prior


@dataclass(frozen=True)
class EuclideanOptions:
    """Hold the options of this latent space."""

    min_scale: float = field(
        default=1e-4, metadata={"unit": "", "help": "smallest standard deviation of the posterior"}
    )

    prior: str = field(default="normal", metadata={"unit": "", "help": "p(z): normal or student"})

    def __post_init__(self) -> None:
        check_prior(self.prior)
        if not 0.0 < self.min_scale < 1.0:
            raise OptionError(f"min_scale must lie between 0 and 1, got {self.min_scale}")


def _divergence(loc: Tensor, log_scale: Tensor, scale: Tensor) -> Tensor:
    """Return KL(N(loc, scale^2) || N(0, 1)) of each number."""
    squares = torch.addcmul(-0.5 - log_scale, loc, loc, value=0.5)
    return torch.addcmul(squares, scale, scale, value=0.5)


class Euclidean(Latent):
    """Describe R^dim with q(z|x) = N(loc, diag scale^2) and p(z) = N(0, I), or another prior by name.

    Parameters
    ----------
    dim : int
    options : EuclideanOptions, optional

    References
    ----------
    D. P. Kingma and M. Welling, arXiv:1312.6114, eq. 10 and appendix B: the closed form of the KL.
    """

    options_type = EuclideanOptions
    starts_as_pca = True

    def __init__(self, dim: int, options: EuclideanOptions | None = None) -> None:
        super().__init__()
        self.options = options or EuclideanOptions()
        self.manifold = EuclideanSpace(dim)
        self.param_sizes = {"loc": dim, "log_scale": dim}
        self.parts = tuple(f"z{i}" for i in range(dim))
        self.prior = PRIORS[self.options.prior]

    def _log_scale(self, params: Params) -> Tensor:
        return params["log_scale"].clamp(math.log(self.options.min_scale), 5.0)

    def _noise(self, loc: Tensor, context: Context) -> Tensor:
        return torch.randn(loc.shape, dtype=loc.dtype, device=loc.device, generator=context.generator)

    def rsample(self, params: Params, context: Context) -> LatentSample:
        loc, log_scale = params["loc"], self._log_scale(params)
        noise = self._noise(loc, context)
        z = torch.addcmul(loc, log_scale.exp(), noise)
        encoded = -0.5 * (noise.square() + math.log(2.0 * math.pi)) - log_scale
        return LatentSample(z, encoded - self.prior.log_prob(z))

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """Draw z with KL(q || p); against a normal prior in closed form, without the log ratio of the draw."""
        if not isinstance(self.prior, StandardNormal):
            return super().draw(params, context)
        loc, log_scale = params["loc"], self._log_scale(params)
        scale = log_scale.exp()
        return LatentDraw(torch.addcmul(loc, scale, self._noise(loc, context)), _divergence(loc, log_scale, scale))

    def kl(self, params: Params) -> Tensor | None:
        """Return KL(q || p) in closed form, (B, dim); None unless the prior is normal."""
        if not isinstance(self.prior, StandardNormal):
            return None
        log_scale = self._log_scale(params)
        return _divergence(params["loc"], log_scale, log_scale.exp())

    def mean(self, params: Params) -> Tensor:
        return params["loc"]

    def scale(self, params: Params) -> Tensor:
        return self._log_scale(params).exp()

    def log_prior(self, z: Tensor) -> Tensor:
        return self.prior.log_prob(z).sum(dim=-1)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.prior.sample(n, self.dim, generator)
