"""TRR files, whose frames are plain numbers behind a header: read as arrays, so that no library trusts a header."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.file_formats.unchanged_file import StableFile
from trajvae.readers.file_formats.unit_cells import lengths_angles
from trajvae.readers.file_formats.window import Window
from trajvae.readers.frames import FrameBlock, as_slice, pieces
from trajvae.typing import Float64, Floats, Int64, UInt8

_NM = 10.0  # nm to Å
_HEAD = struct.Struct(">3i12s13i")  # magic, lengths of a word and the word itself, ten sizes, atoms, step, nre
_START = struct.pack(">3i12s", 1993, 13, 12, b"GMX_trn_file")
_RUN = 2**26  # bytes that are read in one go at most
_LOOKED_AT = 2**17  # bytes in which headers of small frames are compared at once


class _Layout(NamedTuple):
    """Where the parts of a frame stand, in bytes from its beginning; the box's place is -1 where there is none."""

    length: int
    real: int  # bytes of a number
    box: int
    positions: int
    has_positions: bool


class TRRFrames:
    """A TRR file; frames without positions, as GROMACS writes where velocities are saved more often, are left out."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with path.open("rb") as file:
            self._file = StableFile(self.name, file.fileno(), grows=True)
            self.n_atoms, offsets, layouts, times = _scan(file.fileno(), self._file.size, path)
        has = np.array([layout.has_positions for layout in layouts], dtype=np.bool_)
        self._numbers = np.flatnonzero(has).astype(np.int64)
        self._offsets, self._times = offsets[has], times[has]
        self._layouts = [layouts[k] for k in self._numbers.tolist()]
        self.n_frames = len(self._numbers)
        if self.n_frames < len(has):
            text = f"{len(has) - self.n_frames} of {len(has)} frames of '{path}' have no positions and are left out"
            if not self.n_frames:
                raise ReadError(f"no frame of '{path}' has positions ({len(has)} frames)")
            warnings.warn(text, TrajvaeWarning, stacklevel=2)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        with self._file.opened() as file:
            for piece in pieces(frames, size):
                with self._file.piece(file):
                    parts = [self._run(file, run, atoms) for run in self._runs(piece)]
                xyz = np.concatenate([p[0] for p in parts]) if len(parts) > 1 else parts[0][0]
                vectors = np.concatenate([p[1] for p in parts])
                boxes = lengths_angles(vectors) if vectors.any() else None
                yield FrameBlock(xyz, boxes, self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        return np.asarray(self._times[as_slice(frames)])

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames in the file itself, which counts those without positions too, shape (t,)."""
        return self._numbers[as_slice(frames)]

    def _runs(self, piece: range) -> Iterator[tuple[int, int, int]]:
        """Cut frames into runs of one layout that stand evenly spaced in the file: first, count, distance in bytes."""
        first, count, apart = piece.start, 1, 0
        for frame in piece[1:]:
            step = int(self._offsets[frame] - self._offsets[frame - piece.step])
            same = self._layouts[frame] is self._layouts[first] and step * (count + 1) <= _RUN
            if same and apart in (0, step):
                count, apart = count + 1, step
            else:
                yield first, count, apart
                first, count, apart = frame, 1, 0
        yield first, count, apart

    def _run(self, file: int, run: tuple[int, int, int], atoms: Int64) -> tuple[Floats, Floats]:
        """Read frames that stand evenly spaced: positions (t, n, 3) and box vectors (t, 3, 3) in Å."""
        first, count, apart = run
        layout = self._layouts[first]
        data = os.pread(file, (count - 1) * apart + layout.length, int(self._offsets[first]))
        if len(data) < (count - 1) * apart + layout.length:
            raise self._file.changed()
        kind, real = f">f{layout.real}", layout.real
        xyz = np.ndarray((count, self.n_atoms, 3), kind, data, layout.positions, (apart, 3 * real, real))
        taken = xyz if len(atoms) == self.n_atoms and (np.diff(atoms) == 1).all() else xyz[:, atoms]
        out = taken.astype(np.float32)
        out *= np.float32(_NM)
        vectors = np.zeros((count, 3, 3))
        if layout.box >= 0:
            vectors += np.ndarray((count, 3, 3), kind, data, layout.box, (apart, 3 * real, real))
        return out, vectors * _NM


def _scan(number: int, size: int, path: Path) -> tuple[int, Int64, list[_Layout], Float64]:
    """Look at the header of every frame: number of atoms, where frames begin, how each is laid out, times in ps.

    Raises
    ------
    ReadError
        The file is cut, or a header is damaged.
    """
    if size < _HEAD.size:
        raise ReadError(f"'{path}' cannot be read: it is empty, damaged or cut")
    known: dict[bytes, _Layout] = {}
    layouts: list[_Layout] = []
    offsets: list[int] = []
    window, at, times = Window(number), 0, bytearray()
    n_atoms = int.from_bytes(window.read(64, 4), "big", signed=True)
    while at < size:
        found = window.read(at, _HEAD.size + 8)
        head = found[:68]  # up to the number of atoms; frames of one kind share these bytes
        layout = known.get(head)
        if layout is None:
            layout = known[head] = _layout(head, n_atoms, len(offsets), path)
        offsets.append(at)
        layouts.append(layout)
        times += found[_HEAD.size : _HEAD.size + 8].ljust(8, b"\0")
        at += layout.length
        if window.read(at, len(head)) != head:
            continue
        alike = _alike(number, at, size - at, head, layout.length)
        offsets.extend(range(at, at + len(alike) * layout.length, layout.length))
        layouts.extend([layout] * len(alike))
        times += alike.tobytes()
        at += len(alike) * layout.length
    if at > size:
        raise ReadError(
            f"'{path}' ends within frame {len(offsets) - 1}: the file is cut, or was copied while it was written"
        )
    return n_atoms, np.array(offsets, dtype=np.int64), layouts, _times(times, layouts)


def _alike(number: int, at: int, left: int, head: bytes, length: int) -> UInt8:
    """Return the eight bytes of the time (t, 8) of each of the small frames from here on that have this very header."""
    count = min(left, _LOOKED_AT) // length
    if count < 2 or length < _HEAD.size + 8:
        return np.empty((0, 8), dtype=np.uint8)
    words = np.frombuffer(os.pread(number, count * length, at), dtype=np.uint8)
    words = words[: len(words) // length * length].reshape(-1, length)
    same = (words[:, : len(head)] == np.frombuffer(head, dtype=np.uint8)).all(axis=1)
    return words[: len(same) if same.all() else int(np.argmin(same)), _HEAD.size : _HEAD.size + 8]


def _layout(head: bytes, n_atoms: int, frame: int, path: Path) -> _Layout:
    """Read the sizes in a header and check that they fit each other."""
    if len(head) < 68 or not head.startswith(_START):
        raise ReadError(f"'{path}' is no TRR file, or frame {frame} of it is damaged or cut")
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


def _times(words: bytearray, layouts: list[_Layout]) -> Float64:
    """Decode the times in the headers, of which each is given by eight bytes, in ps."""
    real = np.array([layout.real for layout in layouts], dtype=np.int64)
    found = np.frombuffer(words, dtype=np.uint8).reshape(-1, 8)
    out = np.empty(len(found))
    for width in (4, 8):
        out[real == width] = np.ascontiguousarray(found[real == width, :width]).view(f">f{width}")[:, 0]
    return out
