"""The frames that represent basins, read again from their trajectory and written as PDB."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.molecule.pdb import write_pdb
from trajvae.readers.data_set import Frames
from trajvae.readers.named_files import find_named_file
from trajvae.readers.sources import open_source
from trajvae.results import Embedding, TrainedModel
from trajvae.results.free_energy import FreeEnergy
from trajvae.store import whole_files
from trajvae.typing import Float64

_LATE = 1e-3  # ps, and share of the time: a frame that is later than told is of another trajectory


def structure_names(folder: Path, n: int) -> list[Path]:
    """Return the names of the PDB files of n basins."""
    return [folder / f"basin_{k}.pdb" for k in range(n)]


def written_before(output: str | Path) -> list[Path]:
    """Return the PDB files of basins beside an output that this output says were written with it.

    Parameters
    ----------
    output : str or Path
        Of an earlier run. Where it is missing, damaged or of another kind, there are none.

    Returns
    -------
    list of Path
        Only names such as "basin_3.pdb" in the folder of the output, whatever paths the file holds.
    """
    path = Path(output)
    if not path.exists():
        return []
    try:
        names = {Path(name).name for name in FreeEnergy.load(path).structures}
    except ReadError:
        return []
    return [name for name in structure_names(path.parent, len(names)) if name.name in names]


def remove_others(before: Sequence[Path], found: FreeEnergy) -> None:
    """Remove files of an earlier run that `found` has not written anew, as those of more basins than there are now."""
    now = {Path(name).name for name in found.structures}
    for path in before:
        if path.name not in now:
            path.unlink(missing_ok=True)


def write_representatives(
    found: FreeEnergy,
    points: Embedding | TrainedModel,
    folder: str | Path = ".",
    *,
    trajectories: Sequence[str] = (),
    topologies: Sequence[str] = (),
    force: bool = False,
) -> FreeEnergy:
    """Write the frame that represents each basin as "basin_K.pdb", K from 0: the selected atoms as they were simulated.

    Parameters
    ----------
    found : FreeEnergy
    points : Embedding or TrainedModel
        What the free energy was estimated from.
    folder : str or Path
    trajectories, topologies : sequence of str
        Where the frames are read; by default what the points name, as it was typed or beside their file.
    force : bool
        Replace existing files.

    Returns
    -------
    FreeEnergy
        With the names of the files.

    Raises
    ------
    ReadError
        A trajectory is not there, or is another one.
    OutputError
        A file exists and `force` is off, or cannot be written.
    """
    frames = open_embedded(points, trajectories, topologies)
    positions = [_frame(frames, points, int(row)) for row in found.basins.representative_row]
    names = structure_names(Path(folder), len(positions))
    with whole_files(*names, force=force) as parts:
        for part, x in zip(parts, positions, strict=True):
            write_pdb(part, frames.topology, x)
    return found.with_structures(tuple(str(name) for name in names))


def open_embedded(
    points: Embedding | TrainedModel, trajectories: Sequence[str] = (), topologies: Sequence[str] = ()
) -> Frames:
    """Open the trajectories that points are of, all of their frames, with their selection.

    Raises
    ------
    ReadError
        A trajectory is not there, or there are fewer than the points are of.
    """
    beside, reading = Path(points.path).parent, points.reading
    files = list(trajectories) or [find_named_file(name, beside, points.path) for name in points.files]
    known = [str(name) for name in reading.topologies]
    tops = list(topologies) or [find_named_file(name, beside, points.path, "-s") for name in known]
    whole = replace(reading, topology=tuple(tops) or None, format=None if trajectories else reading.format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # said when they were embedded
        frames = open_source(files, replace(whole, start=None, stop=None, step=None))
    if len(frames.files) <= int(points.file.max()):
        raise ReadError(f"the frames are of {int(points.file.max()) + 1} trajectories, given: {len(frames.files)}")
    return frames


def _frame(frames: Frames, points: Embedding | TrainedModel, row: int) -> Float64:
    """Positions (N, 3) in Å of one of the points' frames."""
    time = float(points.time[row]) if isinstance(points, Embedding) else None
    return read_frame(frames, int(points.file[row]), int(points.frame[row]), time, points.path)


def read_frame(frames: Frames, file: int, frame: int, time: float | None = None, told_by: str = "") -> Float64:
    """Return the positions (N, 3) in Å of a frame of a data set.

    Parameters
    ----------
    frames : Frames
    file, frame : int
        Number of the trajectory, and of the frame in it.
    time : float, optional
        ps, as a file says.
    told_by : str
        Name of that file.

    Raises
    ------
    ReadError
        The trajectory has no such frame, or one at another time.
    """
    source = frames.files[file]
    if frame >= source.n_frames:
        raise ReadError(f"frame {frame} of '{source.name}' is wanted, which has {source.n_frames} frames")
    ranges = [range(frame, frame + 1) if k == file else range(0) for k in range(len(frames.files))]
    chunk = next(c for c in replace(frames, ranges=ranges).chunks() if len(c.positions))
    found = float(chunk.time[0])
    if time is not None and abs(found - time) > _LATE * max(1.0, abs(found)):
        raise ReadError(
            f"frame {frame} of '{source.name}' is at {found:g} ps, in '{told_by}' at {time:g} ps: this is another "
            "trajectory than the embedded one"
        )
    out = np.zeros((chunk.positions.shape[1], 3))
    out[:, : chunk.positions.shape[2]] = chunk.positions[0]
    return out
