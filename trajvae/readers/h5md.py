"""H5MD files as runs of frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trajvae.readers.frames import EveryFrame, Float64, FrameBlock, Int64, lengths_angles, pieces
from trajvae.store.h5md_file import open_h5md, read_h5md


class H5MDFrames(EveryFrame):
    """An H5MD file."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        self.name, self._source = str(path), open_h5md(path)
        self.n_frames, self.n_atoms = self._source.shape[:2]

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,)."""
        return np.asarray(self._source.times[np.asarray(frames, dtype=np.int64)])

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        parts = list(pieces(frames, size))
        for piece, (xyz, vectors) in zip(parts, read_h5md(self._source, parts, atoms), strict=True):
            yield FrameBlock(xyz, None if vectors is None else lengths_angles(vectors), self.times(piece))
