"""A few frames of the files, looked at before everything is read: for boxes, units, guessed bonds and contacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trajvae.readers.frames import FrameFile, sample_range
from trajvae.readers.plausibility import FARTHEST, is_box
from trajvae.typing import Float64, Floats, Int64

FEW = 3  # frames of a file


@dataclass(frozen=True, eq=False)
class Sample:
    """One frame that was looked at.

    Attributes
    ----------
    file : int
        Number of its file.
    frame : int
        Number of the frame in it.
    positions : ndarray, shape (n, D)
        Å.
    box : ndarray, shape (6,), optional
        Lengths and angles in Å and degrees; None where the frame has no usable box.
    """

    file: int
    frame: int
    positions: Floats
    box: Float64 | None

    def of(self, places: Int64) -> Sample:
        """Return the sample with some of its atoms."""
        return replace(self, positions=self.positions[places])


def look_at(files: Sequence[FrameFile], ranges: Sequence[range], atoms: Int64, most: int = FEW) -> list[Sample]:
    """Read a few frames of every file; frames with coordinates that are not positions are left out.

    Parameters
    ----------
    files : sequence of FrameFile
    ranges : sequence of range
        Frames of each file that will be read.
    atoms : ndarray of int64, shape (n,)
    most : int
        Frames of the first file; of each other one three.
    """
    out: list[Sample] = []
    for number, (file, frames) in enumerate(zip(files, ranges, strict=True)):
        some = sample_range(file, frames, FEW if out else most)
        blocks = file.blocks(some, atoms, 1) if len(some) else ()
        for frame, block in zip(some, blocks, strict=True):
            if np.abs(block.positions).max(initial=0.0) < FARTHEST:  # so not for numbers that are not finite
                out.append(Sample(number, frame, block.positions[0], _box(block.boxes, file.n_atoms)))
    return out


def _box(boxes: Any, n_atoms: int) -> Float64 | None:
    if boxes is None or not is_box(boxes[0], n_atoms):
        return None
    return np.asarray(boxes[0], dtype=np.float64)
