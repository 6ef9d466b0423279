"""What a model file says of its training, without the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trajvae.display import Displayed, Summary, scalars
from trajvae.frame_weights.weights import FrameWeights
from trajvae.results.applied import default_reading
from trajvae.results.base import report_damage
from trajvae.results.history import TrainingHistory
from trajvae.results.older_files import geometry_of_model
from trajvae.store import ModelContents, Quantity, read_contents, read_model
from trajvae.typing import Float64, Int64, JSONObject

if TYPE_CHECKING:
    from trajvae.readers.reading import Reading

_NOT_OF_DRAWS = tuple(f"trajvae/{name}" for name in ("weights", "optimiser", "training", "validity", "history"))


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel(Displayed):
    """Hold the history, the figures and the training frames of a model file; `Model.load` gives the model itself.

    Attributes
    ----------
    history : TrainingHistory
        Columns by name, a row an evaluation.
    figures : dict
        Figures of the training, as the training reports them.
    latent : ndarray, shape (T, ambient)
        Latent points of the training frames, held-out ones included.
    geometry : str
        Signature of the latent space, such as `e2`; empty where it has no name.
    file, frame : ndarray of int64, shape (T,)
        Number of the file in `files`, and of the frame in that file.
    files : list of str
        Names of the trajectories.
    observables : mapping of str to Quantity
        Values (T,) of the observables that the model keeps.
    path : str
        Name of the model file.
    model_hash : str
        SHA-256 of what decides which latent point a frame has.
    reading : Reading
        The model's selection.
    weights : FrameWeights or None
        How much each frame counted in the training; None where all did alike.
    """

    history: TrainingHistory
    figures: JSONObject
    latent: Float64
    geometry: str
    file: Int64
    frame: Int64
    files: list[str]
    observables: Mapping[str, Quantity] = field(default_factory=dict)
    path: str = ""
    model_hash: str = ""
    reading: Reading = field(default_factory=default_reading)
    weights: FrameWeights | None = None

    @classmethod
    def load(cls, path: str | Path) -> TrainedModel:
        """Read a model file, complete ones alone.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ReadError
            The file is missing, damaged, no model file, or that of a training which has not ended.
        ModelError
            The reference does not match its own hash.
        """
        contents = read_model(Path(path))
        with report_damage(path):
            return cls._unpack(contents, str(path))

    @classmethod
    def _unpack(cls, contents: ModelContents, path: str) -> TrainedModel:
        training, figures = contents.groups["training"], contents.summary
        weight = training.get("weight")
        columns = {name: np.asarray(column, dtype=np.float64) for name, column in contents.groups["history"].items()}
        return cls(
            history=TrainingHistory(columns, list(figures.get("kl", ()))),
            figures=figures,
            latent=training["latent"],
            geometry=geometry_of_model(figures),
            file=training["file"],
            frame=training["frame"],
            files=training["files"].tolist(),
            observables=training.get("observables", {}),
            path=path,
            model_hash=contents.hash,
            reading=default_reading(select=contents.config.get("select")),
            weights=None if weight is None else FrameWeights.from_json(weight, contents.frame_weights),
        )

    @property
    def columns(self) -> Mapping[str, Quantity]:
        """Quantities with a row a frame, by name."""
        return self.observables

    def _summary(self) -> Summary:
        backend, dim = self.figures.get("backend", "unknown"), self.figures.get("latent_dim", "unknown")
        title = f"TrainedModel: {backend} latent space of dimension {dim}, trained on {len(self.latent)} frames"
        return Summary(title, scalars(self.figures))


def near_frames(path: str | Path) -> int:
    """Return of how many near training frames a model's draws combine the residuals; 0 where they are from p(x|z).

    Raises
    ------
    ReadError
        The file is missing, damaged or no model file.
    """
    contents = read_contents(Path(path), "model", skip=_NOT_OF_DRAWS)
    with report_damage(path):
        found = contents.group("trajvae/local_geometry").get("neighbours")
        return 0 if found is None else int(np.asarray(found).reshape(1)[0])
