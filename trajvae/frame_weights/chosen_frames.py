"""Frames that were read already, some of a data set: whose weights `read_weights` finds by their times or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trajvae.frame_weights.matching import NamedFile
from trajvae.readers.data_set import Chunk, Frames
from trajvae.typing import Float64, Int64


@dataclass(frozen=True, eq=False)
class ChosenFrames:
    """Describe some frames of a data set, as analyses choose them when they run.

    Attributes
    ----------
    frames : Frames
        The data set.
    chunk : Chunk
        The frames that were chosen.
    """

    frames: Frames
    chunk: Chunk

    @property
    def files(self) -> Sequence[NamedFile]:
        """The trajectories of the data set."""
        return self.frames.files

    def origins(self) -> tuple[Int64, Int64]:
        """Return the number of the file, and of the frame in it, of every chosen frame, each (T,)."""
        return self.chunk.file, self.chunk.frame

    def timed(self, file: int) -> bool:
        """Return whether a file has times."""
        return self.frames.timed(file)

    def times(self, file: Int64, frame: Int64) -> Float64:
        """Return the times of some frames in ps."""
        return self.frames.times(file, frame)
