"""Read XTC files by mdtraj's C library, after a check of every header, since the library does not check them."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import as_read_error
from trajvae.readers.file_formats.buffered_file import BufferedFile
from trajvae.readers.file_formats.unchanged_file import UnchangedFile
from trajvae.readers.file_formats.unit_cells import lengths_angles
from trajvae.readers.frame_file import FrameBlock, Unfiltered, as_slice, range_to_array, split_range
from trajvae.typing import Float64, Floats, Int64, MdtrajFile, UInt8

_NM = 10.0  # nm to Å
# seconds to jump to a frame, to pass over a frame in a strided read, and to pass over a byte
_JUMP, _PASSED, _PASSED_BYTE = 40e-6, 1e-6, 5e-9
_MAGIC, _WIDE = 1995, 2023  # the second has 64-bit sizes, for more than 300 million atoms
_HEAD = 56  # bytes before the coordinates: magic number, atoms, step, time, box, atoms
_PLAIN = 9  # most atoms for which coordinates are stored as floating-point numbers
_FIRST, _LAST = 9, 72  # smallest and largest index into the format's table of sizes of small differences


class XTCFrames(Unfiltered):
    """Read an XTC file, decompressed by mdtraj's C library with one call for each chunk."""

    seekable = True
    seconds_per_byte = 8e-9  # about
    library = "mdtraj.formats"  # which other processes import before they read

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with path.open("rb") as file:
            self._file = UnchangedFile(self.name, file.fileno(), grows=True)
            headers = _Headers(file.fileno(), self._file.size, path)
        self.n_frames, self.n_atoms, self._offsets = len(headers.offsets), headers.n_atoms, headers.offsets
        self._times, self.precision = headers.times, headers.precision

    @property
    def seconds_per_frame(self) -> float:
        """About how long it takes to read a frame."""
        return self.seconds_per_byte * self._file.size / max(self.n_frames, 1)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        from mdtraj.formats import XTCTrajectoryFile

        strided = self._is_strided_faster(frames, size)
        with self._file.opened() as watched, ascii_path(self.name) as path, XTCTrajectoryFile(path) as file:
            if not strided:  # a strided read fails unless the library has found the frames itself
                file.offsets = self._offsets
            for piece in split_range(frames, size):
                runs = [piece] if strided or piece.step == 1 else list(split_range(piece, 1))
                failed = f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"
                with self._file.reading(watched), as_read_error(failed):
                    parts = [_read(file, run, atoms, strided=strided) for run in runs]
                    xyz = np.concatenate([p[0] for p in parts]) if len(parts) > 1 else parts[0][0]
                if len(xyz) != len(piece):
                    raise ReadError(f"'{self.name}' ends within frame {piece.start + len(xyz) * piece.step}")
                boxes = None if parts[0][1] is None else lengths_angles(np.concatenate([p[1] for p in parts]) * _NM)
                xyz *= np.float32(_NM)
                yield FrameBlock(xyz, boxes, self.times(piece))

    def _is_strided_faster(self, frames: range, size: int) -> bool:
        """Return whether a strided read, which passes over every frame between, is faster than a jump to each frame."""
        if frames.step == 1 or size == 1:
            return False
        return frames.step * (_PASSED + _PASSED_BYTE * self._file.size / self.n_frames) < _JUMP

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        return self._times[as_slice(frames)].astype(np.float64)


def _read(file: MdtrajFile, piece: range, atoms: Int64, *, strided: bool) -> tuple[Floats, Floats | None]:
    """Read frames with one call, and return positions (t, n, 3) and box vectors (t, 3, 3) or None, in nm."""
    if file.tell() != piece.start:
        file.seek(piece.start)
    one_run = len(atoms) > 0 and int(atoms[-1]) - int(atoms[0]) == len(atoms) - 1 and bool((np.diff(atoms) == 1).all())
    taken = slice(int(atoms[0]), int(atoms[-1]) + 1) if one_run else atoms  # a slice is copied faster
    xyz, _, _, vectors = file.read(n_frames=len(piece), stride=piece.step if strided else None, atom_indices=taken)
    return xyz, vectors


@contextlib.contextmanager
def ascii_path(name: str) -> Iterator[str]:
    """Yield a path that C libraries can open: some take only ASCII, so for other paths a temporary link is made."""
    if name.isascii():
        yield name
        return
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "link")
        os.symlink(os.path.abspath(name), link)
        yield link


