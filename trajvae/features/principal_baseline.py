"""Principal components of the training frames: the baseline that a model's reconstructions are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from trajvae.alignment.align import Alignment
from trajvae.features.base import Features, FittingData
from trajvae.features.cartesian import SCALE_FLOOR, ShapeSpace


class PrincipalBaseline(nn.Module):
    """Reconstruct frames from as many principal components of shape space as a latent space has dimensions.

    Parameters
    ----------
    space : ShapeSpace
        Shape space whose first coordinates are the principal components of the training frames.
    shared : bool
        Whether it is the features of the model themselves, so that the baseline has no arrays of its own.
    """

    def __init__(self, space: ShapeSpace, *, shared: bool) -> None:
        super().__init__()
        self.space, self.shared = space, shared

    @classmethod
    def fit(cls, data: FittingData, features: Features) -> Self:
        """Make the baseline of a model with these features, and fit it to training frames."""
        if isinstance(features, ShapeSpace):
            return cls(features, shared=True)
        out = cls.empty(data.alignment, features, data.latent_dim)
        frames = torch.from_numpy(np.ascontiguousarray(data.frames, dtype=np.float64))
        out.space.set_components(out.space.targets(frames), out.space.input_size, SCALE_FLOOR, data.frame_weights)
        return out

    @classmethod
    def empty(cls, alignment: Alignment, features: Features, size: int) -> Self:
        """Make the baseline of a model with these features, its arrays to be loaded from a file.

        Parameters
        ----------
        alignment : Alignment
        features : Features
        size : int
            Number of components; at least one is kept, and at most as many as there are degrees of freedom.
        """
        if isinstance(features, ShapeSpace):
            return cls(features, shared=True)
        kept = max(1, min(size, features.size))
        return cls(ShapeSpace(alignment.reference, alignment.weights, alignment.kind, kept), shared=False)

    @property
    def size(self) -> int:
        """Number of components that are kept beside the features; 0 where these have them."""
        return 0 if self.shared else self.space.input_size

    def arrays(self) -> dict[str, Tensor]:
        """Return the arrays that are kept beside those of the features, by name."""
        return {} if self.shared else self.space.state_dict()

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        """Take the arrays of a file.

        Raises
        ------
        RuntimeError, ValueError
            They are others than `arrays` returns, or of other shapes.
        """
        if not self.shared:
            self.space.load_state_dict(arrays)
        elif arrays:
            raise ValueError("there are principal components beside features that have their own")

    def reconstruct(self, aligned: Tensor, targets: Tensor, n: int) -> Tensor:
        """Return frames (B, N, D) in Å projected on the first n principal components.

        Parameters
        ----------
        aligned : Tensor, shape (B, N, D)
            In Å.
        targets : Tensor, shape (B, F)
            Their features.
        n : int
        """
        shapes = targets if self.shared else self.space.targets(aligned)
        return self.space.positions(self.space.project(shapes, n))
