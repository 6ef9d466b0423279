"""XTC and TRR files of GROMACS, read by mdtraj's C library in one call a chunk."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.frames import NM, Array, Float64, FrameBlock, Int64, lengths_angles, pieces
from trajvae.readers.library import ascii_path, reading, silent_c_library
from trajvae.readers.xdr_headers import is_xtc, trr_headers, xtc_headers


class XDRFrames:
    """An XTC or TRR file; frames of a TRR file that have no positions are left out.

    Parameters
    ----------
    path : Path
        Its first bytes tell which of the two it is.

    Warns
    -----
    TrajvaeWarning
        How many frames have no positions.
    """

    seekable = False

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path
        self._compressed = is_xtc(path)
        headers = xtc_headers(path, self._offsets()) if self._compressed else trr_headers(path)
        self._numbers = np.flatnonzero(headers.has_positions)
        self.n_stored, self.n_frames = len(headers.times), len(self._numbers)
        self.n_atoms, self.precision = headers.n_atoms, headers.precision
        self._times = headers.times[self._numbers]
        if self.n_frames < self.n_stored:
            left = self.n_stored - self.n_frames
            warnings.warn(
                f"{left} of {self.n_stored} frames of '{path}' have no positions and are left out",
                TrajvaeWarning,
                stacklevel=6,
            )

    def _offsets(self) -> Int64:
        """First byte of each frame."""
        from mdtraj.formats import XTCTrajectoryFile

        what = f"'{self.name}' cannot be read: it is damaged or cut"
        with silent_c_library(), reading(what), ascii_path(self._path) as name, XTCTrajectoryFile(name) as file:
            return np.asarray(file.offsets, dtype=np.int64)

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,)."""
        return np.asarray(self._times[frames.start : frames.stop : frames.step] if len(frames) else self._times[:0])

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames among all stored ones, (t,)."""
        return np.asarray(self._numbers[np.asarray(frames, dtype=np.int64)])

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        from mdtraj.formats import TRRTrajectoryFile, XTCTrajectoryFile

        opener = XTCTrajectoryFile if self._compressed else TRRTrajectoryFile
        with ascii_path(self._path) as name, opener(name) as file:
            for piece in pieces(frames, size):
                yield self._read(file, piece, atoms)

    def _read(self, file: Any, piece: range, atoms: Int64) -> FrameBlock:
        what = f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"
        with silent_c_library(), reading(what):
            xyz, vectors = self._arrays(file, piece, atoms)
        if len(xyz) != len(piece):
            raise ReadError(f"'{self.name}' ends within frame {piece.start + len(xyz) * piece.step}")
        boxes = None if vectors is None else lengths_angles(vectors * NM)
        return FrameBlock(xyz * np.float32(NM), boxes, self.times(piece))

    def _arrays(self, file: Any, piece: range, atoms: Int64) -> tuple[Array, Array | None]:
        """Positions and box vectors in nm.

        A strided read of TRR by mdtraj 1.11.1 writes beyond its arrays (it may crash), hence frame by frame there.
        """
        numbers = self.frame_numbers(piece)
        even = len(numbers) == 1 or (np.diff(numbers) == piece.step).all()
        if even and (self._compressed or piece.step == 1):
            return _consecutive(file, int(numbers[0]), len(numbers), piece.step, atoms)
        single = [_consecutive(file, int(number), 1, 1, atoms) for number in numbers]
        vectors = [box for _, box in single if box is not None]
        return np.concatenate([xyz for xyz, _ in single]), np.concatenate(vectors) if vectors else None


def _consecutive(file: Any, first: int, count: int, step: int, atoms: Int64) -> tuple[Array, Array | None]:
    if file.tell() != first:  # a first seek looks through the whole file
        file.seek(first)
    fields = file.read(n_frames=count, stride=step if step > 1 else None, atom_indices=atoms)
    return fields[0], fields[3]  # TRR has one field more behind them than XTC
