"""The frames of a Universe: by fast readers where its trajectory is a plain file, else by its own reader."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.file_formats.dcd import DCDFrames
from trajvae.readers.file_formats.library import ReaderFrames
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.frames import ArrayFrames, FrameFile, numbers_of
from trajvae.typing import Int64

_FAST: dict[str, Callable[[Path], FrameFile]] = {"DCD": DCDFrames, "XTC": XTCFrames, "TRR": TRRFrames}


def open_universe(source: Any) -> tuple[Any, list[FrameFile]]:
    """Open a Universe, or a group of its atoms.

    Parameters
    ----------
    source : Universe, AtomGroup, or another group of MDAnalysis

    Returns
    -------
    atoms : AtomGroup
        An UpdatingAtomGroup as it is in the current frame.
    files : list of FrameFile
        Several for a ChainReader that joins files end to end.

    Raises
    ------
    ReadError
        The group is empty, or the trajectory cannot be read.
    """
    atoms, universe = source.atoms, source.universe
    if source is not universe and len(atoms) == 0:
        raise ReadError(f"cannot read frames of an empty {type(source).__name__}: wanted one atom or more")
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
    return atoms, _files(universe.trajectory)


def _files(trajectory: Any) -> list[FrameFile]:
    if type(trajectory).__name__ != "ChainReader":
        return [_file(trajectory)]
    if hasattr(trajectory, "_sf"):  # continuous in time: overlapping frames are left out
        return [ReaderFrames(trajectory, "the universe")]
    if not trajectory.transformations:
        return [_file(part) for part in trajectory.readers]
    starts = np.cumsum([0, *(part.n_frames for part in trajectory.readers)]).tolist()
    names = [str(getattr(part, "filename", None) or "the universe") for part in trajectory.readers]
    runs = [range(a, b) for a, b in itertools.pairwise(starts)]
    return [ReaderFrames(trajectory, name, numbers_of(run)) for name, run in zip(names, runs, strict=True)]


def _file(trajectory: Any) -> FrameFile:
    """The file behind a reader if its frames are given as they stand there, else the reader itself."""
    name = getattr(trajectory, "filename", None)
    opener = _FAST.get(trajectory.format) if isinstance(trajectory.format, str) else None
    on_disk = isinstance(name, str | Path) and Path(name).is_file()
    if opener is not None and on_disk and not trajectory.transformations and not _altered(trajectory):
        return opener(Path(str(name)))
    if type(trajectory).__name__ == "MemoryReader":
        return _in_memory(trajectory)
    numbers: Int64 | None = None
    if trajectory.format == "TRR" and on_disk:
        some = TRRFrames(Path(str(name)))
        numbers = some.frame_numbers(range(some.n_frames))
    return ReaderFrames(trajectory, str(name) if name else "the universe", numbers)


def _altered(trajectory: Any) -> bool:
    """Return whether a reader was opened with other times or units than the file's."""
    given = getattr(trajectory, "_kwargs", {})
    return given.get("dt") is not None or bool(given.get("time_offset")) or given.get("convert_units") is False


def _in_memory(trajectory: Any) -> ArrayFrames:
    """A MemoryReader's array: its transformations are applied to it already."""
    order = "".join(trajectory.stored_order)
    positions = np.transpose(trajectory.get_array(), [order.index(axis) for axis in "fac"])
    offset = float(trajectory.ts.data.get("time_offset", 0.0))
    times = np.asarray(float(trajectory.ts.dt) * np.arange(len(positions)) + offset, dtype=np.float64)
    boxes = np.asarray(trajectory.dimensions_array, dtype=np.float64)
    name = trajectory.filename
    return ArrayFrames(str(name) if name else "the universe", positions, boxes if boxes.any() else None, times)
