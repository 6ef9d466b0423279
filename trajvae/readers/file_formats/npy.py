"""Read numpy's `.npy` files in pieces, with headers of limited length.

Files are never mapped into memory: where another program cuts or rewrites a mapped file, a signal (SIGBUS) ends the
process. `os.preadv` then returns fewer bytes instead, and a file that changed raises an error.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from trajvae.errors import ReadError
from trajvae.readers.file_formats.unchanged_file import UnchangedFile
from trajvae.readers.frame_file import FrameBlock, Unfiltered, range_to_array, split_range
from trajvae.typing import AnyArray, Float64, Floats, Int64

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # bytes; numpy writes 118 for arrays of numbers
_LARGEST_AXIS = 2**40  # an array without atoms has no bytes, so its number of frames must be limited
_SPAN = 0.25  # fraction of a frame's atoms; where the selected atoms span less, the others are not read
_FAR_APART = 2**14  # bytes between selected frames, beyond which each frame is read by itself


class Header(NamedTuple):
    """Hold what the header of an array says.

    Attributes
    ----------
    shape : tuple of int
    by_column : bool
        Whether the first index runs fastest (Fortran's order).
    dtype : dtype
        A type of numbers, never Python objects.
    length : int
        Bytes of the header, after which the numbers begin.
    """

    shape: tuple[int, ...]
    by_column: bool
    dtype: np.dtype[np.generic]
    length: int

    @property
    def size(self) -> int:
        """Number of bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """Read the header of an array, after a check of its length.

    Raises
    ------
    ValueError
        The file has no such header, or it is longer than arrays of numbers need, or is that of Python objects.
    """
    start = stream.read(8)
    if start[:6] != _MAGIC or start[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError("not an array of numpy")
    width = 2 if start[6] == 1 else 4
    prefix = stream.read(width)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < width or length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes, expected at most {_LONGEST_HEADER}")
    body = stream.read(length)
    if not body.isascii():  # version 3 differs from 2 only in names of fields, which arrays of numbers lack
        raise ValueError("a header that is not ASCII")
    parse = npy.read_array_header_1_0 if width == 2 else npy.read_array_header_2_0
    shape, by_column, dtype = parse(io.BytesIO(prefix + body), max_header_size=_LONGEST_HEADER)
    if dtype.hasobject or any(not 0 <= n <= _LARGEST_AXIS for n in shape):
        raise ValueError("Python objects, or an invalid shape")
    return Header(tuple(int(n) for n in shape), bool(by_column), dtype, 8 + width + length)


def read_numbers(path: Path) -> AnyArray:
    """Read a whole `.npy` file of numbers or truth values.

    Raises
    ------
    ValueError
        See `read_header`; or the array has another type, or the file is shorter than its shape.
    """
    with path.open("rb") as file:
        header = read_header(file)
        if header.dtype.kind not in "fiub" or header.length + header.size > path.stat().st_size:
            raise ValueError(f"an array of type {header.dtype} and shape {header.shape}, or a file that is cut")
        flat = np.fromfile(file, header.dtype, math.prod(header.shape))
    return flat.reshape(header.shape, order="F" if header.by_column else "C")


class NpyFrames(Unfiltered):
    """Read the frames of an `.npy` file of numbers, shape (frames, atoms, 2 or 3), in Å.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        See `read_header`; or the file is shorter than its shape.
    ReadError
        The array has another shape or does not hold numbers.
    """

    precision = 0.0
    seekable = True
    timed = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with path.open("rb") as file:
            self._header = read_header(file)
            self._file = UnchangedFile(self.name, file.fileno())
        check_shape(self._header.shape, self._header.dtype, self.name)
        if self._header.length + self._header.size > self._file.size:
            raise ValueError("the file is shorter than the shape of its array")
        self.n_frames, self.n_atoms = self._header.shape[:2]

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        read = self._read_by_column if self._header.by_column else self._read_by_row
        with self._file.opened() as file:
            for piece in split_range(frames, size):
                with self._file.reading(file):
                    xyz = read(file, piece, atoms)
                yield FrameBlock(_as_floats(xyz), None, self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the numbers of frames as their times, shape (t,), since the file has no times."""
        return range_to_array(frames).astype(np.float64)

    def _read_by_row(self, number: int, piece: range, atoms: Int64) -> AnyArray:
        """Read frames (t, n, D) of an array in C order, in which one frame comes after the other."""
        _, n, dimension = self._header.shape
        atom_bytes = dimension * self._header.dtype.itemsize
        first, last = (int(atoms.min()), int(atoms.max()) + 1) if len(atoms) else (0, 0)
        near = n * atom_bytes * piece.step <= _FAR_APART
        if near or (piece.step == 1 and last - first > _SPAN * n):
            out = self._read(number, n * atom_bytes * piece.start, (piece[-1] - piece.start + 1, n, dimension))
            out = out[:: piece.step]
            first = 0
        else:
            out = np.empty((len(piece), last - first, dimension), dtype=self._header.dtype)
            for k, frame in enumerate(piece):
                self._fill(number, (n * frame + first) * atom_bytes, out[k])
        all_atoms = len(atoms) == out.shape[1] and (np.diff(atoms) == 1).all()
        return np.ascontiguousarray(out) if all_atoms else out[:, atoms - first]

    def _read_by_column(self, number: int, piece: range, atoms: Int64) -> AnyArray:
        """Read frames (t, n, D) of an array in Fortran order, in which a coordinate of all frames is contiguous."""
        n_frames, n, dimension = self._header.shape
        out = np.empty((len(piece), len(atoms), dimension), dtype=self._header.dtype)
        column = np.empty(piece[-1] - piece.start + 1, dtype=self._header.dtype)
        for d in range(dimension):
            for k, atom in enumerate(atoms.tolist()):
                self._fill(number, ((d * n + atom) * n_frames + piece.start) * column.itemsize, column)
                out[:, k, d] = column[:: piece.step]
        return out

    def _read(self, number: int, at: int, shape: tuple[int, ...]) -> AnyArray:
        """Return an array of the numbers that begin `at` bytes after the header."""
        out = np.empty(shape, dtype=self._header.dtype)
        self._fill(number, at, out)
        return out

    def _fill(self, number: int, at: int, out: AnyArray) -> None:
        """Fill an array with the numbers that begin `at` bytes after the header."""
        view, done = memoryview(out.reshape(-1).view(np.uint8)), 0  # type: ignore[arg-type]
        while done < len(view):
            count = os.preadv(number, [view[done:]], self._header.length + at + done)
            if count == 0:
                raise self._file.changed()
            done += count


def check_shape(shape: tuple[int, ...], dtype: np.dtype[np.generic], name: str) -> None:
    """Raise an error for an array that cannot hold frames; `name` is for messages.

    Raises
    ------
    ReadError
        The array does not hold numbers, or its shape is not (frames, atoms, 2 or 3).
    """
    if len(shape) != 3 or shape[2] not in (2, 3) or dtype.kind not in "fiu":
        raise ReadError(f"{name}: expected numbers of shape (frames, atoms, 2 or 3), got {dtype} {shape}")


def _as_floats(xyz: AnyArray) -> Floats:
    """Return integers as float64, and floating-point numbers as they are."""
    return xyz if xyz.dtype.kind == "f" else xyz.astype(np.float64)
