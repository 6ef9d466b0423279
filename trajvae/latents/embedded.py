"""Compact latent manifolds: a hidden variable in the unit cube, a map of the cube to the manifold, and isometries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.arguments.user_functions import import_function, one_line
from trajvae.errors import OptionError, TrajvaeError
from trajvae.geometry.cube_maps.cube_map import ExactMap, LearnedMap, jacobian, smoothest
from trajvae.geometry.cube_maps.map_quality import Quality, measure
from trajvae.geometry.cube_maps.wasserstein import learn_well
from trajvae.geometry.manifolds import Compact, Rotations, Sampled, Spheres
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params, Settings
from trajvae.latents.hidden import HIDDEN
from trajvae.signature import parse_manifold

_MAPS = ("auto", "exact", "learned")
_KNOWN = "circle, torus:K, sphere:N or so3"


@dataclass(frozen=True)
class EmbeddedOptions:
    """Hold the options of an embedded latent space; `ambient` is computed."""

    manifold: str = field(
        default="",
        metadata={
            "unit": "",
            "help": "circle, torus:K, sphere:N, so3, or MODULE:FUNCTION, which gets (n, generator) and returns n "
            "points of a uniform distribution; default: circle, or torus:K by the latent dimension",
        },
    )
    map: str = field(
        default="auto",
        metadata={"unit": "", "help": "from the hidden variable: exact, learned, or auto, exact where one is known"},
    )
    group: bool = field(default=True, metadata={"unit": "", "help": "let the encoder move the posterior by isometries"})
    posterior: str = field(default="normal", metadata={"unit": "", "help": "of the hidden variable: normal or beta"})
    min_scale: float = field(
        default=1e-4, metadata={"unit": "", "help": "smallest standard deviation of the hidden posterior"}
    )
    ambient: int = field(default=0, metadata={"own": True, "help": "coordinates of a manifold of samples"})

    def __post_init__(self) -> None:
        check_choice(self.map, _MAPS, "map")
        check_choice(self.posterior, HIDDEN, "posterior")
        if not 0.0 < self.min_scale < 1.0:
            raise OptionError(f"min_scale must lie between 0 and 1, got {self.min_scale}")
        if self.manifold:
            parse_manifold(self.manifold)


def _samples(name: str) -> Callable[[int, torch.Generator], Tensor]:
    """Import a user's function that draws samples, and check what it returns."""
    function = import_function(name, "manifold", _KNOWN)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        """Return n points of the manifold."""
        try:
            points = torch.as_tensor(np.asarray(function(n, generator)), dtype=torch.get_default_dtype())
        except Exception as error:  # all exceptions, since a user's function may raise any
            raise OptionError(f"manifold '{name}' failed: {one_line(error)}") from error
        if points.ndim != 2 or len(points) != n or not bool(points.isfinite().all()):
            raise OptionError(f"manifold '{name}' must return finite points ({n}, ambient), got {tuple(points.shape)}")
        return points

    return draw


def _manifold(name: str, dim: int, ambient: int) -> Compact:
    """Return the manifold of a name, which must have the dimension `dim`."""
    spec = parse_manifold(name)
    if spec.dim not in (None, dim):
        raise OptionError(f"manifold '{name}' has dimension {spec.dim}, the latent dimension is {dim}")
    if spec.kind == "function":
        if ambient <= dim:
            raise OptionError(f"manifold '{name}' needs more coordinates than its dimension {dim}, got {ambient}")
        return Sampled(dim, ambient)
    return Rotations() if spec.kind == "so3" else Spheres((dim,) if spec.kind == "sphere" else (1,) * dim)


