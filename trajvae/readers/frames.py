"""Runs of frames: what every reader of a file format gives, and frames that stand in an array."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

NM = 10.0  # nm to Å


class FrameBlock(NamedTuple):
    """Some frames as they were read.

    Attributes
    ----------
    positions : ndarray, shape (t, n, D)
        Å.
    boxes : ndarray, shape (t, 6), optional
        Lengths in Å and angles in degrees; zeros where a frame has no box.
    times : ndarray, shape (t,)
        ps.
    """

    positions: Array
    boxes: Float64 | None
    times: Float64

    def rows(self, which: Int64) -> FrameBlock:
        """Return some of the frames."""
        return FrameBlock(self.positions[which], None if self.boxes is None else self.boxes[which], self.times[which])


class FrameFile(Protocol):
    """One run of frames: a file, or an object that holds frames."""

    @property
    def name(self) -> str:
        """Name of the file, for messages."""
        ...

    @property
    def n_frames(self) -> int:
        """Number of frames that have positions."""
        ...

    @property
    def n_stored(self) -> int:
        """Number of frames, those without positions among them."""
        ...

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        ...

    @property
    def precision(self) -> float:
        """Resolution of stored coordinates in Å, 0 where they are floating-point numbers."""
        ...

    @property
    def seekable(self) -> bool:
        """Whether a frame is found without reading those before it."""
        ...

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        ...

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,), as the file gives them."""
        ...

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames among all stored ones, (t,)."""
        ...


class EveryFrame:
    """Part of a reader whose frames all have positions."""

    n_frames: int

    @property
    def n_stored(self) -> int:
        """Number of frames."""
        return self.n_frames

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames, (t,): their own."""
        return np.asarray(frames, dtype=np.int64)


def a_few(file: FrameFile, frames: range, most: int) -> range:
    """Return at most so many of the frames: evenly spread, or the first where seeking costs as much as reading all."""
    return frames[:: max(1, (len(frames) - 1) // (most - 1))][:most] if file.seekable else frames[:most]


def pieces(frames: range, size: int) -> Iterator[range]:
    """Cut frames into pieces of at most `size`."""
    for k in range(0, len(frames), size):
        yield frames[k : k + size]


def lengths_angles(vectors: NDArray[np.floating[Any]]) -> Float64:
    """Return lengths and angles in degrees (T, 6) of box vectors (T, 3, 3), the rows; zeros where there is no box."""
    v = vectors.astype(np.float64)
    lengths = np.linalg.norm(v, axis=2)
    safe = np.where(lengths > 0, lengths, 1.0)
    unit = v / safe[:, :, None]
    cosines = np.stack([(unit[:, i] * unit[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))], axis=1)


@dataclass
class ArrayFrames:
    """Frames that stand in an array, memory-mapped or not; without times they are 1 ps apart, as in MDAnalysis."""

    name: str
    positions: Array
    boxes: Float64 | None = None
    precision: float = 0.0
    time: Float64 | None = None
    seekable: bool = True

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.positions)

    @property
    def n_stored(self) -> int:
        """Number of frames."""
        return self.n_frames

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[1])

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,)."""
        rows = self.frame_numbers(frames)
        return rows.astype(np.float64) if self.time is None else np.asarray(self.time[rows], dtype=np.float64)

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames, (t,): their own."""
        return np.asarray(frames, dtype=np.int64)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        for piece in pieces(frames, size):
            part = self.positions[piece.start : piece.stop : piece.step][:, atoms]
            boxes = None if self.boxes is None else self.boxes[piece.start : piece.stop : piece.step]
            yield FrameBlock(np.asarray(part), boxes, self.times(piece))
            _forget(self.positions)


def _forget(array: Array) -> None:
    """Leave the pages of a mapped file that were looked at to the system's cache."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)
