"""The frames that a model is trained on: in memory, or read from their files as often as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np

from trajvae.lagged_pairs import FrameTimes
from trajvae.readers.data_set import Chunk, Frames, join_chunks
from trajvae.runtime.progress import count_rows
from trajvae.typing import Float64, Floats, Int64

_BYTES = {"cartesian": 50, "internal": 110, "auto": 110}  # a coordinate that training in memory takes
_MOST = 50_000  # frames that a streamed training's alignment and features are fitted to


class FrameSource(Protocol):
    """Provide frames (T, N, D) in Å, and the place that each comes from.

    Attributes
    ----------
    streamed : bool
        Whether frames are read anew every time.
    """

    streamed: bool

    @property
    def names(self) -> list[str]:
        """Names of the files; none where frames come from nowhere in particular."""
        ...

    @property
    def n_frames(self) -> int:
        """Number of frames, T."""
        ...

    @property
    def file(self) -> Int64:
        """Number of each frame's file, (T,)."""
        ...

    @property
    def frame(self) -> Int64:
        """Number of each frame in its file, (T,)."""
        ...

    def times(self) -> FrameTimes:
        """Return the trajectory, the number and the time of each frame."""
        ...

    def fitting_frames(self) -> tuple[Int64, Floats]:
        """Return the indices and the frames that alignment and features are fitted to: all, or evenly spread ones."""
        ...

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Yield all frames, at most `size` at a time; by default in the chunks that their files are read in."""
        ...


def open_frame_source(frames: Frames, features: str, memory: float) -> FrameSource:
    """Return frames as training takes them: read at once where they fit into memory (bytes), else streamed."""
    a_frame = frames.topology.n_atoms * len(frames.axes) * _BYTES.get(features, max(_BYTES.values()))
    if frames.n_frames * a_frame <= memory:
        return InMemoryFrames.read(frames)
    return StreamedFrames(frames, int(min(_MOST, memory / (4 * a_frame))))


def _with_progress(chunks: Iterator[Chunk], total: int) -> Iterator[Chunk]:
    """Chunks as a stage of the work: whoever asks for all frames before or after training takes a while."""
    return count_rows(chunks, lambda c: c.file, "going through the frames", "frame", total)


def untimed_files(frames: Frames) -> frozenset[int]:
    """Return the numbers of the files of a data set whose times are not known."""
    return frozenset(k for k in range(len(frames.files)) if not frames.timed(k))


def _times(file: Int64, frame: Int64, time: Float64, untimed: frozenset[int], names: Sequence[str]) -> FrameTimes:
    """Times of frames, which are not numbers throughout files that have none."""
    known = ~np.isin(file, list(untimed))
    return FrameTimes(file, frame, np.where(known, time, np.nan) if known.any() else None, names)


@dataclass(frozen=True, eq=False)
class InMemoryFrames:
    """Provide frames that were read already.

    Attributes
    ----------
    chunk : Chunk
        All of them.
    names : list of str
        Names of the files.
    lengths : sequence of int
        Lengths of the chunks in which they were read; all in one by default.
    untimed : frozenset of int
        Numbers of the files whose times are not known.
    """

    chunk: Chunk
    names: list[str] = field(default_factory=list)
    lengths: Sequence[int] = ()
    untimed: frozenset[int] = frozenset()
    streamed = False

    @classmethod
    def of(cls, frames: Frames, chunk: Chunk) -> InMemoryFrames:
        """Return frames of a data set that were read already."""
        return cls(chunk, frames.names, untimed=untimed_files(frames))

    @classmethod
    def read(cls, frames: Frames) -> InMemoryFrames:
        """Read all frames of a data set."""
        pieces = list(count_rows(frames.chunks(), lambda c: c.file, "reading", "frame", frames.n_frames))
        lengths = [len(piece.file) for piece in pieces]
        return cls(join_chunks(pieces), frames.names, lengths, untimed_files(frames))

    @property
    def n_frames(self) -> int:
        """Number of frames, T."""
        return len(self.chunk.positions)

    @property
    def file(self) -> Int64:
        """Number of each frame's file."""
        return self.chunk.file

    @property
    def frame(self) -> Int64:
        """Number of each frame in its file."""
        return self.chunk.frame

    def times(self) -> FrameTimes:
        """Return the trajectory, the number and the time of each frame."""
        return _times(self.file, self.frame, self.chunk.time, self.untimed, self.names)

    def fitting_frames(self) -> tuple[Int64, Floats]:
        """Return the indices of all frames, and the frames."""
        return np.arange(len(self.chunk.positions)), self.chunk.positions

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Yield all frames, at most `size` at a time; by default in the chunks in which they were read."""
        if size is None:
            ends = np.cumsum(self.lengths or [self.n_frames])
            yield from (self.chunk[first:last] for first, last in pairwise([0, *ends.tolist()]))
        else:
            pieces = (self.chunk[i : i + size] for i in range(0, self.n_frames, size))
            yield from _with_progress(pieces, self.n_frames)


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
        self.names, self.n_frames = frames.names, frames.n_frames
        self.file, self.frame = frames.origins()
        self._some: Floats | None = None

    def times(self) -> FrameTimes:
        """Return the trajectory, the number and the time of each frame."""
        frames = self.frames
        return _times(self.file, self.frame, frames.times(self.file, self.frame), untimed_files(frames), self.names)

    def fitting_frames(self) -> tuple[Int64, Floats]:
        """Return the indices of evenly spread frames, and the frames.

        They are read once, since that may take as long as to read all.
        """
        step = -(-len(self.file) // self.most)
        if self._some is None:
            self._some = self.frames.every(step).read().positions
        return np.arange(0, len(self.file), step), self._some

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Yield all frames, at most `size` at a time; by default in chunks near 16 MB."""
        chunks = self.frames.chunks(size)
        return chunks if size is None else _with_progress(chunks, self.n_frames)