class Embedded(Latent):
    """Describe a compact manifold with a uniform prior, whose posterior is mapped from the unit cube.

    Parameters
    ----------
    dim : int
    options : EmbeddedOptions, optional

    Notes
    -----
    z = g(x) f(u): u has a posterior in the cube, f is the map, g(x) an isometry that the encoder gives; with it, the
    posterior of u stays about one place: the middle of the cube, or where a learned map is most even. The density of
    z over the uniform one is that of u, and log Vol - 1/2 log det J^T J of the map more. Without g that second term
    belongs to a prior of the map's own, which is then sampled from; with g, which would turn the map's densest part to
    the data, it must be counted. It is zero for exact maps.

    References
    ----------
    E. Golikov, M. Kretov, arXiv:1812.02769.
    L. Falorsi et al., arXiv:1807.04689: the group action.
    """

    options_type = EmbeddedOptions
    manifold: Compact
    centre: Tensor
    coordinates = "points of the manifold in its ambient space; circles as cosine and sine, rotations as matrices"

    def __init__(self, dim: int, options: EmbeddedOptions | None = None) -> None:
        super().__init__()
        self.options = options or EmbeddedOptions()
        self.name = self.options.manifold.strip() or ("circle" if dim == 1 else f"torus:{dim}")
        self.manifold = _manifold(self.name, dim, self.options.ambient)
        if self.options.map == "exact" and not self.manifold.exact:
            raise OptionError(f"manifold '{self.name}' has no exact map: use map=learned")
        learned = self.options.map == "learned" or not self.manifold.exact
        self.map = LearnedMap(self.manifold) if learned else ExactMap(self.manifold)
        self.hidden = HIDDEN[self.options.posterior](dim, self.options.min_scale)
        self.grouped = self.options.group and self.manifold.group_size > 0
        self.param_sizes = {**self.hidden.sizes}
        if self.grouped:
            del self.param_sizes["loc"]  # isometries reach every point: a second parameter for it would have no effect
            self.param_sizes["group"] = self.manifold.group_size
        self.parts = (self.name.split(":")[0],)
        self.quality: Quality | None = None
        self.register_buffer("centre", self.hidden.locate(torch.full((dim,), 0.5)))

    @classmethod
    def resolve(cls, settings: Settings) -> Settings:
        """Return the settings with the number of coordinates of a user's samples."""
        name = str(settings.get("manifold", ""))
        if not name or parse_manifold(name).kind != "function":
            return settings
        return {**settings, "ambient": _samples(name)(2, torch.Generator().manual_seed(0)).shape[1]}

    def prepare(self, inputs: Tensor, seed: int) -> None:
        """Train the map if no exact one is known, and measure its quality.

        Raises
        ------
        TrajvaeError
            A learned map that is not good enough.
        """
        if isinstance(self.manifold, Sampled):
            self.manifold.draw = _samples(self.name)
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            if isinstance(self.map, LearnedMap):
                made, self.quality = learn_well(self.manifold, seed)
                self._keep(self.map, made, self.quality)
            else:
                self.quality = measure(self.manifold, self.map, torch.Generator().manual_seed(seed))
        if isinstance(self.manifold, Sampled):
            self.manifold.draw = None  # a model does not contain a user's function

    def _keep(self, own: LearnedMap, made: LearnedMap, quality: Quality) -> None:
        failures = quality.failures()
        if failures:
            raise TrajvaeError(
                f"the map learned for manifold '{self.name}' is not good enough: {'; '.join(failures)}; "
                "another --seed may learn a better one"
            )
        own.take(made)
        place = smoothest(made, self.dim, torch.Generator().manual_seed(0))
        self.centre.copy_(self.hidden.locate(place))

    def diagnostics(self) -> dict[str, float]:
        """Return the figures of the map's quality."""
        return {} if self.quality is None else self.quality.figures()

    @property
    def _counted(self) -> bool:
        """Return whether the density of the map counts in the log ratio."""
        return self.grouped and isinstance(self.map, LearnedMap)

    def _inner(self, params: Params) -> Params:
        """Return the parameters of the hidden posterior, whose centre is fixed if isometries move the points."""
        if not self.grouped:
            return params
        head = params["group"]
        return {**params, "loc": self.centre.to(head).expand(*head.shape[:-1], self.dim)}

    def _placed(self, u: Tensor, params: Params) -> Tensor:
        z = self.map.points(u)
        return self.manifold.act(params["group"], z) if self.grouped else z

    def rsample(self, params: Params, context: Context) -> LatentSample:
        u, ratio = self.hidden.draw(self._inner(params), context.generator)
        ratio = ratio + self.map.log_density_ratio(u) if self._counted else ratio
        return LatentSample(self._placed(u, params), ratio.unsqueeze(-1))

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """Draw z with KL(q || p): the hidden one in closed form, plus the log density of the map if it counts."""
        inner = self._inner(params)
        u, kl = self.hidden.draw(inner, context.generator).u, self.hidden.kl(inner)
        kl = kl + self.map.log_density_ratio(u) if self._counted else kl
        return LatentDraw(self._placed(u, params), kl.unsqueeze(-1))

    def kl(self, params: Params) -> Tensor | None:
        """Return KL(q || p) in closed form, (B, 1); None if the density of the map counts."""
        return None if self._counted else self.hidden.kl(self._inner(params)).unsqueeze(-1)

    def mean(self, params: Params) -> Tensor:
        """Return the image of the hidden posterior's centre, (B, ambient)."""
        return self._placed(self.hidden.mean(self._inner(params)), params)

    def scale(self, params: Params) -> Tensor:
        """Return standard deviations along the images of the cube's axes, to first order, (B, dim)."""
        inner = self._inner(params)
        columns = jacobian(self.map, self.hidden.mean(inner))
        return columns.square().sum(dim=1).sqrt() * self.hidden.spread(inner)

    def log_prior(self, z: Tensor) -> Tensor:
        """Return the log density of the uniform distribution, with respect to the volume in the ambient space, (B,)."""
        if isinstance(self.manifold, Sampled) or self.manifold.log_volume is None:
            raise OptionError(f"the density of manifold '{self.name}' is not known")
        return torch.full_like(z[..., 0], -self.manifold.log_volume)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points, (n, ambient): uniform ones, or, without isometries, images of uniform points of the cube."""
        if self.grouped:
            return self.manifold.sample(n, generator)
        device = generator.device if generator is not None else None
        return self.map.points(torch.rand(n, self.dim, generator=generator, device=device))
