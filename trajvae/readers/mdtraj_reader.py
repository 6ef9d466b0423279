"""Formats that mdtraj alone reads, through its file objects: DTR of Desmond, and NetCDF restarts of Amber."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.frames import ArrayFrames, EveryFrame, Float64, FrameBlock, Int64, pieces
from trajvae.readers.library import reading, silent_c_library


class DTRFrames(EveryFrame):
    """A DTR folder of Desmond."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        from mdtraj.formats import DTRTrajectoryFile

        self.name = str(path)
        with silent_c_library(), reading(f"'{path}' cannot be read"), DTRTrajectoryFile(self.name) as file:
            self.n_frames = len(file)
            xyz, self._times, _, _ = file.read(atom_indices=None)
            self.n_atoms = int(xyz.shape[1])

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,)."""
        return np.asarray(self._times[np.asarray(frames, dtype=np.int64)], dtype=np.float64)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        from mdtraj.formats import DTRTrajectoryFile

        for piece in pieces(frames, size):
            with silent_c_library(), reading(f"'{self.name}' cannot be read"), DTRTrajectoryFile(self.name) as file:
                file.seek(piece.start)
                xyz, _, lengths, angles = file.read(n_frames=piece[-1] - piece.start + 1, atom_indices=atoms)
            rows = slice(None, None, piece.step)
            boxes = np.concatenate([lengths, angles], axis=1)[rows].astype(np.float64)
            if len(xyz[rows]) != len(piece):
                raise ReadError(f"'{self.name}' ends within frames {piece.start} to {piece[-1]}")
            yield FrameBlock(xyz[rows], boxes, self.times(piece))


def open_netcdf_restart(path: Path) -> ArrayFrames:
    """Read the one frame of an Amber NetCDF restart file.

    Raises
    ------
    ReadError
    """
    from mdtraj.formats import AmberNetCDFRestartFile

    with reading(f"'{path}' cannot be read"), AmberNetCDFRestartFile(str(path)) as file:
        xyz, time, lengths, angles = file.read()
    boxes = None if lengths is None or angles is None else np.atleast_2d(np.hstack([lengths, angles])).astype(float)
    times = None if time is None else np.atleast_1d(np.asarray(time, dtype=np.float64))
    return ArrayFrames(str(path), np.asarray(xyz, dtype=np.float32).reshape(1, -1, 3), boxes, time=times)
