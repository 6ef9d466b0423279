"""What a kind of features promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from trajvae.readers.align import Alignment
from trajvae.topology import Topology

if TYPE_CHECKING:
    from trajvae.features.cartesian import ShapeSpace

LEAST_FLOOR = 1e-3  # Å
_MOST_INPUTS = 512


@dataclass(frozen=True, eq=False)
class Lesson:
    """What features are fitted to.

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
    """

    alignment: Alignment
    topology: Topology
    frames: NDArray[np.floating[Any]]
    floor: float
    latent_dim: int

    def inputs_of(self, size: int) -> int:
        """How many of so many inputs are kept: at most one for four frames, so that few are not memorised."""
        return min(size, max(self.latent_dim, len(self.frames) // 4, 1), max(_MOST_INPUTS, self.latent_dim))


@dataclass(frozen=True)
class Shape:
    """The numbers that fix a kind's arrays, for one that is filled from a file.

    Attributes
    ----------
    n_inputs : int
    n_angular : int
        Targets that are angles of a whole turn; they come last.
    baseline : int
        Principal components that are kept beside the features, for the PCA that models are compared with.
    """

    n_inputs: int
    n_angular: int = 0
    baseline: int = 0


class Features(nn.Module, ABC):
    """Coordinates of a frame: what the networks see (inputs) and what the likelihood is over (targets).

    Attributes
    ----------
    kind : str
        Its name.
    shape : Shape
    """

    kind: str
    shape: Shape

    @classmethod
    @abstractmethod
    def fitted(cls, lesson: Lesson) -> Self:
        """Features of training frames."""

    @classmethod
    @abstractmethod
    def blank(cls, alignment: Alignment, shape: Shape) -> Self:
        """Features whose buffers will be loaded."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of targets, F: the degrees of freedom."""

    @property
    def input_size(self) -> int:
        """Number of inputs, I."""
        return self.shape.n_inputs

    @property
    def n_linear(self) -> int:
        """Number of targets that are no angles of a whole turn; they come first."""
        return self.size - self.shape.n_angular

    @property
    def definition(self) -> bytes:
        """What the targets are beside the alignment: log-densities of them compare where it is equal."""
        return b""

    @property
    @abstractmethod
    def shape_space(self) -> ShapeSpace:
        """Shape space with its principal components: what PCA is measured in."""

    @abstractmethod
    def targets(self, x: Tensor) -> Tensor:
        """Aligned frames (B, N, D) in Å to targets (B, F)."""

    @abstractmethod
    def inputs(self, targets: Tensor) -> Tensor:
        """Targets (B, F) to what an encoder reads, (B, I), of order one."""

    def affine(self) -> tuple[Tensor, Tensor] | None:
        """The matrix (N D, I) and the mean frame (N D,), in float64, of inputs that are linear in aligned frames.

        Inputs are the frame less the mean one, times the matrix; None where they are not linear.
        """
        return None

    @abstractmethod
    def positions(self, targets: Tensor) -> Tensor:
        """Targets (B, F) to frames (B, N, D) in Å, superposed on the reference; differentiable."""

    @abstractmethod
    def log_jacobian(self, targets: Tensor) -> Tensor:
        """Log of the volume of shape space per volume of targets, (B,): 0 where the map is an isometry.

        The log-density of targets less this is the log-density of shapes, in which kinds of features compare.
        """
