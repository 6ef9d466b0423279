"""Ranges of frames of trajectory files that another process reads by itself, as one pass through the files would."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from trajvae.cluster.places import WorkPlace
from trajvae.errors import ClusterError, TrajvaeError, TrajvaeWarning
from trajvae.readers.consecutive_frames import ConsecutiveFrames
from trajvae.readers.data_set import AtomPlan, Chunk, Frames, ReadingPass, chunk_length, join_chunks
from trajvae.readers.frame_file import FrameFile, split_range
from trajvae.readers.opening import open_any
from trajvae.readers.reading import Reading
from trajvae.runtime.progress import count_rows
from trajvae.typing import Bool, Float64, Int64


class FrameRange(NamedTuple):
    """Hold some frames of a file, as many as a chunk of `Frames.chunks` has.

    Attributes
    ----------
    file : int
        Number of the file.
    rows : range
        Numbers of its frames.
    """

    file: int
    rows: range


class ReadRange(NamedTuple):
    """Hold the frames of a range, and what was warned of while they were read.

    Attributes
    ----------
    chunk : Chunk
        Of which `has_predecessor` says nothing: the frames before are not known where it is read.
    warnings : tuple of str
    """

    chunk: Chunk
    warnings: tuple[str, ...]


class RangeReader:
    """Read ranges of frames of files that are opened anew in the process that reads; several threads may do so.

    Parameters
    ----------
    frames : Frames
        The data set as this process opened it, which decides what is read and how molecules are made whole.
    reading : Reading
        How it was opened.
    """

    def __init__(self, frames: Frames, reading: Reading) -> None:
        self._frames = dataclasses.replace(frames, files=[], processes=None)
        self._paths = [os.path.abspath(name) for name in frames.names]
        self._topologies = [os.path.abspath(path) for path in reading.topologies]
        self._format = reading.format
        self._counts = [(f.n_frames, f.n_atoms) for f in frames.files]
        self._begin()

    def _begin(self) -> None:
        self._lock, self._opened = threading.Lock(), cast(Frames | None, None)

    def __getstate__(self) -> dict[str, object]:
        """Return what another process needs to open the files itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_opened")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._begin()

    def ranges(self) -> Iterator[FrameRange]:
        """Yield the ranges of all frames, in order: the chunks that `Frames.chunks` cuts them into."""
        for number, (rows, plan) in enumerate(zip(self._frames.ranges, self._frames.plans, strict=True)):
            for piece in split_range(rows, chunk_length(plan)):
                yield FrameRange(number, piece)

    def read(self, which: FrameRange) -> ReadRange:
        """Read a range.

        Raises
        ------
        ReadError
            See `Frames.chunks`.
        ClusterError
            This process cannot open the files, or they are others.
        """
        with self._lock, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", TrajvaeWarning)
            if self._opened is None:
                self._opened = dataclasses.replace(self._frames, files=self._open())
                said.clear()  # the process that opened the files first has said that
            file, plan = self._opened.files[which.file], self._opened.plans[which.file]
            (block,) = file.blocks(which.rows, plan.atoms, len(which.rows))
            numbers = np.asarray(which.rows, dtype=np.int64)
            chunk = _ApartPass(self._opened).chunk(block, numbers, which.file)
        return ReadRange(chunk, tuple(str(w.message) for w in said if issubclass(w.category, TrajvaeWarning)))

    def _open(self) -> list[FrameFile]:
        """Open the files by their absolute paths."""
        needed = "workers must find the same files under the same paths as the process that sent the work"
        try:
            files = [item.file for item in open_any(self._paths, self._topologies, self._format)]
        except TrajvaeError as error:
            raise ClusterError(f"on a worker: {error}; {needed}") from error
        for file, (n_frames, n_atoms) in zip(files, self._counts, strict=True):
            if file.n_frames < n_frames or file.n_atoms != n_atoms:  # a simulation that still runs may have added some
                found = f"has {file.n_frames} frames of {file.n_atoms} atoms, expected {n_frames} of {n_atoms}"
                raise ClusterError(f"on a worker '{file.name}' {found}; {needed}")
        return files


class RangesInOrder:
    """Find what joins ranges that were read each by itself.

    Parameters
    ----------
    names : list of str
        Names of the files.
    """

    def __init__(self, names: list[str]) -> None:
        self._consecutive = ConsecutiveFrames(names)

    def has_predecessor(self, file: Int64, frame: Int64, time: Float64, said: Sequence[str]) -> Bool:
        """Return which frames of the next range follow the one before them, as `Chunk` has it; repeat its warnings."""
        for text in said:
            warnings.warn(text, TrajvaeWarning, stacklevel=2)
        return self._consecutive.has_predecessor(int(file[0]), frame, time)


def read_all(frames: Frames, place: WorkPlace | None, reader: RangeReader | None) -> Chunk:
    """Return all frames of a data set in one chunk, decoded where they are read; see `reader_at`.

    Raises
    ------
    ReadError
        See `Frames.chunks`.
    """
    if place is None or reader is None:
        return frames.read()
    in_order, parts = RangesInOrder(frames.names), []
    with contextlib.closing(place.map(reader.read, reader.ranges())) as found:
        for chunk, said in count_rows(found, lambda r: r.chunk.file, "reading", "frame", frames.n_frames):
            follows = in_order.has_predecessor(chunk.file, chunk.frame, chunk.time, said)
            parts.append(dataclasses.replace(chunk, has_predecessor=follows))
    return join_chunks(parts)


def reader_at(place: WorkPlace | None, frames: object, source: object, reading: Reading | None) -> RangeReader | None:
    """Return what reads the frames of a data set at the place where they are worked on; None where this process reads.

    This process reads where it does the work, and elsewhere what is no file, and complexes whose molecules are followed
    from frame to frame over a periodic boundary: their chunks are sent.

    Parameters
    ----------
    place : WorkPlace, optional
    frames : Frames, or another source of chunks
    source : object
        What it was opened from.
    reading : Reading, optional
        How it was opened.
    """
    if place is None or not place.apart:
        return None
    if not isinstance(frames, Frames) or any(map(_follows_molecules, frames.plans)):
        return None
    given = [source] if isinstance(source, str | Path) else source
    if not isinstance(given, Sequence) or not all(isinstance(path, str | Path) for path in given):
        return None
    return RangeReader(frames, reading or Reading())


def _follows_molecules(plan: AtomPlan) -> bool:
    """Return whether images of molecules may depend on the frame before."""
    return plan.unwrapper is not None and plan.unwrapper.arrangement is not None


class _ApartPass(ReadingPass):
    """Prepare a chunk without the frames before it."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames)
        self._consecutive = _NoneBefore(frames.names)


class _NoneBefore(ConsecutiveFrames):
    """Know nothing of the frames before."""

    def has_predecessor(self, file: int, frame: Int64, time: Float64) -> Bool:
        """Return False for every frame."""
        return np.zeros(len(frame), dtype=bool)
