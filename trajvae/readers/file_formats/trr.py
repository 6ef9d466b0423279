"""Read TRR files: every header is checked once, then positions and boxes are read as arrays."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.file_formats.buffered_file import BufferedFile
from trajvae.readers.file_formats.unchanged_file import UnchangedFile
from trajvae.readers.file_formats.unit_cells import lengths_angles
from trajvae.readers.frame_file import FrameBlock, as_slice, split_range
from trajvae.typing import Float64, Floats, Int64, UInt8

_NM = 10.0  # nm to Å
_HEAD = struct.Struct(
    ">3i12s13i"
)  # magic number, two lengths of a text, the text, ten sizes, number of atoms, step, nre
_START = struct.pack(">3i12s", 1993, 13, 12, b"GMX_trn_file")
_MOST_BYTES = 2**21  # bytes that are read at once, or one frame: as many as stay in the processor's cache
_COMPARED = 2**17  # bytes in which headers of small frames are compared at once


class _Layout(NamedTuple):
    """Describe where the parts of a frame are, in bytes from its beginning; `box` is -1 in frames without a box."""

    length: int
    real: int  # bytes of a floating-point number
    box: int
    positions: int
    has_positions: bool


class TRRFrames:
    """Read a TRR file, without the frames that have no positions.

    GROMACS writes such frames where velocities are saved more often than positions.
    """

    precision = 0.0
    seekable = True
    seconds_per_byte = 4e-10  # about

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with path.open("rb") as file:
            self._file = UnchangedFile(self.name, file.fileno(), grows=True)
            self.n_atoms, offsets, layouts, times = _scan_headers(file.fileno(), self._file.size, path)
        has_positions = np.array([layout.has_positions for layout in layouts], dtype=np.bool_)
        self._numbers = np.flatnonzero(has_positions).astype(np.int64)
        self._offsets, self._times = offsets[has_positions], times[has_positions]
        self._layouts = [layouts[k] for k in self._numbers.tolist()]
        self.n_frames = len(self._numbers)
        n_all = len(has_positions)
        if self.n_frames < n_all:
            text = f"{n_all - self.n_frames} of {n_all} frames of '{path}' have no positions and are left out"
            if not self.n_frames:
                raise ReadError(f"no frame of '{path}' has positions ({n_all} frames)")
            warnings.warn(text, TrajvaeWarning, stacklevel=2)

    @property
    def seconds_per_frame(self) -> float:
        """About how long it takes to read a frame."""
        return self.seconds_per_byte * self._file.size / max(self.n_frames, 1)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        with self._file.opened() as file:
            for piece in split_range(frames, size):
                with self._file.reading(file):
                    parts = [self._read_run(file, run, atoms) for run in self._runs(piece)]
                xyz = np.concatenate([p[0] for p in parts]) if len(parts) > 1 else parts[0][0]
                vectors = np.concatenate([p[1] for p in parts])
                boxes = lengths_angles(vectors) if vectors.any() else None
                yield FrameBlock(xyz, boxes, self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        return np.asarray(self._times[as_slice(frames)])

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames in the file itself, where frames without positions count too, shape (t,)."""
        return self._numbers[as_slice(frames)]

    def _runs(self, piece: range) -> Iterator[tuple[int, int, int]]:
        """Yield runs of evenly spaced frames of one layout: the first frame, the number, and the distance in bytes."""
        first, count, distance = piece.start, 1, 0
        for frame in piece[1:]:
            step = int(self._offsets[frame] - self._offsets[frame - piece.step])
            same = self._layouts[frame] is self._layouts[first] and step * (count + 1) <= _MOST_BYTES
            if same and distance in (0, step):
                count, distance = count + 1, step
            else:
                yield first, count, distance
                first, count, distance = frame, 1, 0
        yield first, count, distance

    def _read_run(self, file: int, run: tuple[int, int, int], atoms: Int64) -> tuple[Floats, Floats]:
        """Read a run of evenly spaced frames: positions (t, n, 3) and box vectors (t, 3, 3) in Å."""
        first, count, distance = run
        layout = self._layouts[first]
        data = os.pread(file, (count - 1) * distance + layout.length, int(self._offsets[first]))
        if len(data) < (count - 1) * distance + layout.length:
            raise self._file.changed()
        kind, real = f">f{layout.real}", layout.real
        xyz = np.ndarray((count, self.n_atoms, 3), kind, data, layout.positions, (distance, 3 * real, real))
        taken = xyz if len(atoms) == self.n_atoms and (np.diff(atoms) == 1).all() else xyz[:, atoms]
        out = taken.astype(np.float32)
        out *= np.float32(_NM)
        vectors = np.zeros((count, 3, 3))
        if layout.box >= 0:
            vectors += np.ndarray((count, 3, 3), kind, data, layout.box, (distance, 3 * real, real))
        return out, vectors * _NM


