"""Read a few frames of each file before all are read, to find boxes, units, bonds and contacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trajvae.readers.frame_file import FrameFile, sample_range
from trajvae.readers.plausibility import FARTHEST, is_box
from trajvae.typing import Float64, Floats, Int64

FRAMES_PER_FILE = 3


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """Hold one sampled frame.

    Attributes
    ----------
    file : int
        Number of its file.
    frame : int
        Number of the frame in it.
    positions : ndarray, shape (n, D)
        In Å.
    box : ndarray, shape (6,), optional
        Lengths and angles in Å and degrees; None where the frame has no possible box.
    """

    file: int
    frame: int
    positions: Floats
    box: Float64 | None

    def with_atoms(self, atoms: Int64) -> SampledFrame:
        """Return the frame with some of its atoms only, given by their places in it."""
        return replace(self, positions=self.positions[atoms])


def read_samples(
    files: Sequence[FrameFile], ranges: Sequence[range], atoms: Int64, most: int = FRAMES_PER_FILE
) -> list[SampledFrame]:
    """Read a few frames of every file, and leave out frames with numbers that cannot be positions.

    Parameters
    ----------
    files : sequence of FrameFile
    ranges : sequence of range
        Selected frames of each file.
    atoms : ndarray of int64, shape (n,)
        Numbers of the atoms to read.
    most : int
        Most frames of the first file; of every other file at most three are read.
    """
    out: list[SampledFrame] = []
    for number, (file, frames) in enumerate(zip(files, ranges, strict=True)):
        sample = sample_range(file, frames, FRAMES_PER_FILE if out else most)
        blocks = file.blocks(sample, atoms, 1) if len(sample) else ()
        for frame, block in zip(sample, blocks, strict=True):
            if np.abs(block.positions).max(initial=0.0) < FARTHEST:  # False for numbers that are not finite
                out.append(SampledFrame(number, frame, block.positions[0], _box(block.boxes, file.n_atoms)))
    return out


def _box(boxes: Float64 | None, n_atoms: int) -> Float64 | None:
    """Return the first of some boxes, or None if the frame has no box or an impossible one."""
    if boxes is None or not is_box(boxes[0], n_atoms):
        return None
    return np.asarray(boxes[0], dtype=np.float64)
