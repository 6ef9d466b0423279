"""A training that stopped, as its checkpoint has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trajvae.training.checkpoints.file import Origin
from trajvae.training.parts import TrainingParts
from trajvae.training.shares.states import ranks_of
from trajvae.training.state import Snapshot


@dataclass(frozen=True, eq=False)
class StoppedTraining:
    """Hold a training that stopped, as its checkpoint has it.

    Attributes
    ----------
    path : Path
        The file of the checkpoint; further ones replace it.
    origin : Origin
    parts : TrainingParts
    at : Snapshot
    """

    path: Path
    origin: Origin
    parts: TrainingParts
    at: Snapshot

    @property
    def processes(self) -> int:
        """Number of processes that it was trained in."""
        return ranks_of(self.at)
