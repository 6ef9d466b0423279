"""The product of spaces of constant curvature: hyperbolic, spherical and Euclidean factors side by side."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError
from trajvae.geometry import maps, wrapped
from trajvae.geometry.manifolds import ConstantCurvature, ProductSpace
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params
from trajvae.latents.bounded_scale import BoundedScale
from trajvae.latents.product_options import ProductOptions
from trajvae.signature import SIGNS, FactorSpec, parse_signature


def _flat_kl(mu: Tensor, sigma: Tensor) -> Tensor:
    """Return KL(N(mu, sigma^2) || N(0, 1)), (..., d) to (...)."""
    return (0.5 * (mu.square() + sigma.square() - 1.0) - sigma.log()).sum(dim=-1)


class Product(Latent):
    """Combine constant-curvature spaces, each with a wrapped normal posterior and prior.

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

    The head `loc` has a factor's tangent coordinates at the origin, but on spheres: there they would tear the encoder
    at the antipode, and the head is r of one number more, which stands for the point in the direction of (1, 0) + r.

    References
    ----------
    M. Skopek, O. Ganea, G. Becigneul, ICLR 2020 (arXiv:1911.08411).
    """

    options_type = ProductOptions
    _start: Tensor
    _half: Tensor
    _owner: Tensor
    _several: Tensor
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
        self._heads = [f.dim + (f.letter == "s") for f in self.signature]
        self.param_sizes = {"loc": sum(self._heads), "log_scale": dim}
        self.parts = tuple(f"{f.name}#{i}" for i, f in enumerate(self.signature))
        owner = torch.tensor([i for i, f in enumerate(self.signature) for _ in range(f.dim)])
        self.register_buffer("_owner", owner, persistent=False)  # the factor of each coordinate
        several = torch.tensor([f.dim > 1 for f in self.signature])
        self.register_buffer("_several", several, persistent=False)
        start = torch.cat([nn.functional.pad(torch.ones(int(f.letter == "s")), (0, f.dim)) for f in self.signature])
        self.register_buffer("_start", start.double(), persistent=False)
        half = torch.tensor([0.5 * f.dim for f in self.signature], dtype=torch.float64)
        self.register_buffer("_half", half, persistent=False)  # of a standard normal draw, mean |noise|^2 / 2
        self.learning_rate_factor, self.burn_in = self.options.curvature_rate, self.options.burn_in

    @property
    def manifold(self) -> ProductSpace:  # type: ignore[override]
        """Product space, which model files name `space`."""
        return self.space

    def _factor(self, factor: FactorSpec) -> ConstantCurvature:
        learn = self.options.learn_curvature and factor.letter != "e" and factor.curvature is None
        sign, low, high = SIGNS[factor.letter], self.options.min_curvature, self.options.max_curvature
        curvature = sign * min(max(1.0, low), high) if factor.curvature is None else factor.curvature
        return ConstantCurvature(factor.dim, curvature, learnable=learn)

    def curvatures(self) -> dict[str, float]:
        factors = zip(self.parts, self.space.factors, self.space.flat_factors, strict=True)
        return {name: float(s.curvature.detach()) for name, s, flat in factors if not flat}

    def _scale(self, params: Params) -> Tensor:
        """Return the bounded standard deviations in float64."""
        scale = maps.apart(params["log_scale"].double()).clamp(math.log(self.options.min_scale), 2.0).exp()
        curvature = torch.stack([space.curvature for space in self.space.factors])
        bounded: Tensor = BoundedScale.apply(scale, curvature, self._several, self._owner)  # type: ignore[no-untyped-call]
        return bounded

    def _centres(self, params: Params) -> list[Tensor]:
        """Return the posterior's centre in each factor, a point or Cartesian coordinates, in float64."""
        out = []
        heads = torch.split(maps.apart(params["loc"].double()) + self._start, self._heads, dim=-1)
        for factor, flat, space, head in zip(
            self.signature, self.space.flat_factors, self.space.factors, heads, strict=True
        ):
            if factor.letter == "s":
                out.append(maps.on_sphere(head, space.curvature))
            else:
                out.append(head if flat else space.from_tangent(head))
        return out

    def _noise(self, n: int, params: Params, context: Context) -> Tensor:
        like = params["log_scale"]
        return torch.randn(n, *like.shape, dtype=like.dtype, device=like.device, generator=context.generator)

    def _sample(self, params: Params, noise: Tensor) -> tuple[LatentSample, Tensor]:
        """Draws (B, ambient) by noise (n, B, dim)'s first, with the log ratios (B, parts) there; KL's estimates.

        The noise's own share of log q, -|noise|^2 / 2, is known in the mean, and stands there by its mean.
        """
        points, ratios, divergences = [], [], []
        scale, noise = self._scale(params), maps.apart(noise.double())
        split = (self.space.vectors(x) for x in (scale, scale.log(), scale * noise, 0.5 * noise.square()))
        for flat, space, centre, sigma, log_sigma, v, half in zip(
            self.space.flat_factors, self.space.factors, self._centres(params), *split, strict=True
        ):
            energy, width = half.sum(dim=-1), log_sigma.sum(dim=-1)
            if flat:
                points.append(centre + v[0])
                ratios.append(0.5 * points[-1].square().sum(dim=-1) - width - energy[0])
                divergences.append(0.5 * (centre.square() + sigma.square()).sum(dim=-1) - width)
            else:
                z, exponent = wrapped.exp_with_log_density(space, centre, v, energy, sigma)
                drawn = exponent - wrapped.prior_exponent(space, z) - width
                points.append(z[0])
                ratios.append(drawn[0])
                divergences.append((drawn + energy).mean(dim=0))
        like = params["loc"]
        sample = LatentSample(torch.cat(points, dim=-1).to(like), torch.stack(ratios, dim=-1).to(like))
        return sample, (torch.stack(divergences, dim=-1) - self._half).to(like)

    def rsample(self, params: Params, context: Context) -> LatentSample:
        return self._sample(params, self._noise(1, params, context))[0]

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """Draw z with KL(q || p): in closed form for flat factors, estimated over antithetic pairs for curved ones."""
        half = self._noise((self.options.n_samples + 1) // 2, params, context)
        sample, kl = self._sample(params, torch.cat([half, -half])[: self.options.n_samples])
        return LatentDraw(sample.z, kl)

    def kl(self, params: Params) -> Tensor | None:
        """Return KL(q || p) in closed form, (B, parts); None unless every factor is flat."""
        if not all(self.space.flat_factors):
            return None
        split = (self.space.vectors(x) for x in (params["loc"].double(), self._scale(params)))
        kl = torch.stack([_flat_kl(mu, sigma) for mu, sigma in zip(*split, strict=True)], dim=-1)
        return kl.to(params["loc"])

    def mean(self, params: Params) -> Tensor:
        """Return the posterior's centre, (B, ambient)."""
        return torch.cat(self._centres(params), dim=-1).to(params["loc"])

    def scale(self, params: Params) -> Tensor:
        """Return the posterior's standard deviations in the tangent space at its centre, (B, dim)."""
        return self._scale(params).to(params["log_scale"])

    def log_prior(self, z: Tensor) -> Tensor:
        parts = zip(self.space.factors, self.space.points(z), strict=True)
        return torch.stack([wrapped.log_prior(s, p) for s, p in parts]).sum(dim=0)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        device = generator.device if generator is not None else None
        return self.space.from_tangent(torch.randn(n, self.dim, generator=generator, device=device))

    def update(self, context: Context) -> None:
        """Clamp learned curvatures to their bounds."""
        low, high = self.options.min_curvature, self.options.max_curvature
        for factor, space in zip(self.signature, self.space.factors, strict=True):
            if isinstance(space.curvature, nn.Parameter):
                space.curvature.data.clamp_(*((low, high) if SIGNS[factor.letter] > 0 else (-high, -low)))
