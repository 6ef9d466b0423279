"""What the simulation itself has of an objective: its best frame, by number and file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.frame_weights.weights import relative_of
from trajvae.models.encoded import ColumnBuffer
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import Observable, evaluate
from trajvae.outputs.searching.objectives import Goal
from trajvae.readers.data_set import Frames
from trajvae.typing import Float64, Int64


@dataclass(frozen=True)
class BestFrame:
    """Hold the simulated frame that comes nearest to a goal.

    Attributes
    ----------
    value : float
        Its objective.
    number : int
        Its number among all frames.
    file : str or None
        Name of its file, where that is known.
    frame : int
        Its number in that file.
    """

    value: float
    number: int
    file: str | None
    frame: int


@dataclass(frozen=True, eq=False)
class Observed:
    """Hold the objective over simulated frames.

    Attributes
    ----------
    value : ndarray, shape (T,)
    number, file, frame : ndarray of int64, shape (T,)
        Of the frame among all, of its file, and of the frame in that.
    files : list of str
    weights : ndarray, shape (T,), optional
        How much each frame counts in quantiles; None where all count alike.
    """

    value: Float64
    number: Int64
    file: Int64
    frame: Int64
    files: list[str]
    weights: Float64 | None = None

    @classmethod
    def of_record(cls, record: TrainingRecord, objective: Observable, files: list[str]) -> Observed:
        """Return it over the frames that the model keeps; of a built-in objective, over all that it was trained on."""
        kept = record.observables.get(objective.key)
        number = record.sample_index if kept is None else np.arange(len(record.latent))
        value = evaluate(objective, record.sample) if kept is None else kept
        weights = relative_of(record.frame_weights, number)
        return cls(value, number, record.file[number], record.frame[number], files, weights)

    @classmethod
    def of_frames(cls, frames: Frames, objective: Observable) -> Observed:
        """Return it over all frames of a source."""
        columns = ColumnBuffer(frames.n_frames)
        for c in frames.chunks():
            columns.add({"value": evaluate(objective, c.positions), "file": c.file, "frame": c.frame})
        return cls(columns["value"], np.arange(columns.done), columns["file"], columns["frame"], frames.names)

    def best(self, goal: Goal) -> BestFrame:
        """Return the frame that comes nearest to the goal."""
        best = int(np.argmin(goal.cost(self.value, 1.0)))
        file = int(self.file[best])
        return BestFrame(
            value=float(self.value[best]),
            number=int(self.number[best]),
            file=self.files[file] if file < len(self.files) else None,
            frame=int(self.frame[best]),
        )
