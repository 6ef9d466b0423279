"""Read formats by the readers of MDAnalysis or mdtraj."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import as_read_error, reason
from trajvae.readers.frame_file import FrameBlock, Unfiltered, as_slice, range_to_array, split_range
from trajvae.typing import Float64, Floats, Int64, MdtrajFile, Timestep, TrajectoryReader


class ReaderFrames(Unfiltered):
    """Read frames by a reader of MDAnalysis, for formats and transformations that only it has.

    Parameters
    ----------
    reader : ReaderBase
    name : str
        For messages.
    numbers : ndarray of int64, shape (T,), optional
        Numbers of the frames of the reader that are read; by default all. Other frames have no positions, or belong to
        another file.
    """

    precision = 0.0
    seekable = True

    def __init__(self, reader: TrajectoryReader, name: str, numbers: Int64 | None = None) -> None:
        self.name = name
        self._reader = reader
        with as_read_error(f"'{name}' cannot be read"):
            count, self.n_atoms = int(reader.n_frames), int(reader.n_atoms)
        self._numbers = range_to_array(range(count)) if numbers is None else numbers
        self.n_frames = len(self._numbers)
        self._times = np.full(self.n_frames, np.nan)

    @property
    def timed(self) -> bool:
        """Whether the format stores a time with every frame."""
        with as_read_error(f"'{self.name}' cannot be read"):
            return self.n_frames > 0 and ("time" in self._step(0).data or self._joined)

    @property
    def _joined(self) -> bool:
        return type(self._reader).__name__ == "ChainReader"

    def reads(self, reader: TrajectoryReader) -> bool:
        """Return whether frames are read by a given reader, whose frame numbers are then those of `frame_numbers`."""
        return self._reader is reader

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        for piece in split_range(frames, size):
            xyz = np.empty((len(piece), len(atoms), 3), dtype=np.float32)
            boxes = np.zeros((len(piece), 6))
            with as_read_error(f"'{self.name}' cannot be read"):
                for k, frame in enumerate(piece):
                    step = self._step(frame)
                    xyz[k] = self._positions(step, frame)[atoms]
                    if step.dimensions is not None:
                        boxes[k] = step.dimensions
            yield FrameBlock(xyz, boxes if boxes[:, :3].any() else None, self._times[as_slice(piece)].copy())

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,); frames are read for it where their times are not known yet."""
        missing = [k for k in frames if np.isnan(self._times[k])]
        if missing:
            with as_read_error(f"'{self.name}' cannot be read"):
                if not self._compute_times(missing[0]):
                    for frame in missing:
                        self._step(frame)
        return self._times[as_slice(frames)].copy()

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames in the reader, shape (t,)."""
        return self._numbers[as_slice(frames)]

    def _step(self, frame: int) -> Timestep:
        """Read a frame and keep its time."""
        try:
            step = self._reader[int(self._numbers[frame])]
        except (OSError, EOFError, ValueError, LookupError, RuntimeError, StopIteration, ArithmeticError) as error:
            raise ReadError(f"'{self.name}' cannot be read at frame {frame}: {reason(error)}") from error
        self._times[frame] = step.time
        return step

    def _positions(self, step: Timestep, frame: int) -> Floats:
        """Return the positions of a frame that was read, (n, 3)."""
        if not step.has_positions:
            raise ReadError(f"frame {frame} of '{self.name}' has no positions")
        if len(step.positions) != self.n_atoms:
            raise ReadError(f"frame {frame} of '{self.name}' has {len(step.positions)} atoms, expected {self.n_atoms}")
        return np.asarray(step.positions)

    def _compute_times(self, frame: int) -> bool:
        """Compute the times of all frames if the format stores none, and return whether that is so."""
        step = self._step(frame)
        if "time" in step.data or self._joined:
            return False
        offset = float(step.data.get("time_offset", 0.0))
        self._times[:] = float(step.dt) * self._numbers + offset
        return True


class MdtrajFrames(Unfiltered):
    """Read frames by a file object of mdtraj, for formats that MDAnalysis does not read."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path, kind: str) -> None:
        from mdtraj.formats import AmberNetCDFRestartFile, DTRTrajectoryFile

        self.name = str(path)
        self._open: Callable[[str], MdtrajFile] = {"NCRST": AmberNetCDFRestartFile, "DTR": DTRTrajectoryFile}[kind]
        self._restart = kind == "NCRST"
        with as_read_error(f"'{path}' cannot be read"), self._open(self.name) as file:
            self._unit = {"nanometers": 10.0, "angstroms": 1.0}[file.distance_unit]
            self.n_frames = 1 if self._restart else len(file)
            xyz = file.read()[0] if self._restart else file.read(n_frames=1)[0]
            self.n_atoms = int(xyz.shape[1])

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        for piece in split_range(frames, size):
            with as_read_error(f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"):
                block = self._read(piece, atoms)
            if len(block.positions) != len(piece):
                raise ReadError(f"'{self.name}' ends within frame {piece.start + len(block.positions)}")
            yield block

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        one_atom = np.arange(min(1, self.n_atoms))
        parts = [block.times for block in self.blocks(frames, one_atom, 1000)]
        return np.concatenate([*parts, np.empty(0)])

    def _read(self, piece: range, atoms: Int64) -> FrameBlock:
        """Read frames with one call: all from the first to the last, of which every step-th is kept."""
        with self._open(self.name) as file:
            if self._restart:
                xyz, times, lengths, angles = file.read(atom_indices=atoms)
            else:
                file.seek(piece.start)
                xyz, times, lengths, angles = file.read(n_frames=piece[-1] - piece.start + 1, atom_indices=atoms)[:4]
        every = slice(None, None, piece.step)
        boxes = None
        if lengths is not None:
            boxes = np.concatenate([lengths * self._unit, angles], axis=1).astype(np.float64)[every]
        xyz = np.asarray(xyz, dtype=np.float32)[every] * np.float32(self._unit)
        return FrameBlock(xyz, boxes, np.asarray(times, dtype=np.float64).reshape(-1)[every])