class _Headers:
    """Read and check the headers of all frames of an XTC file.

    Parameters
    ----------
    number : int
        Descriptor of the open file.
    size : int
        Bytes of the file.
    path : Path

    Raises
    ------
    ReadError
        The file is cut, or a header is damaged.
    """

    def __init__(self, number: int, size: int, path: Path) -> None:
        if size < _HEAD:
            raise ReadError(f"'{path}' cannot be read: it is empty, damaged or cut")
        file = BufferedFile(number)
        magic, self.n_atoms = struct.unpack(">ii", file.read(0, 8))
        if magic not in (_MAGIC, _WIDE) or not 0 < self.n_atoms:
            raise ReadError(f"'{path}' is not an XTC file, or its header is damaged")
        packed = self.n_atoms > _PLAIN
        self.offsets, end, heads = (
            _compressed_headers(file, size, magic) if packed else _plain_headers(file, size, self.n_atoms)
        )
        if not len(self.offsets) or end != size:
            raise ReadError(
                f"'{path}' ends within frame {max(len(self.offsets) - 1, 0)}: the file is cut or damaged, or was "
                "copied while it was written"
            )
        self._check(heads, size, path, magic)
        self.times = np.ascontiguousarray(heads[:, 12:16]).view(">f4")[:, 0]
        # ten atoms or more are stored as integers of 1 / precision nm
        self.precision = self._precision(heads, path) if packed else 0.0

    def _check(self, heads: UInt8, size: int, path: Path, magic: int) -> None:
        """Check the numbers of atoms, and sizes of coordinates, in headers (T, 92), or (T, 56) for few atoms."""
        words = heads.view(">i4")  # (T, 23) or (T, 14)
        invalid = (words[:, 0] != magic) | (words[:, 1] != self.n_atoms) | (words[:, 13] != self.n_atoms)
        if self.n_atoms > _PLAIN:
            small = words[:, 21].astype(np.int64)
            invalid |= (small < _FIRST) | (small > _LAST)
            lengths = np.diff(np.append(self.offsets, size)) - (96 if magic == _WIDE else 92)
            # an atom takes at least one bit; the buffer of the C library holds 3.6 words for each atom
            invalid |= (8 * lengths < self.n_atoms) | (lengths > 4 * int(3.6 * self.n_atoms) - 8)
        if invalid.any():
            frame = int(np.argmax(invalid))
            raise ReadError(f"'{path}' is damaged: frame {frame} has no header of an XTC of {self.n_atoms} atoms")

    def _precision(self, heads: UInt8, path: Path) -> float:
        """Return the coarsest precision of all frames, in Å."""
        stored = np.ascontiguousarray(heads[:, 56:60]).view(">f4")[:, 0].astype(np.float64)
        invalid = ~(np.isfinite(stored) & (stored > 0.0))
        if invalid.any():
            frame = int(np.argmax(invalid))
            raise ReadError(f"'{path}' is damaged: frame {frame} has the precision {stored[frame]:g}, expected above 0")
        return _NM / float(stored.min())


def _plain_headers(file: BufferedFile, size: int, n_atoms: int) -> tuple[Int64, int, UInt8]:
    """Return where frames of few atoms begin, where the last frame ends, and the headers (T, 56) of complete frames."""
    length = _HEAD + 12 * n_atoms
    count = -(-size // length)
    heads = bytearray()
    for at in range(0, size - length + 1, length):
        heads += file.read(at, _HEAD).ljust(_HEAD, b"\0")
    offsets = range_to_array(range(0, count * length, length))
    return offsets, count * length, np.frombuffer(heads, dtype=np.uint8).reshape(-1, _HEAD)


def _compressed_headers(file: BufferedFile, size: int, magic: int) -> tuple[Int64, int, UInt8]:
    """Return where frames begin, where the last frame ends by its header, and the headers (T, 92) of all frames."""
    offsets, at, head = [], 0, 96 if magic == _WIDE else 92
    unpack, heads = struct.Struct(">q" if magic == _WIDE else ">i").unpack_from, bytearray()
    while at + head <= size:
        data = file.read(at, head)
        length = unpack(data, 88)[0] if len(data) == head else 0
        if length <= 0:
            break
        offsets.append(at)
        heads += data[:92]
        at += head + (length + 3) // 4 * 4
    if at < size and offsets:  # bytes of a frame with an incomplete header
        offsets.append(at)
        at = size + 1
    return np.array(offsets, dtype=np.int64), at, np.frombuffer(heads, dtype=np.uint8).reshape(-1, 92)
