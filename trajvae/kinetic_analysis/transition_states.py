"""The frames of transition states, read again from their trajectory and written as PDB."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from trajvae.free_energies.structures import read_frame
from trajvae.molecule.structure_files import structure_file
from trajvae.readers.data_set import Frames
from trajvae.results.committor import Committor
from trajvae.results.kinetics import Kinetics
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
    found: Kinetics, frames: Frames, folder: str | Path = ".", *, told_by: str = "", force: bool = False
) -> Kinetics:
    """Write transition states as "transition_states.pdb", a model each: the selected atoms as they were simulated.

    Parameters
    ----------
    found : Kinetics
        With a committor.
    frames : Frames
        The trajectories that the frames are of.
    folder : str or Path
    told_by : str
        Name of the file that says the times of the frames, for messages.
    force : bool
        Replace an existing file.

    Returns
    -------
    Kinetics
        With the name of the file; as they were where there are no transition states.

    Raises
    ------
    ReadError
        The trajectories are others than the frames are of.
    OutputError
        The file exists and `force` is off, or cannot be written.
    """
    committor, path = found.committor, Path(folder) / NAME
    if committor is None or not len(committor.transition_states):
        return found
    rows, timed = written_rows(committor), found.lag_unit == "ps"
    places = zip(found.file[rows].tolist(), found.frame[rows].tolist(), found.time[rows].tolist(), strict=True)
    positions = [read_frame(frames, file, frame, time if timed else None, told_by) for file, frame, time in places]
    with whole_files(path, force=force) as (part,), structure_file(part, frames.topology, len(rows)) as write:
        write(np.stack(positions))
    return replace(found, committor=committor.with_structures(str(path)))
