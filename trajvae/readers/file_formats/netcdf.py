"""Read AMBER's NetCDF files: MDAnalysis reads the header, and frames are read by their places in the file.

MDAnalysis maps the file into memory. If a mapped file is cut while it is read, a signal ends the process; so the map is
closed once the header is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import as_read_error
from trajvae.readers.file_formats.unchanged_file import UnchangedFile
from trajvae.readers.frame_file import FrameBlock, Unfiltered, range_to_array, split_range
from trajvae.typing import Float64, Floats, Int64, TrajectoryReader

_DENSE = 0.5  # where a variable has at least this fraction of the bytes from frame to frame, all bytes are read at once
_MOST_BYTES = 2**21  # bytes that are read at once, or one frame: as many as stay in the processor's cache


class _Variable(NamedTuple):
    """Describe where the numbers of a variable are in the file: those of frame k at byte `start + k * stride`."""

    start: int
    stride: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale: float

    @property
    def size(self) -> int:
        """Bytes of the variable in one frame."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class NetCDFFrames(Unfiltered):
    """Read the frames of a file that a reader of MDAnalysis has opened; the reader is closed.

    Parameters
    ----------
    reader : NCDFReader
    path : Path
    """

    precision = 0.0
    seekable = True
    seconds_per_byte = 4e-10  # about

    def __init__(self, reader: TrajectoryReader, path: Path) -> None:
        self.name = str(path)
        with as_read_error(f"'{path}' cannot be read"):
            self.n_frames, self.n_atoms = int(reader.n_frames), int(reader.n_atoms)
            self._positions = _variable(reader, "coordinates", (self.n_frames, self.n_atoms, 3))
            self._time = _variable(reader, "time", (self.n_frames,)) if reader.has_time else None
            self.timed = self._time is not None
            cell = ("cell_lengths", "cell_angles") if reader.periodic else ()
            self._cell = [_variable(reader, name, (self.n_frames, 3)) for name in cell]
            self._file = UnchangedFile(self.name, reader.trjfile.fp.fileno(), grows=True)
            reader.close()

    @property
    def seconds_per_frame(self) -> float:
        """About how long it takes to read a frame."""
        return self.seconds_per_byte * self._file.size / max(self.n_frames, 1)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        with self._file.opened() as file:
            for piece in split_range(frames, size):
                with self._file.reading(file):
                    xyz = self._read_positions(file, piece, atoms)
                    cells = [self._read(file, part, piece) for part in self._cell]
                    times = self._times(file, piece)
                boxes = np.concatenate(cells, axis=1).astype(np.float64) if cells else None
                yield FrameBlock(xyz, boxes, times)

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,); the numbers of the frames where the file has no times."""
        with self._file.opened() as file, self._file.reading(file):
            return self._times(file, frames)

    def _times(self, file: int, frames: range) -> Float64:
        """Return times as `times` does, from an open file."""
        if self._time is None:
            return range_to_array(frames).astype(np.float64)
        return self._read(file, self._time, frames).astype(np.float64)

    def _read_positions(self, file: int, piece: range, atoms: Int64) -> Floats:
        """Return the positions of atoms in some frames, (t, n, 3), of which few are read at once."""
        xyz, row = np.empty((len(piece), len(atoms), 3), dtype=np.float32), 0
        for some in split_range(piece, max(_MOST_BYTES // (self._positions.stride * piece.step), 1)):
            xyz[row : row + len(some)] = self._read(file, self._positions, some)[:, atoms]
            row += len(some)
        return xyz

    def _read(self, file: int, variable: _Variable, frames: range) -> Floats:
        """Return the numbers of a variable in some frames, (t, ...)."""
        if not frames:
            return np.empty((0, *variable.shape), dtype=np.float32)
        if variable.size >= _DENSE * variable.stride * frames.step:
            span = frames[-1] - frames.start
            start = variable.start + frames.start * variable.stride
            data = self._read_bytes(file, start, span * variable.stride + variable.size)
            strides = (variable.stride * frames.step, *np.empty(variable.shape, variable.dtype).strides)
            numbers = np.ndarray((len(frames), *variable.shape), variable.dtype, data, 0, strides)
        else:
            starts = (variable.start + k * variable.stride for k in frames)
            data = b"".join(self._read_bytes(file, start, variable.size) for start in starts)
            numbers = np.frombuffer(data, variable.dtype).reshape(len(frames), *variable.shape)
        numbers = numbers.astype(variable.dtype.newbyteorder("="))
        return numbers if variable.scale == 1.0 else numbers * variable.scale

    def _read_bytes(self, file: int, start: int, count: int) -> bytes:
        """Read bytes, and raise an error where the file ends before."""
        data = os.pread(file, count, start)
        if len(data) < count:
            raise self._file.changed()
        return data


def _variable(reader: TrajectoryReader, name: str, shape: tuple[int, ...]) -> _Variable:
    """Return where a variable of this shape is in the file, found by the address of its array in the map."""
    data = np.asarray(reader.trjfile.variables[name].data)
    if data.shape != shape or data.dtype.kind != "f" or not data.size:
        raise ReadError(f"'{reader.filename}': '{name}' is of {data.dtype} {data.shape}, expected numbers {shape}")
    begin = reader.trjfile._mm_buf.__array_interface__["data"][0]
    scale = reader.scale_factors[name]
    unscaled = scale is None or bool(np.isclose(scale, 1.0))
    start = int(data.__array_interface__["data"][0]) - int(begin)
    return _Variable(start, int(data.strides[0]), data.shape[1:], data.dtype, 1.0 if unscaled else float(scale))
