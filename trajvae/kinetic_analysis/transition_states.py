"""The frames of transition states, read again from their trajectory and written as PDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trajvae.free_energies.structures import open_embedded, read_frame
from trajvae.molecule.structure_files import structure_file
from trajvae.results import Embedding, TrainedModel
from trajvae.results.committor import Committor
from trajvae.store import whole_files
from trajvae.typing import Int64

NAME = "transition_states.pdb"
MOST = 100  # frames that are written


def written_rows(committor: Committor) -> Int64:
    """Return the numbers of the transition states that are written: all, or a hundred spread evenly over them."""
    rows = committor.transition_states
    if len(rows) <= MOST:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, MOST).round().astype(np.int64)], dtype=np.int64)


def write_transition_states(
    committor: Committor,
    points: Embedding | TrainedModel,
    order: Int64,
    folder: str | Path = ".",
    *,
    trajectories: Sequence[str] = (),
    topologies: Sequence[str] = (),
    force: bool = False,
) -> Committor:
    """Write transition states as "transition_states.pdb", a model each: the selected atoms as they were simulated.

    Parameters
    ----------
    committor : Committor
    points : Embedding or TrainedModel
        Whose frames they are.
    order : ndarray of int64, shape (T,)
        Number that each frame of the committor has among the points.
    folder : str or Path
    trajectories, topologies : sequence of str
        Where the frames are read; by default what the points name, as it was typed or beside their file.
    force : bool
        Replace an existing file.

    Returns
    -------
    Committor
        With the name of the file; as it was where there are no transition states.

    Raises
    ------
    ReadError
        A trajectory is not there, or is another one.
    OutputError
        The file exists and `force` is off, or cannot be written.
    """
    rows, path = written_rows(committor), Path(folder) / NAME
    if not len(rows):
        return committor
    frames = open_embedded(points, trajectories, topologies)
    positions = np.stack([read_frame(frames, points, int(row)) for row in order[rows]])
    with whole_files(path, force=force) as (part,), structure_file(part, frames.topology, len(rows)) as write:
        write(positions)
    return committor.with_structures(str(path))
