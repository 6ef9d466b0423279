"""What the simulation itself has of an objective: its best frame, by number and file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trajvae.models.encoded import ColumnBuffer
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import Observable, evaluate
from trajvae.outputs.searching.objectives import Goal
from trajvae.readers.data_set import Frames
from trajvae.typing import Float64, Int64


@dataclass(frozen=True, eq=False)
class Observed:
    """Hold the objective over simulated frames.

    Attributes
    ----------
    value : ndarray, shape (T,)
    number, file, frame : ndarray of int64, shape (T,)
        Of the frame among all, of its file, and of the frame in that.
    files : list of str
    """

    value: Float64
    number: Int64
    file: Int64
    frame: Int64
    files: list[str]

    @classmethod
    def of_record(cls, record: TrainingRecord, objective: Observable, files: list[str]) -> Observed:
        """Return it over the frames that the model keeps; of a built-in objective, over all that it was trained on."""
        kept = record.observables.get(objective.key)
        number = record.sample_index if kept is None else np.arange(len(record.latent))
        value = evaluate(objective, record.sample) if kept is None else kept
        return cls(value, number, record.file[number], record.frame[number], files)

    @classmethod
    def of_frames(cls, frames: Frames, objective: Observable) -> Observed:
        """Return it over all frames of a source."""
        columns = ColumnBuffer(frames.n_frames)
        for c in frames.chunks():
            columns.add({"value": evaluate(objective, c.positions), "file": c.file, "frame": c.frame})
        return cls(columns["value"], np.arange(columns.done), columns["file"], columns["frame"], frames.names)

    def figures(self, goal: Goal) -> dict[str, Any]:
        """Return the best frame: its value, its number, its number in its file, and the file."""
        best = int(np.argmin(goal.cost(self.value, 1.0)))
        file = int(self.file[best])
        return {
            "best_observed": float(self.value[best]),
            "best_observed_frame": int(self.number[best]),
            "best_observed_file": self.files[file] if file < len(self.files) else None,
            "best_observed_file_frame": int(self.frame[best]),
        }
