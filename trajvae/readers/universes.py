"""Open the frames of a Universe: by faster readers where its trajectory is an unaltered file, else by its reader."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.file_formats.dcd import DCDFrames
from trajvae.readers.file_formats.library_readers import ReaderFrames
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.frame_file import ArrayFrames, FrameFile, range_to_array
from trajvae.typing import AtomGroup, Int64, TrajectoryReader

_FAST: dict[str, Callable[[Path], FrameFile]] = {"DCD": DCDFrames, "XTC": XTCFrames, "TRR": TRRFrames}


def open_universe(source: AtomGroup) -> tuple[AtomGroup, list[FrameFile]]:
    """Open the frames of a Universe or of a group of its atoms.

    Parameters
    ----------
    source : Universe, AtomGroup, or another group of MDAnalysis

    Returns
    -------
    atoms : AtomGroup
        Its atoms; those of an UpdatingAtomGroup in the current frame.
    files : list of FrameFile
        One, or several for a ChainReader that joins files end to end.

    Raises
    ------
    ReadError
        The group is empty, or the trajectory cannot be read.
    """
    atoms, universe = source.atoms, source.universe
    if source is not universe and len(atoms) == 0:
        raise ReadError(f"cannot read frames of an empty {type(source).__name__}: give a group with atoms")
    if hasattr(source, "is_uptodate"):  # an UpdatingAtomGroup
        number = getattr(universe.trajectory, "frame", 0)
        warnings.warn(
            f"the UpdatingAtomGroup is taken as it is in frame {number}, with {len(atoms)} atoms, for all frames",
            TrajvaeWarning,
            stacklevel=4,
        )
        atoms = universe.atoms[atoms.indices]
    if not hasattr(universe, "_trajectory"):
        raise ReadError("cannot read frames of a Universe without a trajectory")
    return atoms, _open_files(universe.trajectory)


def _open_files(trajectory: TrajectoryReader) -> list[FrameFile]:
    """Return the files behind a reader, of which a ChainReader has several."""
    if type(trajectory).__name__ != "ChainReader":
        return [_open_file(trajectory)]
    if hasattr(trajectory, "_sf"):  # continuous in time: overlapping frames are left out
        return [ReaderFrames(trajectory, "the universe")]
    if not trajectory.transformations:
        return [_open_file(part) for part in trajectory.readers]
    starts = np.cumsum([0, *(part.n_frames for part in trajectory.readers)]).tolist()
    names = [str(getattr(part, "filename", None) or "the universe") for part in trajectory.readers]
    runs = [range(a, b) for a, b in itertools.pairwise(starts)]
    return [ReaderFrames(trajectory, name, range_to_array(run)) for name, run in zip(names, runs, strict=True)]


def _open_file(trajectory: TrajectoryReader) -> FrameFile:
    """Return the file behind a reader if the reader gives its frames unaltered, else the frames of the reader."""
    name = getattr(trajectory, "filename", None)
    opener = _FAST.get(trajectory.format) if isinstance(trajectory.format, str) else None
    on_disk = isinstance(name, str | Path) and Path(name).is_file()
    if opener is not None and on_disk and not trajectory.transformations and not _altered(trajectory):
        return opener(Path(str(name)))
    if type(trajectory).__name__ == "MemoryReader":
        return _in_memory(trajectory)
    numbers: Int64 | None = None
    if trajectory.format == "TRR" and on_disk:
        file = TRRFrames(Path(str(name)))
        numbers = file.frame_numbers(range(file.n_frames))
    return ReaderFrames(trajectory, str(name) if name else "the universe", numbers)


def _altered(trajectory: TrajectoryReader) -> bool:
    """Return whether a reader was opened with options that change the times or units of the file."""
    options = getattr(trajectory, "_kwargs", {})
    return options.get("dt") is not None or bool(options.get("time_offset")) or options.get("convert_units") is False


def _in_memory(trajectory: TrajectoryReader) -> ArrayFrames:
    """Return the frames in the array of a MemoryReader, to which its transformations are already applied."""
    order = "".join(trajectory.stored_order)
    positions = np.transpose(trajectory.get_array(), [order.index(axis) for axis in "fac"])
    offset = float(trajectory.ts.data.get("time_offset", 0.0))
    times = np.asarray(float(trajectory.ts.dt) * np.arange(len(positions)) + offset, dtype=np.float64)
    boxes = np.asarray(trajectory.dimensions_array, dtype=np.float64)
    name = trajectory.filename
    return ArrayFrames(str(name) if name else "the universe", positions, boxes if boxes.any() else None, times)
