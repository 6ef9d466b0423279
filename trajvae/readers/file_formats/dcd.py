"""DCD files of CHARMM, NAMD and LAMMPS, and of X-PLOR and CNS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import one_line
from trajvae.readers.file_formats.unchanged_file import StableFile
from trajvae.readers.file_formats.unit_cells import dcd_cells
from trajvae.readers.file_formats.xtc import ascii_path
from trajvae.readers.frames import FrameBlock, Unfiltered, numbers_of, pieces
from trajvae.typing import Float64, Int64

_CONTROL = 84  # bytes of the first record


class DCDFrames(Unfiltered):
    """A DCD file, read by MDAnalysis' C library in one call a chunk."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        from MDAnalysis.lib.formats.libdcd import DCDFile
        from MDAnalysis.units import convert

        self.name = str(path)
        with path.open("rb") as opened:
            self._file = StableFile(self.name, opened.fileno(), grows=True)
        check_header(path)
        with one_line(f"'{path}' cannot be read", prints=False), ascii_path(self.name) as own, DCDFile(own) as file:
            self.n_frames, self.n_atoms = int(file.n_frames), int(file.header["natoms"])
            self._periodic = bool(file.header["is_periodic"])
            every = max(file.header["nsavc"], 1)
            self._step = float(convert(file.header["delta"], "AKMA", "ps")) * every
            self._first = file.header["istart"] / every

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Read the given frames and atoms, at most `size` frames at a time."""
        from MDAnalysis.lib.formats.libdcd import DCDFile

        with self._file.opened() as watched, ascii_path(self.name) as own, DCDFile(own) as file:
            for piece in pieces(frames, size):
                failed = f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"
                with self._file.piece(watched), one_line(failed, prints=False):
                    got = file.readframes(piece.start, piece.stop, piece.step, order="fac", indices=atoms)
                boxes = dcd_cells(got.unitcell) if self._periodic else None
                yield FrameBlock(got.xyz, boxes, self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,): a DCD holds those of its first frame and between frames."""
        return np.asarray((numbers_of(frames) + self._first) * self._step, dtype=np.float64)


class _Layout(NamedTuple):
    """Where a DCD's frames stand: the first byte, and the bytes of the first and of every later frame."""

    start: int
    first: int
    later: int


def check_header(path: Path) -> None:
    """Refuse a DCD whose header is damaged, or that was cut within a frame, which reads as a shorter trajectory.

    Raises
    ------
    ReadError
        Names the frame in which the file ends.
    """
    with path.open("rb") as file:
        layout = _layout(file, path)
    size = path.stat().st_size - layout.start
    if size < layout.first:
        if size == 0:
            raise ReadError(f"'{path}' holds no frame")
        raise ReadError(f"'{path}' ends within frame 0: the file is cut, or was copied while it was written")
    whole, rest = divmod(size - layout.first, layout.later)
    if rest:
        raise ReadError(f"'{path}' ends within frame {whole + 1}: the file is cut, or was copied while it was written")


def _layout(file: IO[bytes], path: Path) -> _Layout:
    head = file.read(_CONTROL + 8)
    if len(head) < _CONTROL + 8 or head[4:8] != b"CORD":
        raise ReadError(f"'{path}' is no DCD file")
    order = "<" if head[:4] == struct.pack("<i", _CONTROL) else ">"
    control = struct.unpack(f"{order}20i", head[8 : _CONTROL + 4])
    fixed, charmm = control[8], control[19] != 0  # X-PLOR leaves the last word 0 and has no cell and no flags
    cell, four = charmm and control[10] != 0, charmm and control[11] == 1
    title, lines = struct.unpack(f"{order}2i", file.read(8).ljust(8, b"\0"))
    if title < 4 or (title - 4) % 80 or not 0 <= 80 * lines <= path.stat().st_size:
        raise ReadError(f"'{path}' has a damaged header: it is no DCD file, or is cut there")
    file.seek(80 * lines + 4, 1)  # some writers give the record another length than its lines have
    count = _record(file, order, path)
    if count[0] != 4:
        raise ReadError(f"'{path}' has a damaged header: it is no DCD file, or was written over")
    (atoms,) = struct.unpack(f"{order}i", count[1])
    if not 0 < atoms or not 0 <= fixed < atoms:
        raise ReadError(f"'{path}' has a damaged header: {atoms} atoms, {fixed} of them fixed")
    if fixed and _record(file, order, path)[0] != 4 * (atoms - fixed):
        raise ReadError(f"'{path}' has a damaged header: its list of free atoms is not of {atoms - fixed}")
    first, later = (56 * cell + (3 + four) * (4 * n + 8) for n in (atoms, atoms - fixed))
    return _Layout(file.tell(), first, later)


def _record(file: IO[bytes], order: str, path: Path) -> tuple[int, bytes]:
    """Read one of Fortran's records: its length and its bytes."""
    head = file.read(4)
    (length,) = struct.unpack(f"{order}i", head) if len(head) == 4 else (-1,)
    body = file.read(length) if 0 <= length <= path.stat().st_size else b""
    if len(body) != length or file.read(4) != head:
        raise ReadError(f"'{path}' has a damaged header: it is no DCD file, or is cut there")
    return length, body
