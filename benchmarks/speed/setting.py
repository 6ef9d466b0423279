"""What all who train are given: the same networks, frames and batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trajvae.typing import Float64

HIDDEN = (256, 256, 256)


@dataclass(frozen=True)
class Setting:
    """Sizes of a training.

    Attributes
    ----------
    atoms, batch, batches : int
        Atoms of a frame, frames of a batch, batches of an epoch.
    epochs : int
        How many are timed at once.
    rounds : int
        How often.
    """

    atoms: int
    batch: int
    batches: int = 20
    epochs: int = 4
    rounds: int = 5

    @property
    def features(self) -> int:
        """Numbers of a frame."""
        return 3 * self.atoms

    @property
    def frames(self) -> int:
        """That are trained on."""
        return self.batch * self.batches

    def positions(self, more: int = 0) -> Float64:
        """Frames in space, and some more to be held out."""
        return np.random.default_rng(0).standard_normal((self.frames + more, self.atoms, 3))

    def rows(self) -> Tensor:
        """Frames as rows of features."""
        return torch.from_numpy(self.positions().astype(np.float32).reshape(self.frames, -1))

    def says(self) -> str:
        """In words."""
        return f"{self.features} features, batch {self.batch}"


def network(sizes: Sequence[int], *, active: bool = False) -> nn.Sequential:
    """Linear layers with SiLU between them, and behind the last too if it is to be active."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        parts += [nn.Linear(a, b), nn.SiLU()]
    return nn.Sequential(*parts if active else parts[:-1])
