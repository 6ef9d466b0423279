"""What a finished training hands to its record: history, kept epoch, batch size and findings on the frames."""

from __future__ import annotations

import time
from dataclasses import dataclass

from trajvae.figures.frame_findings import FrameFindings
from trajvae.typing import AnyArray


@dataclass(frozen=True, eq=False)
class TrainingOutcome:
    """Hold how a training went.

    Attributes
    ----------
    history : dict of ndarray
        Columns by name, a row an evaluation.
    kept_epoch : int
        The epoch whose weights were kept.
    batch_size : int
    began : float
        When the training began, by the monotonic clock.
    found : FrameFindings
        What was found of the frames before the first step.
    names : list of str
        The trajectories' names, for messages.
    """

    history: dict[str, AnyArray]
    kept_epoch: int
    batch_size: int
    began: float
    found: FrameFindings
    names: list[str]

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained."""
        return int(self.history["epoch"][-1])

    def seconds(self) -> float:
        """Return the seconds since the training began."""
        return round(time.monotonic() - self.began, 2)
