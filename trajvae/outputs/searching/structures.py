"""One structure from a file, in the model's atoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.models.pipeline import Pipeline
from trajvae.models.same_molecule import check_names
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_matching
from trajvae.typing import AnyArray


def read_structure(file: str | Path, pipeline: Pipeline, topology: str | Path | None = None) -> AnyArray:
    """Return the file's first frame (N, D) in Å, in the model's selection, or whole if it has just those atoms.

    Raises
    ------
    ReadError
        It cannot be read, or has another number of atoms than the model.
    ModelError
        Its atoms have other names.
    """
    wanted = pipeline.alignment.reference.shape
    frames = open_matching(str(file), Reading(topology, stop=1), pipeline.config.select, pipeline.n_atoms)
    positions = np.asarray(frames.read().positions[0])
    if positions.shape != wanted:
        raise ReadError(f"'{file}' has atoms and dimensions {positions.shape}, the model {wanted}")
    check_names(pipeline.topology, frames.topology, f"'{file}' is of another molecule than the model")
    return positions
