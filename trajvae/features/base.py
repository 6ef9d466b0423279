"""The interface of every kind of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from trajvae.alignment.align import Alignment
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats
from trajvae.weighted_samples import effective_size

LEAST_FLOOR = 1e-3  # Å
_MOST_INPUTS = 512


@dataclass(frozen=True, eq=False)
class FittingData:
    """Hold the training frames that features are fitted to, with their alignment and topology.

    Attributes
    ----------
    alignment : Alignment
    topology : Topology
    frames : ndarray, shape (T, N, D)
        Training frames in Å, aligned.
    floor : float
        Resolution of the coordinates in Å.
    latent_dim : int
        Intrinsic dimension of the latent space: as many principal components are kept at least.
    weights : ndarray, shape (T,), optional
        How much each frame counts, of mean 1; None where all count alike.
    """

    alignment: Alignment
    topology: Topology
    frames: Floats
    floor: float
    latent_dim: int
    weights: Float64 | None = None

    @property
    def frame_weights(self) -> Tensor | None:
        """The weights of the frames as a tensor of float64."""
        return None if self.weights is None else torch.from_numpy(self.weights)

    @property
    def n_effective(self) -> int:
        """Number of frames, or with weights of frames of equal weight that these are worth, rounded."""
        return len(self.frames) if self.weights is None else max(1, round(effective_size(self.weights)))

    def inputs_of(self, size: int) -> int:
        """Return how many of `size` inputs to keep: at most one per four frames, lest few frames be memorised."""
        return min(size, max(self.latent_dim, self.n_effective // 4, 1), max(_MOST_INPUTS, self.latent_dim))


@dataclass(frozen=True)
class FeatureSizes:
    """Hold the numbers that fix the shapes of the features' arrays, so that a file can fill them.

    Attributes
    ----------
    n_inputs : int
    n_angular : int
        Targets that are angles of a whole turn; they come last.
    """

    n_inputs: int
    n_angular: int = 0


class Features(nn.Module, ABC):
    """Describe the coordinates of a frame that a model works in.

    The networks see `inputs`; the likelihood is a density of `targets`.

    Attributes
    ----------
    kind : str
        Name of the kind of features, as users choose it.
    shape : FeatureSizes
        Sizes of the arrays.
    linear : bool
        Whether positions are a linear function of targets.
    """

    kind: str
    shape: FeatureSizes
    linear = False

    @classmethod
    @abstractmethod
    def fit(cls, data: FittingData) -> Self:
        """Make features and fit them to training frames."""

    @classmethod
    @abstractmethod
    def empty(cls, alignment: Alignment, shape: FeatureSizes) -> Self:
        """Make features whose buffers are to be loaded from a file."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of targets, F: the degrees of freedom of a frame."""

    @property
    def input_size(self) -> int:
        """Number of inputs of the encoder, I."""
        return self.shape.n_inputs

    @property
    def n_linear(self) -> int:
        """Number of targets that are lengths or narrow angles; the angles of a whole turn follow them."""
        return self.size - self.shape.n_angular

    @property
    def definition(self) -> bytes:
        """Bytes that define the targets beside the alignment: log-densities compare where these are equal."""
        return b""

    @abstractmethod
    def targets(self, x: Tensor) -> Tensor:
        """Return the targets (B, F) of aligned frames (B, N, D) in Å."""

    @abstractmethod
    def inputs(self, targets: Tensor) -> Tensor:
        """Return the inputs of an encoder, (B, I), of order one, for targets (B, F)."""

    def expand(self, outputs: Tensor) -> Tensor:
        """Return the targets (B, F) that a network's outputs of order one stand for; by default they are targets."""
        return outputs

    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Return the matrix (N D, I) and the mean frame (N D,), float64, of inputs linear in aligned frames.

        Inputs are the frame minus the mean frame, times the matrix. None where they are not linear.
        """
        return None

    @abstractmethod
    def positions(self, targets: Tensor) -> Tensor:
        """Return frames (B, N, D) in Å, superposed on the reference, for targets (B, F); differentiable."""

    @abstractmethod
    def log_jacobian(self, targets: Tensor) -> Tensor:
        """Return the log volume of shape space per volume of targets, (B,): 0 where the map is an isometry.

        The log-density of targets minus this is the log-density of shapes, by which kinds of features compare.
        """
