"""What the files of an export say of a coordinate: of its atoms, its model, and how it was made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from trajvae._version import __version__
from trajvae.errors import OptionError
from trajvae.figures import ExportFigures
from trajvae.model_base import ModelBase
from trajvae.models.record import TrainingRecord
from trajvae.store.models import reference_hash
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64, JSONObject


@dataclass(frozen=True, eq=False)
class CoordinateDescription:
    """Describe a coordinate: its atoms, its model, and the hashes of both.

    Attributes
    ----------
    figures : ExportFigures
    topology : Topology
        Of the model's atoms.
    reference : ndarray, shape (N, 3)
        Structure that frames are superposed on, in Å.
    numbers : ndarray of int64, shape (N,), optional
        Numbers of the atoms in the simulation, from 1 on; None where only their order is known.
    alignment, backend, features, selection, components : str
        How frames are aligned, the model's choices, its atoms in words, and what the components of points are.
    trained_on : tuple of str
        Trajectories.
    hashes : dict of str
        SHA-256 of the reference, and of what the model file keeps of its training frames.
    """

    figures: ExportFigures
    topology: Topology
    reference: Float64
    numbers: Int64 | None
    alignment: str
    backend: str
    features: str
    selection: str
    components: str
    trained_on: tuple[str, ...]
    hashes: dict[str, str]

    @classmethod
    def of(cls, model: ModelBase, figures: ExportFigures, numbers: Int64 | None) -> CoordinateDescription:
        """Return the description of a model's coordinate."""
        pipeline = model.pipeline
        hashes = {"reference": reference_hash(pipeline.alignment.reference), "training": training_hash(model.record)}
        return cls(
            figures=figures,
            topology=pipeline.topology,
            reference=pipeline.alignment.reference,
            numbers=numbers,
            alignment=pipeline.alignment.kind,
            backend=pipeline.config.backend,
            features=pipeline.config.features,
            selection=model.selection,
            components=pipeline.vae.latent.coordinates,
            trained_on=tuple(model.files),
            hashes=hashes,
        )

    @property
    def serials(self) -> Int64:
        """Numbers of the atoms in the simulation, from 1 on.

        Raises
        ------
        OptionError
            They are not known.
        """
        if self.numbers is None:
            raise OptionError(
                f"{self.figures.engine} counts the atoms of the whole simulation, which a model file does not know: "
                "give its topology with -s/--topology (in Python: topology=...)"
            )
        return self.numbers

    @property
    def gap(self) -> float:
        """Largest distance in Å between an atom and the one before it, in the reference."""
        return float(np.linalg.norm(np.diff(self.reference, axis=0), axis=1).max(initial=0.0))

    def to_json(self) -> JSONObject:
        """Return the contents of `cv.json`."""
        t, f, n = self.topology, self.figures, self.topology.n_atoms
        columns = zip(t.names.tolist(), t.resnames.tolist(), t.resids.tolist(), t.chains.tolist(), strict=True)
        atoms = [dict(zip(("name", "resname", "resid", "chain"), row, strict=True)) for row in columns]
        if self.numbers is not None:
            atoms = [{**atom, "number": number} for atom, number in zip(atoms, self.numbers.tolist(), strict=True)]
        return {
            **f.to_json(),
            "input": {"shape": [1, 3 * n], "unit": f.unit, "order": "x1 y1 z1 x2 y2 z2 ..."},
            "output": {"shape": [1, len(f.outputs)], "components": self.components},
            "model": {
                "backend": self.backend,
                "features": self.features,
                "align": self.alignment,
                "selection": self.selection,
                "trained_on": list(self.trained_on),
            },
            "selected": atoms,
            "hashes": {"model": f.model_hash, **self.hashes},
            "versions": {"trajvae": __version__, "torch": str(torch.__version__)},
        }


def training_hash(record: TrainingRecord) -> str:
    """Return the SHA-256 of what a model keeps of its training frames: their latent points, and a sample of them."""
    seal = hashlib.sha256(np.ascontiguousarray(record.latent, dtype="<f8").tobytes())
    seal.update(np.ascontiguousarray(record.sample, dtype="<f4").tobytes())
    return seal.hexdigest()
