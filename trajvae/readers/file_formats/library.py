"""Formats that MDAnalysis or mdtraj reads a frame, or a chunk of frames, at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import one_line, reason
from trajvae.readers.frames import FrameBlock, Unfiltered, as_slice, numbers_of, pieces
from trajvae.typing import Float64, Int64


class ReaderFrames(Unfiltered):
    """Frames of one of MDAnalysis' readers, for formats and transformations that only it knows.

    Parameters
    ----------
    reader : ReaderBase
    name : str
        For messages.
    numbers : ndarray of int64, shape (T,), optional
        The reader's frames that have positions, or that are meant; by default all.
    """

    precision = 0.0
    seekable = True

    def __init__(self, reader: Any, name: str, numbers: Int64 | None = None) -> None:
        self.name = name
        self._reader = reader
        with one_line(f"'{name}' cannot be read"):
            count, self.n_atoms = int(reader.n_frames), int(reader.n_atoms)
        self._numbers = numbers_of(range(count)) if numbers is None else numbers
        self.n_frames = len(self._numbers)
        self._times = np.full(self.n_frames, np.nan)

    def reads(self, reader: Any) -> bool:
        """Return whether the frames are those of a reader, so that `frame_numbers` are its numbers."""
        return self._reader is reader

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        for piece in pieces(frames, size):
            xyz = np.empty((len(piece), len(atoms), 3), dtype=np.float32)
            boxes = np.zeros((len(piece), 6))
            with one_line(f"'{self.name}' cannot be read"):
                for k, frame in enumerate(piece):
                    step = self._step(frame)
                    xyz[k] = self._positions(step, frame)[atoms]
                    if step.dimensions is not None:
                        boxes[k] = step.dimensions
            yield FrameBlock(xyz, boxes if boxes[:, :3].any() else None, self._times[as_slice(piece)].copy())

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,); the first time that needs a pass over the frames."""
        missing = [k for k in frames if np.isnan(self._times[k])]
        if missing:
            with one_line(f"'{self.name}' cannot be read"):
                if not self._evenly_spaced(missing[0]):
                    for frame in missing:
                        self._step(frame)
        return self._times[as_slice(frames)].copy()

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames in the reader, shape (t,)."""
        return self._numbers[as_slice(frames)]

    def _step(self, frame: int) -> Any:
        try:
            step = self._reader[int(self._numbers[frame])]
        except (OSError, EOFError, ValueError, LookupError, RuntimeError, StopIteration, ArithmeticError) as error:
            raise ReadError(f"'{self.name}' cannot be read at frame {frame}: {reason(error)}") from error
        self._times[frame] = step.time
        return step

    def _positions(self, step: Any, frame: int) -> Any:
        if not step.has_positions:
            raise ReadError(f"frame {frame} of '{self.name}' has no positions")
        if len(step.positions) != self.n_atoms:
            raise ReadError(f"frame {frame} of '{self.name}' has {len(step.positions)} atoms, wanted {self.n_atoms}")
        return step.positions

    def _evenly_spaced(self, frame: int) -> bool:
        """Fill in all times by arithmetic where the format stores none; whether it was so."""
        step = self._step(frame)
        if "time" in step.data or type(self._reader).__name__ == "ChainReader":
            return False
        offset = float(step.data.get("time_offset", 0.0))
        self._times[:] = float(step.dt) * self._numbers + offset
        return True


class MdtrajFrames(Unfiltered):
    """Frames of one of mdtraj's file objects, for formats that MDAnalysis does not read."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path, kind: str) -> None:
        from mdtraj.formats import AmberNetCDFRestartFile, DTRTrajectoryFile

        self.name = str(path)
        self._open: Any = {"NCRST": AmberNetCDFRestartFile, "DTR": DTRTrajectoryFile}[kind]
        self._restart = kind == "NCRST"
        with one_line(f"'{path}' cannot be read"), self._open(self.name) as file:
            self._unit = {"nanometers": 10.0, "angstroms": 1.0}[file.distance_unit]
            self.n_frames = 1 if self._restart else len(file)
            xyz = file.read()[0] if self._restart else file.read(n_frames=1)[0]
            self.n_atoms = int(xyz.shape[1])

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        for piece in pieces(frames, size):
            with one_line(f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"):
                block = self._read(piece, atoms)
            if len(block.positions) != len(piece):
                raise ReadError(f"'{self.name}' ends within frame {piece.start + len(block.positions)}")
            yield block

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        some = np.arange(min(1, self.n_atoms))
        parts = [block.times for block in self.blocks(frames, some, 1000)]
        return np.concatenate([*parts, np.empty(0)])

    def _read(self, piece: range, atoms: Int64) -> FrameBlock:
        with self._open(self.name) as file:
            if self._restart:
                xyz, times, lengths, angles = file.read(atom_indices=atoms)
            else:
                file.seek(piece.start)
                xyz, times, lengths, angles = file.read(n_frames=piece[-1] - piece.start + 1, atom_indices=atoms)[:4]
        some = slice(None, None, piece.step)
        boxes = None
        if lengths is not None:
            boxes = np.concatenate([lengths * self._unit, angles], axis=1).astype(np.float64)[some]
        xyz = np.asarray(xyz, dtype=np.float32)[some] * np.float32(self._unit)
        return FrameBlock(xyz, boxes, np.asarray(times, dtype=np.float64).reshape(-1)[some])
