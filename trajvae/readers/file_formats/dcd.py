"""Read DCD files of CHARMM, NAMD, LAMMPS, X-PLOR and CNS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.failures import as_read_error
from trajvae.readers.file_formats.unchanged_file import UnchangedFile
from trajvae.readers.file_formats.unit_cells import dcd_cells
from trajvae.readers.file_formats.xtc import ascii_path
from trajvae.readers.frame_file import FrameBlock, Unfiltered, range_to_array, split_range
from trajvae.typing import Float64, Int64

_CONTROL = 84  # bytes of the first record


class DCDFrames(Unfiltered):
    """Read a DCD file by MDAnalysis' C library, with one call for each chunk."""

    precision = 0.0
    seekable = True
    seconds_per_byte = 3e-10  # about
    library = "MDAnalysis.lib.formats.libdcd"  # which other processes import before they read

    def __init__(self, path: Path) -> None:
        from MDAnalysis.lib.formats.libdcd import DCDFile
        from MDAnalysis.units import convert

        self.name = str(path)
        with path.open("rb") as opened:
            self._file = UnchangedFile(self.name, opened.fileno(), grows=True)
        check_header(path)
        with (
            as_read_error(f"'{path}' cannot be read", prints=False),
            ascii_path(self.name) as library_path,
            DCDFile(library_path) as file,
        ):
            self.n_frames, self.n_atoms = int(file.n_frames), int(file.header["natoms"])
            self._periodic = bool(file.header["is_periodic"])
            interval = max(file.header["nsavc"], 1)  # integration steps between frames
            self._step = float(convert(file.header["delta"], "AKMA", "ps")) * interval
            self._first = file.header["istart"] / interval
            self.timed = self._step > 0.0

    @property
    def seconds_per_frame(self) -> float:
        """About how long it takes to read a frame."""
        return self.seconds_per_byte * self._file.size / max(self.n_frames, 1)

    def blocks(self, frames: range, atoms: Int64, size: int) -> Iterator[FrameBlock]:
        """Yield the given frames and atoms, at most `size` frames at a time."""
        from MDAnalysis.lib.formats.libdcd import DCDFile

        with self._file.opened() as watched, ascii_path(self.name) as library_path, DCDFile(library_path) as file:
            for piece in split_range(frames, size):
                failed = f"'{self.name}' cannot be read at frames {piece.start} to {piece[-1]}"
                with self._file.reading(watched), as_read_error(failed, prints=False):
                    read = file.readframes(piece.start, piece.stop, piece.step, order="fac", indices=atoms)
                boxes = dcd_cells(read.unitcell) if self._periodic else None
                yield FrameBlock(read.xyz, boxes, self.times(piece))

    def times(self, frames: range) -> Float64:
        """Return the times of frames in ps, shape (t,), from the time of the first frame and the time step."""
        return np.asarray((range_to_array(frames) + self._first) * self._step, dtype=np.float64)


class _Layout(NamedTuple):
    """Hold where the frames of a DCD begin in the file, and the bytes of the first frame and of every later one."""

    start: int
    first: int
    later: int


def check_header(path: Path) -> None:
    """Raise an error for a DCD with a damaged header or an incomplete last frame, which its reader would ignore.

    Raises
    ------
    ReadError
        The header is damaged, the file has no frame, or it ends within a frame.
    """
    with path.open("rb") as file:
        layout = _layout(file, path)
    size = path.stat().st_size - layout.start
    if size < layout.first:
        if size == 0:
            raise ReadError(f"'{path}' holds no frame")
        raise ReadError(f"'{path}' ends within frame 0: the file is cut, or was copied while it was written")
    complete, remainder = divmod(size - layout.first, layout.later)
    if remainder:
        raise ReadError(
            f"'{path}' ends within frame {complete + 1}: the file is cut, or was copied while it was written"
        )


def _layout(file: IO[bytes], path: Path) -> _Layout:
    """Read the header of a DCD and return where its frames are."""
    head = file.read(_CONTROL + 8)
    if len(head) < _CONTROL + 8 or head[4:8] != b"CORD":
        raise ReadError(f"'{path}' is not a DCD file")
    order = "<" if head[:4] == struct.pack("<i", _CONTROL) else ">"
    control = struct.unpack(f"{order}20i", head[8 : _CONTROL + 4])
    fixed, charmm = control[8], control[19] != 0  # X-PLOR leaves the last word 0 and has no cell and no flags
    has_cell, four_dimensions = charmm and control[10] != 0, charmm and control[11] == 1
    title, lines = struct.unpack(f"{order}2i", file.read(8).ljust(8, b"\0"))
    if title < 4 or (title - 4) % 80 or not 0 <= 80 * lines <= path.stat().st_size:
        raise ReadError(f"'{path}' has a damaged header: it is not a DCD file, or is cut there")
    file.seek(80 * lines + 4, 1)  # some writers give the record a length that differs from that of its lines
    count = _read_record(file, order, path)
    if count[0] != 4:
        raise ReadError(f"'{path}' has a damaged header: it is not a DCD file, or was written over")
    (atoms,) = struct.unpack(f"{order}i", count[1])
    if not 0 < atoms or not 0 <= fixed < atoms:
        raise ReadError(f"'{path}' has a damaged header: {atoms} atoms, {fixed} of them fixed")
    if fixed and _read_record(file, order, path)[0] != 4 * (atoms - fixed):
        raise ReadError(f"'{path}' has a damaged header: its list of free atoms is not of {atoms - fixed}")
    first, later = (56 * has_cell + (3 + four_dimensions) * (4 * n + 8) for n in (atoms, atoms - fixed))
    return _Layout(file.tell(), first, later)


def _read_record(file: IO[bytes], order: str, path: Path) -> tuple[int, bytes]:
    """Read a record as Fortran writes it, and return its length and its bytes."""
    head = file.read(4)
    (length,) = struct.unpack(f"{order}i", head) if len(head) == 4 else (-1,)
    body = file.read(length) if 0 <= length <= path.stat().st_size else b""
    if len(body) != length or file.read(4) != head:
        raise ReadError(f"'{path}' has a damaged header: it is not a DCD file, or is cut there")
    return length, body
