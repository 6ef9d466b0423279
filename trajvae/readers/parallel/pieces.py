"""Pieces of files, which are read at once, and the parts in which several processes read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trajvae.readers.file_formats.unit_cells import lengths_angles
from trajvae.readers.frame_file import FrameBlock, FrameFile
from trajvae.readers.parallel.jobs import seconds_per_frame
from trajvae.readers.parallel.messages import Part
from trajvae.typing import Float64, Int64

PART = 0.015  # s that a part takes; to hand it over takes about 2e-4 s
_SLOT = 2**22  # bytes that a part takes, about


class FileToRead(NamedTuple):
    """Hold which frames and atoms of a file are read, and how many frames at once."""

    file: FrameFile
    frames: range
    atoms: Int64
    size: int


class FramesRead(NamedTuple):
    """Hold frames that were read: the number of their file, their numbers in it, and what was read."""

    file: int
    frames: Int64
    block: FrameBlock


@dataclass(frozen=True)
class Piece:
    """Hold the frames of a file that are read at once, and the numbers of their parts."""

    source: int
    frames: range
    parts: range


def part_length(item: FileToRead) -> int:
    """Return the number of frames in the parts of a file."""
    by_time = int(PART / max(seconds_per_frame(item.file), 1e-9))
    return max(min(by_time, _SLOT // (12 * len(item.atoms) + 1), item.size), 1)


def joined_boxes(boxes: Sequence[Float64 | None], parts: Sequence[Part]) -> Float64 | None:
    """Return the boxes (t, 6) of the parts of a piece; None where no frame has one.

    Where frames have none, formats give them cell vectors of zeros.
    """
    if all(box is None for box in boxes):
        return None
    none = lengths_angles(np.zeros((1, 3, 3)))
    return np.concatenate(
        [none.repeat(len(p.frames), axis=0) if box is None else box for box, p in zip(boxes, parts, strict=True)]
    )
