"""A latent space of a user's own: circles side by side, with wrapped normal posteriors and a uniform prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trajvae.choices import LATENTS, Choice
from trajvae.geometry.manifolds import Spheres
from trajvae.latents import Context, Latent, LatentSample, Params

WINDINGS = 2.0 * math.pi * torch.arange(-3, 4)


@dataclass(frozen=True)
class ToroidalOptions:
    """What `--set` takes."""

    min_scale: float = field(default=1e-3, metadata={"unit": "radian", "help": "smallest standard deviation"})


class Toroidal(Latent):
    """Circles whose angles have normal distributions, wrapped."""

    options_type = ToroidalOptions

    def __init__(self, dim: int, options: ToroidalOptions | None = None) -> None:
        super().__init__()
        self.options = options or ToroidalOptions()
        self.manifold = Spheres((1,) * dim)
        self.param_sizes = {"loc": 2 * dim, "log_scale": dim}
        self.parts = tuple(f"circle{i}" for i in range(dim))

    def mean(self, params: Params) -> Tensor:
        """The directions of the pairs of `loc`."""
        return self.manifold.lift(params["loc"])

    def scale(self, params: Params) -> Tensor:
        """Standard deviations of the angles, in radians."""
        return params["log_scale"].clamp(math.log(self.options.min_scale), 0.5).exp()

    def rsample(self, params: Params, context: Context) -> LatentSample:
        """Turn each circle's mean by a normal angle."""
        scale = self.scale(params)
        noise = torch.randn(scale.shape, generator=context.generator, dtype=scale.dtype, device=scale.device)
        turn = scale * noise
        c, s = self.mean(params).unflatten(-1, (self.dim, 2)).unbind(dim=-1)
        z = torch.stack([c * turn.cos() - s * turn.sin(), s * turn.cos() + c * turn.sin()], dim=-1).flatten(-2)
        square = ((turn.unsqueeze(-1) + WINDINGS.to(turn)) / scale.unsqueeze(-1)).square()
        log_q = torch.logsumexp(-0.5 * square, dim=-1) - scale.log() - 0.5 * math.log(2.0 * math.pi)
        return LatentSample(z, log_q + math.log(2.0 * math.pi))

    def kl(self, params: Params) -> None:
        """No closed form."""
        return None

    def log_prior(self, z: Tensor) -> Tensor:
        """The uniform density, by angles."""
        return torch.full_like(z[..., 0], -self.dim * math.log(2.0 * math.pi))

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform points."""
        return self.manifold.sample(n, generator)


LATENTS["toroidal"] = Choice("circles side by side", Toroidal)
