"""AMBER's NetCDF: MDAnalysis reads the header by a map of the file, and frames are read by their places in it.

A mapped file that is cut while its pages are looked at ends the process by a signal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import one_line
from trajvae.readers.file_formats.unchanged_file import StableFile
from trajvae.readers.frames import FrameBlock, Unfiltered, numbers_of, pieces
from trajvae.typing import Float64, Floats, Int64

_SHARE = 0.5  # of the bytes between frames: where positions are less, each frame is read by itself


class _Variable(NamedTuple):
    """Where a variable's numbers stand: those of frame k at `at + k * apart`."""

    at: int
    apart: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale: float

    @property
    def size(self) -> int:
        """Bytes of a frame."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class NetCDFFrames(Unfiltered):
    """The frames of a file that one of MDAnalysis' readers has opened, which is closed then.

    Parameters
    ----------
    reader : NCDFReader
    path : Path
    """

    precision = 0.0
    seekable = True

    def __init__(self, reader: Any, path: Path) -> None:
        self.name = str(path)
        with one_line(f"'{path}' cannot be read"):
            self.n_frames, self.n_atoms = int(reader.n_frames), int(reader.n_atoms)
            self._positions = _variable(reader, "coordinates", (self.n_frames, self.n_atoms, 3))
            self._time = _variable(reader, "time", (self.n_frames,)) if reader.has_time else None
            cell = ("cell_lengths", "cell_angles") if reader.periodic else ()
            self._cell = [_variable(reader, name, (self.n_frames, 3)) for name in cell]
            self._file = StableFile(self.name, reader.trjfile.fp.fileno(), grows=True)
            reader.close()

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        with self._file.opened() as file:
            for piece in pieces(frames, size):
                with self._file.piece(file):
                    xyz = self._read(file, self._positions, piece)[:, atoms].astype(np.float32)
                    cells = [self._read(file, part, piece) for part in self._cell]
                    times = self._times(file, piece)
                boxes = np.concatenate(cells, axis=1).astype(np.float64) if cells else None
                yield FrameBlock(xyz, boxes, times)

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,); their numbers where the file has none."""
        with self._file.opened() as file, self._file.piece(file):
            return self._times(file, frames)

    def _times(self, file: int, frames: range) -> Float64:
        if self._time is None:
            return numbers_of(frames).astype(np.float64)
        return self._read(file, self._time, frames).astype(np.float64)

    def _read(self, file: int, part: _Variable, frames: range) -> Floats:
        """Read a variable's numbers of some frames, (t, ...)."""
        if not frames:
            return np.empty((0, *part.shape), dtype=np.float32)
        if part.size >= _SHARE * part.apart * frames.step:
            span = frames[-1] - frames.start
            data = self._bytes(file, part.at + frames.start * part.apart, span * part.apart + part.size)
            strides = np.empty(part.shape, part.dtype).strides
            far = (part.apart * frames.step, *strides)
            found = np.ndarray((len(frames), *part.shape), part.dtype, data, 0, far)
        else:
            data = b"".join(self._bytes(file, part.at + k * part.apart, part.size) for k in frames)
            found = np.frombuffer(data, part.dtype).reshape(len(frames), *part.shape)
        found = found.astype(part.dtype.newbyteorder("="))
        return found if part.scale == 1.0 else found * part.scale

    def _bytes(self, file: int, at: int, count: int) -> bytes:
        data = os.pread(file, count, at)
        if len(data) < count:
            raise self._file.changed()
        return data


def _variable(reader: Any, name: str, shape: tuple[int, ...]) -> _Variable:
    """Find a variable's place in the file by the place of its array in the map."""
    data = np.asarray(reader.trjfile.variables[name].data)
    if data.shape != shape or data.dtype.kind != "f" or not data.size:
        raise ReadError(f"'{reader.filename}': '{name}' is of {data.dtype} {data.shape}, wanted numbers {shape}")
    begin = reader.trjfile._mm_buf.__array_interface__["data"][0]
    scale = reader.scale_factors[name]
    plain = scale is None or bool(np.isclose(scale, 1.0))
    at = int(data.__array_interface__["data"][0]) - int(begin)
    return _Variable(at, int(data.strides[0]), data.shape[1:], data.dtype, 1.0 if plain else float(scale))
