"""The product of spaces of constant curvature: hyperbolic, spherical and Euclidean factors side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError
from trajvae.geometry import wrapped
from trajvae.geometry.manifolds import ConstantCurvature
from trajvae.geometry.product import ProductSpace
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params
from trajvae.signature import SIGNS, FactorSpec, parse_signature

_WIDEST = 0.7  # of a posterior on a sphere of dimension 2 or more, in units of the radius


@dataclass(frozen=True)
class ProductOptions:
    """What a user may set with `--set`; but `signature`, which has an option of its own."""

    signature: str = field(default="", metadata={"own": True, "help": "the option --signature; default: s1,e<rest>"})
    learn_curvature: bool = field(default=True, metadata={"unit": "", "help": "learn curvatures that are not given"})
    curvature_rate: float = field(
        default=1.0, metadata={"unit": "", "help": "learning rate of curvatures, in units of the networks'"}
    )
    burn_in: float = field(
        default=0.3, metadata={"unit": "share of epochs", "help": "how long curvatures stay as they start"}
    )
    min_curvature: float = field(default=1e-2, metadata={"unit": "", "help": "smallest |K| of a learned curvature"})
    max_curvature: float = field(default=4.0, metadata={"unit": "", "help": "largest |K| of a learned curvature"})
    n_samples: int = field(
        default=2,
        metadata={"unit": "", "help": "draws, in antithetic pairs, over which a KL without closed form is taken"},
    )
    min_scale: float = field(
        default=1e-4, metadata={"unit": "", "help": "smallest standard deviation of the posterior"}
    )

    def __post_init__(self) -> None:
        if not 0.0 < self.min_curvature < self.max_curvature:
            raise OptionError(
                f"curvatures need 0 < min_curvature < max_curvature, got {self.min_curvature} and {self.max_curvature}"
            )
        if self.n_samples < 1 or (self.n_samples > 1 and self.n_samples % 2):
            raise OptionError(f"n_samples must be 1 or an even number, got {self.n_samples}")
        if not 0.0 < self.min_scale < 1.0:
            raise OptionError(f"min_scale must lie between 0 and 1, got {self.min_scale}")
        if not 0.0 <= self.burn_in <= 1.0:
            raise OptionError(f"burn_in must lie between 0 and 1, got {self.burn_in}")
        if not 0.0 <= self.curvature_rate < math.inf:
            raise OptionError(f"curvature_rate must be 0 or above, got {self.curvature_rate}")


def _bounded(space: ConstantCurvature, scale: Tensor) -> Tensor:
    """Standard deviations kept smoothly below what the space can bear.

    At its centre's antipode, on a sphere of dimension 2 or more, the density of a wrapped normal is infinite, and the
    gradient of a divergence has no mean once draws come near. On a hyperboloid coordinates grow exponentially.
    """
    bend = space.curvature.abs().sqrt()
    if bool(space.curvature > 0) and space.dim > 1:
        inverse = bend / _WIDEST
    elif bool(space.curvature < 0):
        inverse = 0.5 * bend / (1.0 + bend)
    else:
        return scale
    return scale / (1.0 + (scale * inverse.to(scale)) ** 4) ** 0.25


def _flat_draw(mu: Tensor, sigma: Tensor, noise: Tensor) -> LatentSample:
    """What `_curved_draw` gives at K = 0, with less work and without the constant c."""
    z = mu + sigma * noise
    return LatentSample(z, (0.5 * (z.square() - noise.square()) - sigma.log()).sum(dim=-1))


def _curved_draw(space: ConstantCurvature, mu: Tensor, sigma: Tensor, noise: Tensor) -> LatentSample:
    made = wrapped.draw(space, space.exp0(mu), sigma, noise)
    return LatentSample(made.z, made.log_prob - wrapped.log_prior(space, made.z))


class Product(Latent):
    """A product of constant-curvature spaces with a wrapped normal posterior and prior in each.

    Parameters
    ----------
    dim : int
        Intrinsic; the sum over the factors.
    options : ProductOptions, optional

    Notes
    -----
    A point is the factors' coordinates side by side: (c, s) for each curved one, as `ConstantCurvature` has them, and
    Cartesian coordinates for each flat one. As a curvature goes to zero, from either side, everything goes to the
    Euclidean latent space.

    References
    ----------
    M. Skopek, O. Ganea, G. Becigneul, ICLR 2020 (arXiv:1911.08411).
    """

    options_type = ProductOptions
    coordinates = "factors side by side: (c, s) with c^2 + K |s|^2 = 1 for curved ones, Cartesian for flat ones"

    def __init__(self, dim: int, options: ProductOptions | None = None) -> None:
        super().__init__()
        self.options = options or ProductOptions()
        text = self.options.signature or ("s1" if dim == 1 else f"s1,e{dim - 1}")
        self.signature = parse_signature(text)
        size = sum(f.dim for f in self.signature)
        if size != dim:
            raise OptionError(f"signature '{text}' has dimension {size}, the latent dimension is {dim}")
        self.space = ProductSpace([self._factor(f) for f in self.signature])
        self.dim, self.ambient_dim = dim, self.space.ambient_dim
        self.param_sizes = {"loc": dim, "log_scale": dim}
        self.parts = tuple(f"{f.name}#{i}" for i, f in enumerate(self.signature))
        self.own_rate, self.burn_in = self.options.curvature_rate, self.options.burn_in

    def _factor(self, factor: FactorSpec) -> ConstantCurvature:
        learn = self.options.learn_curvature and factor.letter != "e" and factor.curvature is None
        sign, low, high = SIGNS[factor.letter], self.options.min_curvature, self.options.max_curvature
        curvature = sign * min(max(1.0, low), high) if factor.curvature is None else factor.curvature
        return ConstantCurvature(factor.dim, curvature, learnable=learn)

    def curvatures(self) -> dict[str, float]:
        """See `Latent`."""
        factors = zip(self.parts, self.space.factors, self.space.flat, strict=True)
        return {name: float(s.curvature.detach()) for name, s, flat in factors if not flat}

    def _scale(self, params: Params) -> Tensor:
        scale = params["log_scale"].clamp(math.log(self.options.min_scale), 2.0).exp()
        parts = zip(self.space.factors, self.space.vectors(scale), strict=True)
        return torch.cat([_bounded(space, part) for space, part in parts], dim=-1)

    def _draw(self, params: Params, noise: Tensor) -> LatentSample:
        """Draws from noise (..., B, dim)."""
        points, ratios = [], []
        split = [self.space.vectors(x.double()) for x in (params["loc"], self._scale(params), noise)]
        for flat, space, mu, sigma, eps in zip(self.space.flat, self.space.factors, *split, strict=True):
            made = _flat_draw(mu, sigma, eps) if flat else _curved_draw(space, mu, sigma, eps)
            points.append(made.z)
            ratios.append(made.log_ratio)
        return LatentSample(torch.cat(points, dim=-1), torch.stack(ratios, dim=-1))

    def rsample(self, params: Params, context: Context) -> LatentSample:
        """See `Latent`."""
        z, ratio = self._draw(params, self._noise(1, params, context)[0])
        return LatentSample(z.to(params["loc"]), ratio.to(params["loc"]))

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """See `Latent`: KL of flat factors in closed form, of curved ones over antithetic pairs of draws.

        The noise's own share of log q, -|noise|^2 / 2, is known in the mean, and stands there by its mean.
        """
        half = self._noise((self.options.n_samples + 1) // 2, params, context)
        noise = torch.cat([half, -half])[: self.options.n_samples]
        z, ratio = self._draw(params, noise)
        excess = [0.5 * (x.square() - 1.0).sum(dim=-1) for x in self.space.vectors(noise)]
        drawn = (ratio + torch.stack(excess, dim=-1)).mean(dim=0)
        flat = torch.tensor(self.space.flat, device=drawn.device)
        return LatentDraw(z[0].to(params["loc"]), torch.where(flat, self._flat_kl(params), drawn).to(params["loc"]))

    def _noise(self, n: int, params: Params, context: Context) -> Tensor:
        like = params["loc"]
        return torch.randn(n, *like.shape, dtype=like.dtype, device=like.device, generator=context.generator)

    def kl(self, params: Params) -> Tensor | None:
        """See `Latent`: closed only where every factor is flat."""
        return self._flat_kl(params) if all(self.space.flat) else None

    def _flat_kl(self, params: Params) -> Tensor:
        """As if every factor were flat, (B, parts)."""
        loc, scale = params["loc"], self._scale(params)
        each = 0.5 * (loc.square() + scale.square() - 1.0) - scale.log()
        return torch.stack([part.sum(dim=-1) for part in self.space.vectors(each)], dim=-1)

    def mean(self, params: Params) -> Tensor:
        """See `Latent`: the posterior's centre."""
        return self.space.exp0(params["loc"])

    def scale(self, params: Params) -> Tensor:
        """See `Latent`: in the tangent space at the centre."""
        return self._scale(params)

    def log_prior(self, z: Tensor) -> Tensor:
        """See `Latent`."""
        parts = zip(self.space.factors, self.space.points(z), strict=True)
        return torch.stack([wrapped.log_prior(s, p) for s, p in parts]).sum(dim=0)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """See `Latent`; drawn on the generator's device."""
        device = generator.device if generator is not None else None
        return self.space.exp0(torch.randn(n, self.dim, generator=generator, device=device))

    def update(self, context: Context) -> None:
        """See `Latent`: keeps learned curvatures within their bounds."""
        low, high = self.options.min_curvature, self.options.max_curvature
        for factor, space in zip(self.signature, self.space.factors, strict=True):
            if isinstance(space.curvature, nn.Parameter):
                sign = SIGNS[factor.letter]
                space.curvature.data = sign * (sign * space.curvature.data).clamp(low, high)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Latent`: root of the sum of the factors' squared distances."""
        return self.space.pairwise(a, b)

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """See `Latent`: the geodesic of each factor."""
        return self.space.geodesic(a, b, t)

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """See `Latent`: along each factor's geodesic in the step's Riemannian direction, as far as that is long."""
        return self.space.move(z, step)

    def project(self, z: Tensor) -> Tensor:
        """See `Latent`."""
        return self.space.project(z)

    def tangent(self, z: Tensor) -> Tensor:
        """See `Latent`: the factors' logarithms at their origins, side by side."""
        return self.space.log0(z)
