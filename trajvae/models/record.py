"""What a model keeps of its training frames, and how it fared on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajvae.display import Brief
from trajvae.models.partition import Partition
from trajvae.molecule.validity import Validity
from trajvae.store import Quantity


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

    latent: NDArray[np.float64]
    part: NDArray[np.int8]
    file: NDArray[np.int64]
    frame: NDArray[np.int64]
    frame_observables: dict[str, Quantity]
    sample: NDArray[np.float32]
    sample_index: NDArray[np.int64]
    history: dict[str, NDArray[Any]]
    validity: Validity
    figures: dict[str, Any]

    @property
    def observables(self) -> dict[str, NDArray[np.float64]]:
        """The values (T,) of each observable."""
        return {name: np.asarray(q.value, dtype=np.float64) for name, q in self.frame_observables.items()}

    @property
    def parts(self) -> Partition:
        """Use of each of the T frames."""
        return Partition(self.part)

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Whether the training has seen nothing of each frame, (T,)."""
        return self.parts.held_out
