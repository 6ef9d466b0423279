"""The frames that a model is trained on: in memory, or read as often as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trajvae.readers.data_set import Chunk, Frames
from trajvae.runtime.progress import measured
from trajvae.typing import Floats, Int64


class FrameSource(Protocol):
    """Provide frames (T, N, D) in Å, and the place that each comes from.

    Attributes
    ----------
    file, frame : ndarray of int64, shape (T,)
    streamed : bool
        Whether frames are read anew every time.
    """

    streamed: bool

    @property
    def file(self) -> Int64:
        """Number of each frame's file."""
        ...

    @property
    def frame(self) -> Int64:
        """Number of each frame in its file."""
        ...

    def fitting_frames(self) -> tuple[Int64, Floats]:
        """Return the indices and the frames that alignment and features are fitted to: all, or evenly spread ones."""
        ...

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield all frames, at most `size` at a time."""
        ...


def _told(chunks: Iterator[Chunk], total: int) -> Iterator[Chunk]:
    """Chunks as a stage of the work: whoever asks for all frames before or after training takes a while."""
    return measured(chunks, lambda c: c.file, "going through the frames", "frame", total)


@dataclass(frozen=True, eq=False)
class InMemoryFrames:
    """Provide frames that were read already."""

    chunk: Chunk
    streamed = False

    @property
    def file(self) -> Int64:
        """Number of each frame's file."""
        return self.chunk.file

    @property
    def frame(self) -> Int64:
        """Number of each frame in its file."""
        return self.chunk.frame

    def fitting_frames(self) -> tuple[Int64, Floats]:
        """Return the indices of all frames, and the frames."""
        return np.arange(len(self.chunk.positions)), self.chunk.positions

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield all frames, at most `size` at a time."""
        c, starts = self.chunk, range(0, len(self.chunk.positions), size)
        yield from _told((c[i : i + size] for i in starts), len(c.positions))


class StreamedFrames:
    """Provide frames that do not fit into memory.

    Parameters
    ----------
    frames : Frames
    most : int
        Frames that may be held at once.
    """

    streamed = True

    def __init__(self, frames: Frames, most: int) -> None:
        self.frames, self.most = frames, max(most, 5)
        self.file, self.frame = frames.origins()
        self._some: Floats | None = None

    def fitting_frames(self) -> tuple[Int64, Floats]:
        """Return the indices of evenly spread frames, and the frames.

        They are read once, since that may take as long as to read all.
        """
        step = -(-len(self.file) // self.most)
        if self._some is None:
            self._some = self.frames.every(step).read().positions
        return np.arange(0, len(self.file), step), self._some

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield all frames, at most `size` at a time."""
        return _told(self.frames.chunks(size), len(self.file))
