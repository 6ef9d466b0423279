"""Read H5MD files: positions of one group of particles, with their times and boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trajvae.readers.failures import as_read_error
from trajvae.readers.file_formats.unit_cells import lengths_angles
from trajvae.readers.frame_file import FrameBlock, Unfiltered, as_slice, split_range
from trajvae.store import H5MDParticles, describe_h5md, read_h5md
from trajvae.typing import Float64, Int64


class H5MDFrames(Unfiltered):
    """Read an H5MD file by its specification."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path
        with as_read_error(f"'{path}' cannot be read"):
            self._particles: H5MDParticles = describe_h5md(path)
        self.n_frames, self.n_atoms = self._particles.n_frames, self._particles.n_atoms
        self.timed = self._particles.timed

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        for piece in split_range(frames, size):
            with as_read_error(f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"):
                xyz = read_h5md(self._path, self._particles, piece, atoms)
            yield FrameBlock(xyz, self._boxes(piece), self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,)."""
        return self._particles.times[as_slice(frames)]

    def _boxes(self, piece: range) -> Float64 | None:
        """Return the boxes of frames (t, 6), or None where the file has none."""
        edges = self._particles.edges
        if edges is None:
            return None
        vectors = edges[as_slice(piece)] if len(edges) > 1 else np.repeat(edges, len(piece), axis=0)
        return lengths_angles(vectors)
