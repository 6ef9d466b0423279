"""Define what every trajectory file offers, and read frames from an array in memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from trajvae.typing import Float64, Floats, Int64


class FrameBlock(NamedTuple):
    """Hold some frames of a file.

    Attributes
    ----------
    positions : ndarray, shape (t, n, D)
        In Å.
    boxes : ndarray of float64, shape (t, 6), optional
        Lengths in Å and angles in degrees; zeros for a frame without a box, None where no frame has one.
    times : ndarray of float64, shape (t,)
        In ps.
    """

    positions: Floats
    boxes: Float64 | None
    times: Float64

    def rows(self, which: Int64) -> FrameBlock:
        """Return some of the frames, given by their rows."""
        return FrameBlock(self.positions[which], None if self.boxes is None else self.boxes[which], self.times[which])


class FrameFile(Protocol):
    """Describe a run of frames that can be read: a file, or an object that holds frames."""

    @property
    def name(self) -> str:
        """Name of the file, for messages."""
        ...

    @property
    def n_frames(self) -> int:
        """Number of frames that have positions."""
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
        """Whether a frame can be read without reading the frames before it."""
        ...

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        ...

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        ...

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames in the file itself, where frames without positions count too, shape (t,)."""
        ...


def sample_range(file: FrameFile, frames: range, most: int) -> range:
    """Return at most `most` of some frames: evenly spaced, or the first ones of a file that is not seekable."""
    return frames[:: max(1, (len(frames) - 1) // (most - 1))][:most] if file.seekable else frames[:most]


def split_range(frames: range, size: int) -> Iterator[range]:
    """Yield the parts of a range, of at most `size` frames each."""
    for k in range(0, len(frames), size):
        yield frames[k : k + size]


def as_slice(frames: range) -> slice:
    """Return a range as a slice of the rows of an array."""
    return slice(frames.start, frames.stop, frames.step)


def range_to_array(frames: range) -> Int64:
    """Return the numbers of a range as an array."""
    return np.arange(frames.start, frames.stop, frames.step, dtype=np.int64)


class Unfiltered:
    """Number the frames of a file in which all frames have positions."""

    def frame_numbers(self, frames: range) -> Int64:
        """Return the numbers of frames in the file itself, shape (t,)."""
        return range_to_array(frames)


def _release_pages(array: Floats) -> None:
    """Release the memory of a mapped file that was read, where a user's array is mapped."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)


@dataclass
class ArrayFrames(Unfiltered):
    """Give the frames of an array in memory.

    Attributes
    ----------
    name : str
        For messages.
    positions : ndarray, shape (T, N, D)
        In Å.
    boxes : ndarray, shape (T, 6), optional
    clock : ndarray, shape (T,), optional
        Times in ps; by default the numbers of the frames.
    """

    name: str
    positions: Floats
    boxes: Float64 | None = None
    clock: Float64 | None = None
    precision: float = 0.0
    seekable: bool = True

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.positions)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[1])

    @property
    def timed(self) -> bool:
        """Whether there are times: the numbers of the frames, which libraries give where there are none, are none."""
        return self.clock is not None and not np.array_equal(self.clock, np.arange(self.n_frames))

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        for piece in split_range(frames, size):
            part = self.positions[as_slice(piece)][:, atoms]
            boxes = None if self.boxes is None else self.boxes[as_slice(piece)]
            yield FrameBlock(np.asarray(part), boxes, self.times(piece))
            _release_pages(self.positions)

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        if self.clock is None:
            return range_to_array(frames).astype(np.float64)
        return np.asarray(self.clock[as_slice(frames)], dtype=np.float64)
