"""The record of a training that a model keeps: its frames in the latent space, a sample of them, and its figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.display import Brief
from trajvae.figures.training import TrainingFigures
from trajvae.frame_weights.weights import FrameWeights
from trajvae.local_geometry import LocalGeometry
from trajvae.models.partition import Partition
from trajvae.molecule.validity import Validity
from trajvae.store import Quantity
from trajvae.typing import AnyArray, Bool, Float32, Float64, Int8, Int64


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRecord(Brief):
    """Hold the record of a training.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    part : ndarray of int8, shape (T,)
        Use of each frame, as in `Partition`.
    file, frame : ndarray of int64, shape (T,)
    frame_observables : dict of Quantity
        Values (T,) of the observables that were in `OBSERVABLES` when the model was trained, with unit and period.
    sample : ndarray of float32, shape (S, N, D)
        Aligned frames, evenly spread, in Å.
    sample_index : ndarray of int64, shape (S,)
        Indices of the sample among the T frames.
    history : dict of ndarray
    validity : Validity
    figures : TrainingFigures
    local_geometry : LocalGeometry, optional
        What gives draws of a Cartesian model the simulation's bonds, angles and torsions.
    frame_weights : FrameWeights, optional
        How much each of the T frames counts.
    """

    latent: Float64
    part: Int8
    file: Int64
    frame: Int64
    frame_observables: dict[str, Quantity]
    sample: Float32
    sample_index: Int64
    history: dict[str, AnyArray]
    validity: Validity
    figures: TrainingFigures
    local_geometry: LocalGeometry | None = None
    frame_weights: FrameWeights | None = None

    @property
    def observables(self) -> dict[str, Float64]:
        """The values (T,) of each observable."""
        return {name: np.asarray(q.value, dtype=np.float64) for name, q in self.frame_observables.items()}

    @property
    def parts(self) -> Partition:
        """Use of each of the T frames."""
        return Partition(self.part)

    @property
    def held_out(self) -> Bool:
        """Whether the training has seen nothing of each frame, (T,)."""
        return self.parts.held_out
