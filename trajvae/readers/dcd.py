"""DCD files of CHARMM, NAMD, X-PLOR and LAMMPS, read by MDAnalysis' C library in one call a chunk."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.frames import EveryFrame, Float64, FrameBlock, Int64, lengths_angles, pieces
from trajvae.readers.library import reading


class DCDFrames(EveryFrame):
    """A DCD file."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        from MDAnalysis.lib.formats.libdcd import DCDFile
        from MDAnalysis.units import convert

        self.name = str(path)
        check_dcd(path)
        with reading(f"'{path}' cannot be read"), DCDFile(self.name) as file:
            self.n_frames, self.n_atoms = int(file.n_frames), int(file.header["natoms"])
            self._periodic = bool(file.header["is_periodic"])
            step = convert(file.header["delta"], "AKMA", "ps") * max(file.header["nsavc"], 1)
            first = file.header["istart"] / max(file.header["nsavc"], 1)
            self._first, self._step = float(first * step), float(step) or 1.0

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, (t,): the format has the first one and the step."""
        return self._first + self._step * np.asarray(frames, dtype=np.float64)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read some atoms of frames, at most `size` frames at a time."""
        from MDAnalysis.lib.formats.libdcd import DCDFile

        with reading(f"'{self.name}' cannot be read"), DCDFile(self.name) as file:
            for piece in pieces(frames, size):
                got = file.readframes(piece.start, piece.stop, piece.step, order="fac", indices=atoms)
                if len(got.xyz) != len(piece):
                    raise ReadError(f"'{self.name}' ends within frame {piece.start + len(got.xyz) * piece.step}")
                yield FrameBlock(got.xyz, _boxes(got.unitcell) if self._periodic else None, self.times(piece))


class _Layout(NamedTuple):
    """Sizes of a DCD file's parts in bytes."""

    start: int
    first: int
    frame: int


def check_dcd(path: Path) -> None:
    """Refuse a DCD file that was cut within a frame: it reads as a shorter one without an error.

    Raises
    ------
    ReadError
    """
    try:
        layout = _layout(path)
    except struct.error as error:
        raise ReadError(f"'{path}' is no DCD file: its header is cut") from error
    left = path.stat().st_size - layout.start
    if left == 0:
        raise ReadError(f"'{path}' has no frame")
    whole, rest = divmod(left - layout.first, layout.frame)
    if left < layout.first or rest:
        raise ReadError(
            f"'{path}' ends within frame {max(whole + 1, 0)}: the file is cut, or was copied while it was written"
        )


def _layout(path: Path) -> _Layout:
    """Where the frames begin, and the sizes of the first one and of the others."""
    with path.open("rb") as file:
        head = file.read(96)
        if len(head) < 96 or head[4:8] != b"CORD":
            raise ReadError(f"'{path}' is no DCD file")
        order = "<" if struct.unpack("<i", head[:4])[0] == 84 else ">"
        control = struct.unpack(f"{order}20i", head[8:88])
        (title,) = struct.unpack(f"{order}i", head[92:96])
        file.seek(96 + max(title, 0) + 4 + 4)
        (atoms,) = struct.unpack(f"{order}i", file.read(4))
        start = file.tell() + 4
    charmm = control[19] != 0  # X-PLOR and CNS have no version, and the time step as a double in words 10 and 11
    cell, four = (56 if charmm and control[10] else 0), bool(charmm and control[11])
    free = atoms - control[8]
    if atoms < 1 or not 0 < free <= atoms:
        raise ReadError(f"'{path}' is damaged: its header says {atoms} atoms, {control[8]} of them fixed")
    if free == atoms:
        frame = (3 + four) * (4 * atoms + 8) + cell
        return _Layout(start, frame, frame)
    # the numbers of the free atoms; frames after the first hold those atoms alone
    return _Layout(start + 4 * free + 8, (3 + four) * (4 * atoms + 8) + cell, (3 + four) * (4 * free + 8) + cell)


def _boxes(cell: Float64) -> Float64:
    """NAMD writes [A, gamma, B, beta, alpha, C], angles as degrees or cosines, CHARMM a symmetric matrix."""
    boxes = cell[:, [0, 2, 5, 4, 3, 1]].astype(np.float64)
    angles = boxes[:, 3:]
    cosines = (np.abs(angles) <= 1.0).all(axis=1)
    matrix = ~cosines & ((boxes < 0.0).any(axis=1) | (angles > 180.0).any(axis=1))
    boxes[matrix] = lengths_angles(cell[matrix][:, [[0, 1, 3], [1, 2, 4], [3, 4, 5]]])
    angles[cosines] = 90.0 - np.degrees(np.arcsin(angles[cosines]))
    return boxes
