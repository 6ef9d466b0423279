"""XTC files: headers are checked before mdtraj's C library sees them, since it believes whatever they say."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import one_line
from trajvae.readers.file_formats.unchanged_file import StableFile
from trajvae.readers.file_formats.unit_cells import lengths_angles
from trajvae.readers.file_formats.window import Window
from trajvae.readers.frames import FrameBlock, Unfiltered, as_slice, numbers_of, pieces
from trajvae.typing import Float64, Floats, Int64, UInt8

_NM = 10.0  # nm to Å
_JUMP, _PASSED, _PASSED_BYTE = 40e-6, 1e-6, 5e-9  # s to read a frame by itself, to pass over one, and over a byte
_MAGIC, _WIDE = 1995, 2023  # the second has 64-bit sizes, for more than 300 million atoms
_HEAD = 56  # bytes before the coordinates: magic, atoms, step, time, box, atoms
_PLAIN = 9  # so many atoms, or fewer, are stored as floating-point numbers
_FIRST, _LAST = 9, 72  # the least and the greatest index of the table of small differences


class XTCFrames(Unfiltered):
    """An XTC file, decompressed by mdtraj's C library in one call a chunk."""

    seekable = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with path.open("rb") as file:
            self._file = StableFile(self.name, file.fileno(), grows=True)
            scan = _Scan(file.fileno(), self._file.size, path)
        self.n_frames, self.n_atoms, self._offsets = len(scan.offsets), scan.n_atoms, scan.offsets
        self._times, self.precision = scan.times, scan.precision

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        from mdtraj.formats import XTCTrajectoryFile

        strided = self._strided(frames, size)
        with self._file.opened() as watched, ascii_path(self.name) as path, XTCTrajectoryFile(path) as file:
            if not strided:  # a strided read fails unless the library has looked for the frames itself
                file.offsets = self._offsets
            for piece in pieces(frames, size):
                runs = [piece] if strided or piece.step == 1 else list(pieces(piece, 1))
                failed = f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"
                with self._file.piece(watched), one_line(failed):
                    parts = [_read(file, run, atoms, strided=strided) for run in runs]
                    xyz = np.concatenate([p[0] for p in parts]) if len(parts) > 1 else parts[0][0]
                if len(xyz) != len(piece):
                    raise ReadError(f"'{self.name}' ends within frame {piece.start + len(xyz) * piece.step}")
                boxes = None if parts[0][1] is None else lengths_angles(np.concatenate([p[1] for p in parts]) * _NM)
                yield FrameBlock(xyz * np.float32(_NM), boxes, self.times(piece))

    def _strided(self, frames: range, size: int) -> bool:
        """Return whether the library shall read with a stride, looking at every frame, or jump to each one wanted."""
        if frames.step == 1 or size == 1:
            return False
        return frames.step * (_PASSED + _PASSED_BYTE * self._file.size / self.n_frames) < _JUMP

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        return self._times[as_slice(frames)].astype(np.float64)


def _read(file: Any, piece: range, atoms: Int64, *, strided: bool) -> tuple[Floats, Floats | None]:
    """Read frames with one call: positions and box vectors in nm."""
    if file.tell() != piece.start:
        file.seek(piece.start)
    xyz, _, _, vectors = file.read(n_frames=len(piece), stride=piece.step if strided else None, atom_indices=atoms)
    return xyz, vectors


@contextlib.contextmanager
def ascii_path(name: str) -> Iterator[str]:
    """Give a path that C libraries can open: some take ASCII or UTF-8 only, so other paths get a temporary link."""
    if name.isascii():
        yield name
        return
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "link")
        os.symlink(os.path.abspath(name), link)
        yield link


class _Scan:
    """What the headers of an XTC's frames say, all of them checked.

    Raises
    ------
    ReadError
        The file is cut, or a header is damaged.
    """

    def __init__(self, number: int, size: int, path: Path) -> None:
        if size < _HEAD:
            raise ReadError(f"'{path}' cannot be read: it is empty, damaged or cut")
        window = Window(number)
        magic, self.n_atoms = struct.unpack(">ii", window.read(0, 8))
        if magic not in (_MAGIC, _WIDE) or not 0 < self.n_atoms:
            raise ReadError(f"'{path}' is no XTC file, or its header is damaged")
        packed = self.n_atoms > _PLAIN
        self.offsets, end, heads = (
            _headers(window, size, magic) if packed else _plain_headers(window, size, self.n_atoms)
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
        """Compare what headers (T, 92), or (T, 56) of few atoms, say of the atoms and of their coordinates."""
        words = heads.view(">i4")  # (T, 23) or (T, 14)
        odd = (words[:, 0] != magic) | (words[:, 1] != self.n_atoms) | (words[:, 13] != self.n_atoms)
        if self.n_atoms > _PLAIN:
            small = words[:, 21].astype(np.int64)
            odd |= (small < _FIRST) | (small > _LAST)
            lengths = np.diff(np.append(self.offsets, size)) - (96 if magic == _WIDE else 92)
            # an atom takes a bit or more; the C library's buffer holds 3.6 words an atom
            odd |= (8 * lengths < self.n_atoms) | (lengths > 4 * int(3.6 * self.n_atoms) - 8)
        if odd.any():
            frame = int(np.argmax(odd))
            raise ReadError(f"'{path}' is damaged: frame {frame} has no header of an XTC of {self.n_atoms} atoms")

    def _precision(self, heads: UInt8, path: Path) -> float:
        stored = np.ascontiguousarray(heads[:, 56:60]).view(">f4")[:, 0].astype(np.float64)
        odd = ~(np.isfinite(stored) & (stored > 0.0))
        if odd.any():
            frame = int(np.argmax(odd))
            raise ReadError(f"'{path}' is damaged: frame {frame} has the precision {stored[frame]:g}, wanted above 0")
        return _NM / float(stored.min())


def _plain_headers(window: Window, size: int, n_atoms: int) -> tuple[Int64, int, UInt8]:
    """Return where frames of few atoms begin, where the last one ends, and the headers (T, 56) of whole ones."""
    length = _HEAD + 12 * n_atoms
    count = -(-size // length)
    heads = bytearray()
    for at in range(0, size - length + 1, length):
        heads += window.read(at, _HEAD).ljust(_HEAD, b"\0")
    offsets = numbers_of(range(0, count * length, length))
    return offsets, count * length, np.frombuffer(heads, dtype=np.uint8).reshape(-1, _HEAD)


def _headers(window: Window, size: int, magic: int) -> tuple[Int64, int, UInt8]:
    """Return where frames begin, where the last one ends by its own header, and the headers (T, 92) of all of them."""
    out, at, head = [], 0, 96 if magic == _WIDE else 92
    unpack, heads = struct.Struct(">q" if magic == _WIDE else ">i").unpack_from, bytearray()
    while at + head <= size:
        found = window.read(at, head)
        length = unpack(found, 88)[0] if len(found) == head else 0
        if length <= 0:
            break
        out.append(at)
        heads += found[:92]
        at += head + (length + 3) // 4 * 4
    if at < size and out:  # bytes of a frame without a whole header
        out.append(at)
        at = size + 1
    return np.array(out, dtype=np.int64), at, np.frombuffer(heads, dtype=np.uint8).reshape(-1, 92)
