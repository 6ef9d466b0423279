"""What a latent space promises: the seam at which backends differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from trajvae.geometry.metric import CentroidMetric

Params = dict[str, Tensor]


class LatentSample(NamedTuple):
    """A draw from the posterior.

    Attributes
    ----------
    z : Tensor, shape (B, ambient)
    log_ratio : Tensor, shape (B, parts)
        log q(z|x) - log p(z), one column a named part.
    """

    z: Tensor
    log_ratio: Tensor


class LatentDraw(NamedTuple):
    """A draw for the ELBO.

    Attributes
    ----------
    z : Tensor, shape (B, ambient)
    kl : Tensor, shape (B, parts)
        An unbiased estimate of KL(q || p), exact where there is a closed form.
    penalty : Tensor, optional, shape (B, parts)
        What training minimises in its place, where a user has weighted its terms.
    """

    z: Tensor
    kl: Tensor
    penalty: Tensor | None = None


@dataclass(frozen=True)
class Context:
    """What only some latents look at.

    Attributes
    ----------
    generator : torch.Generator, optional
        Source of randomness.
    log_likelihood : callable, optional
        z (B, ambient) to log p(x|z) (B,).
    encode : callable, optional
        Frames in the networks' inputs to posterior parameters.
    progress : float
        Share of the epochs that are done.
    """

    generator: torch.Generator | None = None
    log_likelihood: Callable[[Tensor], Tensor] | None = None
    encode: Callable[[Tensor], Params] | None = None
    progress: float = 0.0


class Latent(nn.Module, ABC):
    """A latent space with its posterior and prior.

    Attributes
    ----------
    options_type : type
        A frozen dataclass with every number a user may set; `metadata` of its fields holds unit and help.
    param_sizes : dict of str to int
        The heads an encoder grows.
    dim, ambient_dim : int
        Intrinsic dimension, and that of z.
    parts : tuple of str
        Names of the columns of `log_ratio` and `kl`.
    coordinates : str
        What z is, in words.
    own_rate : float
        Learning rate of the latent's own parameters (curvatures), in units of the networks'.
    burn_in : float
        Share of the epochs over which they stay as they start.
    settled : float
        Share of the epochs before which the ELBO is not yet what it will be of.
    flat : bool
        Whether z and the head `loc` are Cartesian coordinates of order one: networks then start as the principal
        components.
    rows_at_once : int
        Frames that memory is asked for at once.
    """

    options_type: ClassVar[type[Any]]
    param_sizes: dict[str, int]
    dim: int
    ambient_dim: int
    parts: tuple[str, ...]
    coordinates: ClassVar[str] = "Cartesian"
    own_rate: float = 1.0
    burn_in: float = 0.0
    settled: float = 0.0
    flat: bool = False
    rows_at_once: int = 8192

    @classmethod
    def resolve(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings with what must be found out before a model is made; the only place that imports a user's module."""
        return settings

    @abstractmethod
    def rsample(self, params: Params, context: Context) -> LatentSample:
        """A reparameterised draw from q(z|x)."""

    @abstractmethod
    def kl(self, params: Params) -> Tensor | None:
        """KL(q || p) in closed form, (B, parts), or None where there is none."""

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """A draw with the KL(q || p) that training uses: in closed form, or the log ratio of the draw."""
        sample, closed = self.rsample(params, context), self.kl(params)
        return LatentDraw(sample.z, sample.log_ratio if closed is None else closed)

    @abstractmethod
    def mean(self, params: Params) -> Tensor:
        """The point (B, ambient) that stands for the posterior."""

    @abstractmethod
    def scale(self, params: Params) -> Tensor:
        """The posterior's standard deviations along the intrinsic directions, (B, dim)."""

    @abstractmethod
    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z), (B,)."""

    @abstractmethod
    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws from the prior, (n, ambient)."""

    def prepare(self, inputs: Tensor, seed: int) -> None:
        """Called before training with all training frames in the networks' inputs. Nothing by default."""

    def update(self, context: Context) -> None:
        """Called after every step, for latents with bounds to keep or data to remember. Nothing by default."""

    def finish(self, context: Context) -> None:
        """Called after training, with the weights that are kept. Nothing by default."""

    def memory(self) -> dict[str, float]:
        """Numbers beside the state that a training goes on from. None by default."""
        return {}

    def remember(self, numbers: dict[str, float]) -> None:
        """Take back what `memory` gave. Nothing by default."""

    def diagnostics(self) -> dict[str, float]:
        """Figures of how the latent fared, for those who look. None by default."""
        return {}

    def learned_metric(self) -> CentroidMetric | None:
        """The Riemannian metric that was learned beside the latent space, if any was."""
        return None

    def curvatures(self) -> dict[str, float]:
        """The curvature of each curved part. None by default."""
        return {}

    def geometry(self) -> str:
        """What space z is a point of, factor by factor in the order of its coordinates, for those who draw it.

        In the grammar of signatures, with every curvature as it is now ("h2:0.73,s1:1.0,e2"): (c, s) with
        c^2 + K |s|^2 = 1 of curved factors, Cartesian coordinates of flat ones; or "so3" for rotation matrices, or
        empty where the space has no name. Flat by default.
        """
        return f"e{self.dim}"

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances between all rows of a (A, ambient) and b (B, ambient): the ambient chord, shape (A, B)."""
        return torch.cdist(a, b)

    def chords(self, z: Tensor) -> Tensor | None:
        """Coordinates (B, m) whose Euclidean distances are nowhere above `distance`: what searches of neighbours use.

        None where nobody knows any, as in a latent space with a distance of its own: then all distances are measured.
        """
        return z if type(self).distance is Latent.distance else None

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Move by a step in the ambient coordinates, such as a multiple of a gradient there; stay on the manifold."""
        return z + step

    def project(self, z: Tensor) -> Tensor:
        """Ambient coordinates (B, ambient) back on to the manifold."""
        return z

    def tangent(self, z: Tensor) -> Tensor:
        """Coordinates in the tangent space at the origin, (B, dim)."""
        return z

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Points between a and b (ambient,) at times t (K,) in [0, 1], shape (K, ambient)."""
        return a + t[:, None] * (b - a)