def _scan_headers(number: int, size: int, path: Path) -> tuple[int, Int64, list[_Layout], Float64]:
    """Read the header of every frame.

    Parameters
    ----------
    number : int
        Descriptor of the open file.
    size : int
        Bytes of the file.
    path : Path

    Returns
    -------
    n_atoms : int
    offsets : ndarray of int64, shape (T,)
        Where frames begin.
    layouts : list of _Layout
    times : ndarray, shape (T,)
        In ps.

    Raises
    ------
    ReadError
        The file is cut, or a header is damaged.
    """
    if size < _HEAD.size:
        raise ReadError(f"'{path}' cannot be read: it is empty, damaged or cut")
    by_header: dict[bytes, _Layout] = {}
    layouts: list[_Layout] = []
    offsets: list[int] = []
    file, at, times = BufferedFile(number), 0, bytearray()
    n_atoms = int.from_bytes(file.read(64, 4), "big", signed=True)
    while at < size:
        data = file.read(at, _HEAD.size + 8)
        head = data[:68]  # up to the number of atoms; frames of one layout share these bytes
        layout = by_header.get(head)
        if layout is None:
            layout = by_header[head] = _layout(head, n_atoms, len(offsets), path)
        offsets.append(at)
        layouts.append(layout)
        times += data[_HEAD.size : _HEAD.size + 8].ljust(8, b"\0")
        at += layout.length
        if file.read(at, len(head)) != head:
            continue
        alike = _times_of_alike(number, at, size - at, head, layout.length)
        offsets.extend(range(at, at + len(alike) * layout.length, layout.length))
        layouts.extend([layout] * len(alike))
        times += alike.tobytes()
        at += len(alike) * layout.length
    if at > size:
        raise ReadError(
            f"'{path}' ends within frame {len(offsets) - 1}: the file is cut, or was copied while it was written"
        )
    return n_atoms, np.array(offsets, dtype=np.int64), layouts, _decode_times(times, layouts)


def _times_of_alike(number: int, at: int, left: int, head: bytes, length: int) -> UInt8:
    """Return the bytes of the times (t, 8) of the small frames from byte `at` on that have the same header.

    Parameters
    ----------
    number : int
        Descriptor of the open file.
    at, left : int
        Where the first frame begins, and the bytes from there to the end of the file.
    head : bytes
        Beginning of the header.
    length : int
        Bytes of a frame.
    """
    count = min(left, _COMPARED) // length
    if count < 2 or length < _HEAD.size + 8:
        return np.empty((0, 8), dtype=np.uint8)
    words = np.frombuffer(os.pread(number, count * length, at), dtype=np.uint8)
    words = words[: len(words) // length * length].reshape(-1, length)
    same = (words[:, : len(head)] == np.frombuffer(head, dtype=np.uint8)).all(axis=1)
    return words[: len(same) if same.all() else int(np.argmin(same)), _HEAD.size : _HEAD.size + 8]


def _layout(head: bytes, n_atoms: int, frame: int, path: Path) -> _Layout:
    """Read the sizes in a header, check that they are consistent, and return the layout of the frame."""
    if len(head) < 68 or not head.startswith(_START):
        raise ReadError(f"'{path}' is not a TRR file, or frame {frame} of it is damaged or cut")
    *others, atoms = struct.unpack_from(">11i", head, 24)
    ir, energy, box, virial, pressure, topology, symbols, x, v, f = others
    real = box // 9 or next((s // (3 * max(atoms, 1)) for s in (x, v, f) if s), 4)
    cells, arrays = (box, virial, pressure), (x, v, f)
    fits = all(s in (0, 9 * real) for s in cells) and all(s in (0, 3 * real * atoms) for s in arrays)
    if real not in (4, 8) or atoms != n_atoms or atoms <= 0 or not fits or any((ir, energy, topology, symbols)):
        raise ReadError(f"'{path}' is damaged: the header of frame {frame} does not fit {n_atoms} atoms")
    begin = _HEAD.size + 2 * real
    before = begin + box + virial + pressure
    return _Layout(before + x + v + f, real, begin if box else -1, before, bool(x))


def _decode_times(words: bytearray, layouts: list[_Layout]) -> Float64:
    """Return the times in ps of frames, given eight bytes from the header of each, in single or double precision."""
    real = np.array([layout.real for layout in layouts], dtype=np.int64)
    rows = np.frombuffer(words, dtype=np.uint8).reshape(-1, 8)
    out = np.empty(len(rows))
    for width in (4, 8):
        out[real == width] = np.ascontiguousarray(rows[real == width, :width]).view(f">f{width}")[:, 0]
    return out
