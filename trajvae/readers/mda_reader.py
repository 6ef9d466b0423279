"""Formats without a chunked reader, and trajectories with transformations: through MDAnalysis' own readers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.frames import EveryFrame, Float64, FrameBlock, Int64, pieces
from trajvae.readers.library import reading


class ReaderFrames(EveryFrame):
    """A reader of MDAnalysis, which gives one frame after the other."""

    precision = 0.0
    seekable = True

    def __init__(self, reader: Any, name: str) -> None:
        self.name = name
        self._reader = reader
        self.n_frames, self.n_atoms = int(reader.n_frames), int(reader.n_atoms)
        self._times = np.full(self.n_frames, np.nan)

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,); frames that were not read before are read."""
        missing = [frame for frame in frames if np.isnan(self._times[frame])]
        for frame in missing:
            self._step(frame)
        return np.asarray(self._times[list(frames)])

    def _step(self, frame: int) -> Any:
        """The time step of a frame."""
        with reading(f"'{self.name}' cannot be read at frame {frame}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the format has no times
            step = self._reader[frame]
            self._times[frame] = step.time
        return step

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        for piece in pieces(frames, size):
            xyz = np.empty((len(piece), len(atoms), 3), dtype=np.float32)
            boxes = np.zeros((len(piece), 6))
            for k, frame in enumerate(piece):
                step = self._step(frame)
                if not step.has_positions:
                    raise ReadError(
                        f"frame {frame} of '{self.name}' has no positions: leave it out with --start, --stop or --step"
                    )
                with reading(f"'{self.name}' cannot be read at frame {frame}"):
                    xyz[k] = step.positions[atoms]
                    boxes[k] = 0.0 if step.dimensions is None else step.dimensions
            yield FrameBlock(xyz, boxes if boxes[:, :3].any() else None, self._times[list(piece)])
