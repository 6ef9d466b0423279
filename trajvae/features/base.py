"""What a kind of features promises."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Features(Protocol):
    """Coordinates of a frame: what the networks see (inputs) and what the likelihood is over (targets)."""

    @property
    def size(self) -> int:
        """Number of targets, F: the degrees of freedom."""
        ...

    @property
    def input_size(self) -> int:
        """Number of inputs, I."""
        ...

    def targets(self, x: Tensor) -> Tensor:
        """Aligned frames (B, N, D) in Å to targets (B, F)."""
        ...

    def inputs(self, targets: Tensor) -> Tensor:
        """Targets (B, F) to what an encoder reads, (B, I), of order one."""
        ...

    def expand(self, outputs: Tensor) -> Tensor:
        """A decoder's outputs of order one, (B, I), to targets (B, F); the way back of `inputs`."""
        ...

    def positions(self, targets: Tensor) -> Tensor:
        """Targets (B, F) to frames (B, N, D) in Å, differentiable."""
        ...

    def log_jacobian(self, targets: Tensor) -> Tensor:
        """Log of the volume of frames per volume of targets, (B,): 0 where the map is an isometry."""
        ...
