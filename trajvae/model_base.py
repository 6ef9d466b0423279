"""`ModelBase`: what a trained model holds, its file, and the sources that it can be applied to."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from trajvae.config import TrainConfig
from trajvae.display import Displayed, Summary
from trajvae.errors import ModelError
from trajvae.figures.training import TrainingFigures
from trajvae.models.model_file import ModelParts, pack, unpack
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.models.same_molecule import check_molecule
from trajvae.readers.data_set import Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_matching
from trajvae.results.history import TrainingHistory
from trajvae.store import read_model, verification, write_model
from trajvae.topology import Topology


class ModelBase(Displayed):
    """Hold a trained model.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    files : list of str
        The trajectories it was trained on.
    selection : str
        The atoms in words.
    command : str
        The call that made it.
    """

    def __init__(
        self, pipeline: Pipeline, record: TrainingRecord, files: list[str], selection: str, command: str = "Model.train"
    ) -> None:
        self.pipeline, self.record = pipeline, record
        self.files, self.selection, self.command = files, selection, command

    def _summary(self) -> Summary:
        c, names = self.config, ("frames", "held_out", "features", "likelihood", "elbo", "rmsd", "pca_rmsd", "epochs")
        title = f"Model {c.backend}, latent dimension {c.latent_dim}, {self.topology.n_atoms} atoms ({self.selection})"
        rows = [("trajectories", ", ".join(self.files))]
        return Summary(title, [*rows, *((name, self.figures[name]) for name in names if name in self.figures)])

    @property
    def config(self) -> TrainConfig:
        """Options that the model was made with."""
        return self.pipeline.config

    @property
    def topology(self) -> Topology:
        """Topology of the selected atoms."""
        return self.pipeline.topology

    @property
    def figures(self) -> TrainingFigures:
        """Figures of the training: held-out ELBO, RMSD, verdict and so on."""
        return self.record.figures

    @property
    def history(self) -> TrainingHistory:
        """History of the training: columns by name, a row an evaluation."""
        return TrainingHistory(self.record.history, self.pipeline.vae.latent.parts)

    def open(self, source: object, reading: Reading | None = None) -> Frames:
        """Open a source with the model's own selection, and refuse another molecule.

        Raises
        ------
        ModelError
            The atoms differ from the model's: it is another molecule, or another order of atoms.
        """
        frames = open_matching(source, reading or Reading(), self.config.select, self.topology.n_atoms)
        check_molecule(self.pipeline, self.record, self.selection, frames)
        return frames

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `model.h5`: arrays and JSON, whole or not at all."""
        parts = ModelParts(self.pipeline, self.record, self.files, self.selection, self.command)
        write_model(Path(path), pack(parts), force=force)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", *, verify: bool = True) -> Self:
        """Read `model.h5`.

        Parameters
        ----------
        path : str or Path
        device : str
        verify : bool
            Compare arrays and attributes with the checksums that were written with them.

        Raises
        ------
        ReadError
            Missing, damaged, altered since it was written, or no model.
        ModelError
            Its training did not complete, or its parts do not fit each other.
        """
        with verification(wanted=verify):
            stored = read_model(Path(path))
        if stored.status != "complete":
            raise ModelError(
                f"'{path}' is a model whose training did not complete: 'trajvae train --resume -o {path}' goes on"
            )
        return cls(*unpack(stored, device, str(path)))
