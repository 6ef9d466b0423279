"""The interface of latent spaces, one class for each backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from trajvae.geometry.manifolds import Manifold
from trajvae.geometry.metric import CentroidMetric

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Params = dict[str, Tensor]
Settings = dict[str, object]  # values, or their text, by option name


class LatentSample(NamedTuple):
    """Hold draws from the posterior.

    Attributes
    ----------
    z : Tensor, shape (B, ambient)
    log_ratio : Tensor, shape (B, parts)
        log q(z|x) - log p(z) in nats, one column for each of `Latent.parts`.
    """

    z: Tensor
    log_ratio: Tensor


class LatentDraw(NamedTuple):
    """Hold draws from the posterior with the divergence that the ELBO counts.

    Attributes
    ----------
    z : Tensor, shape (B, ambient)
    kl : Tensor, shape (B, parts)
        An unbiased estimate of KL(q || p) in nats, exact where there is a closed form.
    penalty : Tensor, optional, shape (B, parts)
        What training minimises instead of `kl`, where a user has weighted its terms.
    """

    z: Tensor
    kl: Tensor
    penalty: Tensor | None = None


@dataclass(frozen=True)
class Context:
    """Hold what only some latent spaces need for a draw or a step.

    Attributes
    ----------
    generator : torch.Generator, optional
        Source of randomness.
    log_likelihood : callable, optional
        Maps z (B, ambient) to log p(x|z) in nats, (B,).
    encode : callable, optional
        Maps inputs of the encoder (B, I) to the posterior's parameters.
    progress : float
        Fraction of the training's epochs that are done, 0 to 1.
    """

    generator: torch.Generator | None = None
    log_likelihood: Callable[[Tensor], Tensor] | None = None
    encode: Callable[[Tensor], Params] | None = None
    progress: float = 0.0


class Latent(nn.Module, ABC):
    """Describe a latent space: its manifold, its posterior and its prior.

    Attributes
    ----------
    manifold : Manifold
        The space that latent points lie on: it has their distances, geodesics and steps.
    options_type : type
        A frozen dataclass of the options that a user may set; the metadata of its fields hold unit and help.
    param_sizes : dict of str to int
        Sizes of the encoder's heads, which are the posterior's parameters, by name.
    parts : tuple of str
        Names of the columns of the divergence.
    coordinates : str
        A description of the coordinates of z, in words.
    learning_rate_factor : float
        Learning rate of the latent's own parameters (curvatures), in units of the networks'.
    burn_in : float
        Fraction of the epochs during which these parameters keep their initial values.
    elbo_valid_after : float
        Fraction of the epochs after which ELBOs can be compared: before that the posterior has another form.
    starts_as_pca : bool
        Whether z and the encoder's head for it are Cartesian coordinates of order one: networks then start as the
        principal components.
    rows_at_once : int
        Largest number of frames that are computed at once, which limits the memory.
    """

    options_type: ClassVar[type[DataclassInstance]]
    manifold: Manifold
    param_sizes: dict[str, int]
    parts: tuple[str, ...]
    coordinates: ClassVar[str] = "Cartesian"
    learning_rate_factor: float = 1.0
    burn_in: float = 0.0
    elbo_valid_after: float = 0.0
    starts_as_pca: bool = False
    rows_at_once: int = 8192

    @property
    def dim(self) -> int:
        """Intrinsic dimension."""
        return self.manifold.dim

    @property
    def ambient_dim(self) -> int:
        """Number of coordinates of a latent point."""
        return self.manifold.ambient_dim

    @classmethod
    def resolve(cls, settings: Settings) -> Settings:
        """Return settings completed by what must be known before a model is made.

        Only this method imports a user's module. By default settings are returned as they are.
        """
        return settings

    @abstractmethod
    def rsample(self, params: Params, context: Context) -> LatentSample:
        """Draw z from q(z|x), reparameterised, with log q(z|x) - log p(z)."""

    @abstractmethod
    def kl(self, params: Params) -> Tensor | None:
        """Return KL(q || p) in closed form, (B, parts), or None where no closed form is known."""

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """Draw z with the KL(q || p) that training uses: in closed form, or else the log ratio of the draw."""
        sample, closed = self.rsample(params, context), self.kl(params)
        return LatentDraw(sample.z, sample.log_ratio if closed is None else closed)

    @abstractmethod
    def mean(self, params: Params) -> Tensor:
        """Return the centre of the posterior, (B, ambient)."""

    @abstractmethod
    def scale(self, params: Params) -> Tensor:
        """Return the posterior's standard deviations along the intrinsic directions, (B, dim)."""

    @abstractmethod
    def log_prior(self, z: Tensor) -> Tensor:
        """Return log p(z) of points (B, ambient), in nats, (B,)."""

    @abstractmethod
    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points from the prior, (n, ambient), on the generator's device."""

    def prepare(self, inputs: Tensor, seed: int) -> None:
        """Prepare the latent space before training.

        Nothing by default.

        Parameters
        ----------
        inputs : Tensor, shape (T, I)
            All training frames, as inputs of the encoder.
        seed : int
        """

    def update(self, context: Context) -> None:
        """Adjust the latent space after each optimiser step, such as to clamp a parameter. Nothing by default."""

    def finish(self, context: Context) -> None:
        """Store what the final weights encode, once training is over. Nothing by default."""

    def extra_state(self) -> dict[str, float]:
        """Return the numbers that a resumed training needs beside the state dict. None by default."""
        return {}

    def load_extra_state(self, numbers: dict[str, float]) -> None:
        """Restore the numbers that `extra_state` returned. Nothing by default."""

    def diagnostics(self) -> dict[str, float]:
        """Return figures by name that describe how training this latent space went. None by default."""
        return {}

    def learned_metric(self) -> CentroidMetric | None:
        """Return the Riemannian metric that was learned with the latent space, or None where none was learned."""
        return None

    def curvatures(self) -> dict[str, float]:
        """Return the curvature of each curved part, by the part's name. None by default."""
        return {}
