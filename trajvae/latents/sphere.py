"""The hyperspherical latent space: Power Spherical or von Mises-Fisher posterior, uniform prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.errors import OptionError
from trajvae.geometry.distributions import PowerSpherical, SphereUniform, VonMisesFisher
from trajvae.geometry.manifolds import ConstantCurvature, UnitSphere
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params

POSTERIORS: dict[str, type[PowerSpherical] | type[VonMisesFisher]] = {
    "power_spherical": PowerSpherical,
    "von_mises_fisher": VonMisesFisher,
}


@dataclass(frozen=True)
class SphereOptions:
    """Hold the options of this latent space."""

    posterior: str = field(
        default="power_spherical", metadata={"unit": "", "help": "its family: power_spherical or von_mises_fisher"}
    )
    min_concentration: float = field(
        default=1e-3, metadata={"unit": "", "help": "smallest concentration of the posterior"}
    )
    max_concentration: float = field(
        default=1e5, metadata={"unit": "", "help": "largest concentration of the posterior"}
    )

    def __post_init__(self) -> None:
        check_choice(self.posterior, POSTERIORS, "posterior")
        if not 0.0 < self.min_concentration < self.max_concentration <= 1e6:
            raise OptionError(
                "concentrations need 0 < min_concentration < max_concentration <= 1e6, "
                f"got {self.min_concentration} and {self.max_concentration}"
            )


class Sphere(Latent):
    """Describe the unit sphere of intrinsic dimension `dim`; points are unit vectors in R^(dim + 1).

    Parameters
    ----------
    dim : int
    options : SphereOptions, optional

    References
    ----------
    T. R. Davidson et al., arXiv:1804.00891: the hyperspherical VAE.
    N. De Cao and W. Aziz, arXiv:2006.04437, eq. 10 and 14: the Power Spherical posterior and its divergence.
    """

    options_type = SphereOptions
    coordinates = "unit vectors"

    def __init__(self, dim: int, options: SphereOptions | None = None) -> None:
        super().__init__()
        self.options = options or SphereOptions()
        self.param_sizes = {"loc": dim + 1, "log_concentration": 1}
        self.parts = ("sphere",)
        self.space = ConstantCurvature(dim, 1.0)  # model files name its curvature
        self.manifold = UnitSphere(self.space)
        self.prior = SphereUniform(dim + 1)

    def _posterior(self, params: Params) -> PowerSpherical | VonMisesFisher:
        low, high = (math.log(k) for k in (self.options.min_concentration, self.options.max_concentration))
        # an untrained encoder starts at a concentration of about `dim`: wide, but not uniform
        log_concentration = math.log(self.dim) + params["log_concentration"][..., 0]
        family = POSTERIORS[self.options.posterior]
        return family(self.mean(params), log_concentration.clamp(low, high).exp(), validate_args=False)

    def rsample(self, params: Params, context: Context) -> LatentSample:
        posterior = self._posterior(params)
        z = posterior.rsample(generator=context.generator)
        ratio = posterior.log_prob(z) - self.prior.log_prob(z)
        return LatentSample(z, ratio.unsqueeze(-1))

    def draw(self, params: Params, context: Context) -> LatentDraw:
        posterior = self._posterior(params)
        z = posterior.rsample(generator=context.generator)
        return LatentDraw(z, torch.distributions.kl_divergence(posterior, self.prior).unsqueeze(-1))

    def kl(self, params: Params) -> Tensor:
        return torch.distributions.kl_divergence(self._posterior(params), self.prior).unsqueeze(-1)

    def mean(self, params: Params) -> Tensor:
        """Return the posterior's mean direction, a unit vector, (B, dim + 1)."""
        return torch.nn.functional.normalize(params["loc"], dim=-1, eps=1e-12)

    def scale(self, params: Params) -> Tensor:
        """Return the posterior's standard deviations in radians, equal in all directions, (B, dim)."""
        variance = self._posterior(params).tangent_variance
        return variance.sqrt().unsqueeze(-1).expand(*variance.shape, self.dim)

    def log_prior(self, z: Tensor) -> Tensor:
        return self.prior.log_prob(z)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        device = generator.device if generator is not None else None
        x = torch.randn(n, self.dim + 1, generator=generator, device=device)
        return torch.nn.functional.normalize(x, dim=-1)
