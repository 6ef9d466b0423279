"""TRR files, whose frames are plain numbers behind a header: read as arrays, so that no library trusts a header."""

from __future__ import annotations

import mmap
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.cells import lengths_angles
from trajvae.readers.frames import Array, Float64, FrameBlock, Int64, as_slice, pieces

_NM = 10.0  # nm to Å
_HEAD = struct.Struct(">3i12s13i")  # magic, lengths of a word and the word itself, ten sizes, atoms, step, nre
_START = struct.pack(">3i12s", 1993, 13, 12, b"GMX_trn_file")
_RUN = 2**26  # bytes that are read in one go at most


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
        self.n_atoms, offsets, layouts = _scan(path)
        has = np.array([layout.has_positions for layout in layouts], dtype=np.bool_)
        self._numbers = np.flatnonzero(has).astype(np.int64)
        self._offsets = offsets[has]
        self._layouts = [layouts[k] for k in self._numbers.tolist()]
        self._times = _times(path, self._offsets, self._layouts)
        self.n_frames = len(self._numbers)
        if self.n_frames < len(has):
            text = f"{len(has) - self.n_frames} of {len(has)} frames of '{path}' have no positions and are left out"
            if not self.n_frames:
                raise ReadError(f"no frame of '{path}' has positions ({len(has)} frames)")
            warnings.warn(text, TrajvaeWarning, stacklevel=2)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        with open(self.name, "rb") as file:
            for piece in pieces(frames, size):
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

    def _run(self, file: IO[bytes], run: tuple[int, int, int], atoms: Int64) -> tuple[Array, Array]:
        """Read frames that stand evenly spaced: positions (t, n, 3) and box vectors (t, 3, 3) in Å."""
        first, count, apart = run
        layout = self._layouts[first]
        file.seek(int(self._offsets[first]))
        data = file.read((count - 1) * apart + layout.length)
        if len(data) < (count - 1) * apart + layout.length:
            raise ReadError(f"'{self.name}' ends within frame {first}: it was changed while it was read")
        kind, real = f">f{layout.real}", layout.real
        xyz = np.ndarray((count, self.n_atoms, 3), kind, data, layout.positions, (apart, 3 * real, real))
        taken = xyz if len(atoms) == self.n_atoms and (np.diff(atoms) == 1).all() else xyz[:, atoms]
        out = taken.astype(np.float32)
        out *= np.float32(_NM)
        vectors = np.zeros((count, 3, 3))
        if layout.box >= 0:
            vectors += np.ndarray((count, 3, 3), kind, data, layout.box, (apart, 3 * real, real))
        return out, vectors * _NM


def _scan(path: Path) -> tuple[int, Int64, list[_Layout]]:
    """Look at the header of every frame: number of atoms, where frames begin, and how each is laid out.

    Raises
    ------
    ReadError
        The file is cut, or a header is damaged.
    """
    size = path.stat().st_size
    if size < _HEAD.size:
        raise ReadError(f"'{path}' cannot be read: it is empty, damaged or cut")
    known: dict[bytes, _Layout] = {}
    layouts: list[_Layout] = []
    offsets: list[int] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        n_atoms, at = struct.unpack_from(">i", view, 64)[0], 0
        while at < size:
            head = view[at : at + 68]  # up to the number of atoms; frames of one kind share these bytes
            layout = known.get(head)
            if layout is None:
                layout = known[head] = _layout(head, n_atoms, len(offsets), path)
            offsets.append(at)
            layouts.append(layout)
            at += layout.length
    if at > size:
        raise ReadError(
            f"'{path}' ends within frame {len(offsets) - 1}: the file is cut, or was copied while it was written"
        )
    return n_atoms, np.array(offsets, dtype=np.int64), layouts


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


def _times(path: Path, offsets: Int64, layouts: list[_Layout]) -> Float64:
    """Gather the times in the headers, in ps."""
    words = np.memmap(path, dtype=np.uint8, mode="r")
    real = np.array([layout.real for layout in layouts], dtype=np.int64)
    out = np.empty(len(offsets))
    for width in (4, 8):
        some = real == width
        at: NDArray[np.int64] = offsets[some][:, None] + _HEAD.size + np.arange(width)
        out[some] = np.ascontiguousarray(words[at]).view(f">f{width}")[:, 0]
    return out
