"""Arrays in numpy's files: headers of limited length, and numbers that are read in pieces and never mapped.

A mapped file that another program writes again, or cuts, ends the process by a signal (SIGBUS) where its pages are
looked at. Reading by `pread` gives fewer bytes instead, and a file that changed is an error.
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
from trajvae.readers.file_formats.unchanged_file import StableFile
from trajvae.readers.frames import FrameBlock, Unfiltered, numbers_of, pieces
from trajvae.typing import AnyArray, Float64, Floats, Int64

_MAGIC = b"\x93NUMPY"
_LONGEST = 10_000  # bytes of a header; numpy writes 118 for plain numbers
_MOST = 2**40  # of frames: without atoms no byte need stand behind them
_SHARE = 0.25  # of a frame's bytes: where the atoms that are wanted span less, the others are not read
_BY_ITSELF = 2**14  # bytes between frames that are wanted, beyond which each is read by itself


class Header(NamedTuple):
    """What the header of an array says.

    Attributes
    ----------
    shape : tuple of int
    by_column : bool
        Whether the first index runs fastest (Fortran's order).
    dtype : dtype
        Of numbers, never of Python objects.
    length : int
        Bytes of the header, after which the numbers begin.
    """

    shape: tuple[int, ...]
    by_column: bool
    dtype: np.dtype[np.generic]
    length: int

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """Read the header of an array, whose length is looked at before it is read.

    Raises
    ------
    ValueError
        No such header, a longer one than numbers need, or one of Python objects.
    """
    start = stream.read(8)
    if start[:6] != _MAGIC or start[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError("no array of numpy's")
    width = 2 if start[6] == 1 else 4
    prefix = stream.read(width)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < width or length > _LONGEST:
        raise ValueError(f"a header of {length} bytes, wanted at most {_LONGEST}")
    body = stream.read(length)
    if not body.isascii():  # the third version differs from the second in names of fields, which numbers have none of
        raise ValueError("a header that is no ASCII")
    parse = npy.read_array_header_1_0 if width == 2 else npy.read_array_header_2_0
    shape, by_column, dtype = parse(io.BytesIO(prefix + body), max_header_size=_LONGEST)
    if dtype.hasobject or any(not 0 <= n <= _MOST for n in shape):
        raise ValueError("Python objects, or no valid shape")
    return Header(tuple(int(n) for n in shape), bool(by_column), dtype, 8 + width + length)


def read_numbers(path: Path) -> AnyArray:
    """Read a whole `.npy` file of numbers or truths.

    Raises
    ------
    ValueError
        See `read_header`; or something else, or fewer bytes than the shape has.
    """
    with path.open("rb") as file:
        header = read_header(file)
        if header.dtype.kind not in "fiub" or header.length + header.size > path.stat().st_size:
            raise ValueError(f"an array of type {header.dtype} and shape {header.shape}, or one that is cut")
        flat = np.fromfile(file, header.dtype, math.prod(header.shape))
    return flat.reshape(header.shape, order="F" if header.by_column else "C")


class NpyFrames(Unfiltered):
    """The frames of an `.npy` file of numbers, shape (frames, atoms, 2 or 3), in Å.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        See `read_header`; or fewer bytes than the shape has.
    ReadError
        Another shape, or no numbers.
    """

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with path.open("rb") as file:
            self._header = read_header(file)
            self._file = StableFile(self.name, file.fileno())
        check_shape(self._header.shape, self._header.dtype, self.name)
        if self._header.length + self._header.size > self._file.size:
            raise ValueError("fewer numbers than its shape has")
        self.n_frames, self.n_atoms = self._header.shape[:2]

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        read = self._columns if self._header.by_column else self._rows
        with self._file.opened() as file:
            for piece in pieces(frames, size):
                with self._file.piece(file):
                    xyz = read(file, piece, atoms)
                yield FrameBlock(_as_floats(xyz), None, self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the numbers of frames, shape (t,)."""
        return numbers_of(frames).astype(np.float64)

    def _rows(self, number: int, piece: range, atoms: Int64) -> AnyArray:
        """Read frames (t, n, D) that stand one after the other."""
        _, n, dimension = self._header.shape
        each = dimension * self._header.dtype.itemsize
        first, last = (int(atoms.min()), int(atoms.max()) + 1) if len(atoms) else (0, 0)
        near = n * each * piece.step <= _BY_ITSELF
        if near or (piece.step == 1 and last - first > _SHARE * n):
            out = self._read(number, n * each * piece.start, (piece[-1] - piece.start + 1, n, dimension))
            out = out[:: piece.step]
            first = 0
        else:
            out = np.empty((len(piece), last - first, dimension), dtype=self._header.dtype)
            for k, frame in enumerate(piece):
                self._fill(number, (n * frame + first) * each, out[k])
        whole = len(atoms) == out.shape[1] and (np.diff(atoms) == 1).all()
        return np.ascontiguousarray(out) if whole else out[:, atoms - first]

    def _columns(self, number: int, piece: range, atoms: Int64) -> AnyArray:
        """Read frames (t, n, D) of which each coordinate of each atom stands together for all frames."""
        n_frames, n, dimension = self._header.shape
        out = np.empty((len(piece), len(atoms), dimension), dtype=self._header.dtype)
        some = np.empty(piece[-1] - piece.start + 1, dtype=self._header.dtype)
        for d in range(dimension):
            for k, atom in enumerate(atoms.tolist()):
                self._fill(number, ((d * n + atom) * n_frames + piece.start) * some.itemsize, some)
                out[:, k, d] = some[:: piece.step]
        return out

    def _read(self, number: int, at: int, shape: tuple[int, ...]) -> AnyArray:
        out = np.empty(shape, dtype=self._header.dtype)
        self._fill(number, at, out)
        return out

    def _fill(self, number: int, at: int, out: AnyArray) -> None:
        """Fill an array with the numbers that begin `at` bytes behind the header."""
        view, done = memoryview(out.reshape(-1).view(np.uint8)), 0  # type: ignore[arg-type]
        while done < len(view):
            got = os.preadv(number, [view[done:]], self._header.length + at + done)
            if got == 0:
                raise self._file.changed()
            done += got


def check_shape(shape: tuple[int, ...], dtype: np.dtype[np.generic], name: str) -> None:
    """Refuse what cannot be frames.

    Raises
    ------
    ReadError
        No numbers, or another shape than (frames, atoms, 2 or 3).
    """
    if len(shape) != 3 or shape[2] not in (2, 3) or dtype.kind not in "fiu":
        raise ReadError(f"{name}: wanted numbers of shape (frames, atoms, 2 or 3), got {dtype} {shape}")


def _as_floats(xyz: AnyArray) -> Floats:
    return xyz if xyz.dtype.kind == "f" else xyz.astype(np.float64)
