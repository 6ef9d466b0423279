"""What a model keeps of its training frames, and how it fared on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trajvae.display import Brief
from trajvae.models.partition import Partition
from trajvae.molecule.validity import Validity
from trajvae.store import Quantity
from trajvae.typing import AnyArray, Bool, Float32, Float64, Int8, Int64


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRecord(Brief):
    """Hold what a model keeps of its training frames.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    part : ndarray of int8, shape (T,)
        What each frame was used for; see `Partition`.
    file, frame : ndarray of int64, shape (T,)
    frame_observables : dict of Quantity
        Values (T,) of the observables that were in `OBSERVABLES` when the model was trained, with unit and period.
    sample : ndarray of float32, shape (S, N, D)
        Aligned frames, evenly spread, in Å.
    sample_index : ndarray of int64, shape (S,)
        Which of the T frames they are.
    history : dict of ndarray
    validity : Validity
    figures : dict
        JSON: what `train` reports.
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
    figures: dict[str, Any]

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
