"""Structures as files that other programs open, written piece by piece: XTC, DCD, multi-model PDB, NetCDF."""

from __future__ import annotations

import contextlib
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import scipy

from trajvae._version import __version__
from trajvae.errors import OutputError, TrajvaeError
from trajvae.molecule.pdb import COORDINATES, write_pdb
from trajvae.molecule.to_libraries import spatial
from trajvae.store import path_for_writing
from trajvae.topology import Topology
from trajvae.typing import Floats

_NM = 0.1  # Å to nm
_XTC_PRECISION = 1000.0  # steps in a nm
_LARGEST, _SMALLEST = 9999.999, -999.999  # that they hold
_MODELS = 9999  # that are numbered before numbers begin anew
_VELOCITY_SECONDS = 1.0 / 4.888821e-2  # AKMA units of time in a ps, which DCD counts in


class StructureFile(Protocol):
    """An open file that structures are appended to."""

    def append(self, positions: Floats) -> None:
        """Write the next structures (k, N, 3), in Å; their time in ps is their number."""
        ...

    def finish(self) -> None:
        """Write what belongs to the end and close."""
        ...

    def close(self) -> None:
        """Close, whatever is missing."""
        ...


class _Xtc(StructureFile):
    """GROMACS' compressed coordinates, to 0.01 Å, without a box."""

    def __init__(self, path: Path, topology: Topology) -> None:
        from MDAnalysis.lib.formats.libmdaxdr import XTCFile

        self._path, self._open, self.done = path, XTCFile, 0
        self._file = XTCFile(str(path), "w")

    def append(self, positions: Floats) -> None:
        box = np.zeros((3, 3), dtype=np.float32)
        for x in (positions * _NM).astype(np.float32):
            self._file.write(x, box, self.done, float(self.done), precision=_XTC_PRECISION)
            self.done += 1

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        """Close, and read the last frame again: the library says nothing where a disk is full."""
        self._file.close()
        with self._open(str(self._path)) as file:
            if len(file) == self.done:
                file.seek(self.done - 1)
                file.read()
                return
        raise OSError("the disk took a part of the structures only")


class _Dcd(StructureFile):
    """CHARMM's and NAMD's binary coordinates in single precision, without a box."""

    def __init__(self, path: Path, topology: Topology) -> None:
        from MDAnalysis.lib.formats.libdcd import DCDFile

        self._path, self._a_frame, self.done = path, 3 * (4 * topology.n_atoms + 8), 0
        self._file = DCDFile(str(path), "w")
        self._file.write_header("made by trajvae", topology.n_atoms, 0, 1, _VELOCITY_SECONDS, 0)
        self._head = path.stat().st_size

    def append(self, positions: Floats) -> None:
        for x in positions.astype(np.float32):
            self._file.write(x)
            self.done += 1

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self._file.close()
        if self._path.stat().st_size < self.done * self._a_frame:
            raise OSError("the disk took a part of the structures only")


class _Pdb(StructureFile):
    """Models of a PDB file: the lines of the first one, with other coordinates."""

    def __init__(self, path: Path, topology: Topology) -> None:
        self._path, self._topology, self.done = path, topology, 0
        self._file, self._end = path.open("a", encoding="ascii", newline="\n"), ""
        self._lines: list[tuple[str, ...]] = []  # before and behind coordinates, or a line that has none

    def append(self, positions: Floats) -> None:
        for x in positions:
            if not self.done:
                self._begin(x)
            if not (x.min() >= _SMALLEST and x.max() <= _LARGEST):
                raise TrajvaeError(
                    f"structure {self.done} cannot be written as PDB: its columns hold {_SMALLEST} to {_LARGEST} Å"
                )
            coordinates = iter(x.tolist())
            rows = [line[0] if len(line) == 1 else _placed(line, next(coordinates)) for line in self._lines]
            number = self.done % _MODELS + 1
            self._file.write("\n".join([f"MODEL     {number:4d}", *rows, "ENDMDL", ""]))
            self.done += 1

    def _begin(self, x: Floats) -> None:
        """Write what stands before the first model, and learn the atoms' lines from a file of one structure."""
        write_pdb(self._path, self._topology, x)
        lines = self._path.read_text(encoding="ascii").splitlines()
        places = [k for k, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
        after = next(k for k in range(places[-1] + 1, len(lines) + 1) if lines[k : k + 1] != ["TER"])
        atoms = set(places)
        self._lines = [
            (lines[k][: COORDINATES.start], lines[k][COORDINATES.stop :]) if k in atoms else (lines[k],)
            for k in range(places[0], after)
        ]
        head, end = (_without_models(part) for part in (lines[: places[0]], lines[after:]))
        self._end = "\n".join([*end, ""])
        self._file.truncate(0)
        self._file.write("\n".join([*head, ""]))

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self._file.write(self._end)
        self._file.close()


def _placed(line: tuple[str, ...], place: list[float]) -> str:
    """An atom's line."""
    return f"{line[0]}{place[0]:8.3f}{place[1]:8.3f}{place[2]:8.3f}{line[1]}"


def _without_models(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(("MODEL", "ENDMDL"))]


_VARIABLES = (("coordinates", ("frame", "atom", "spatial"), "angstrom"), ("time", ("frame",), "picosecond"))


class _NetCdf(StructureFile):
    """AMBER's NetCDF, in single precision: the head by SciPy, then a record a structure.

    SciPy alone would hold all records in memory.

    References
    ----------
    AMBER NetCDF trajectory convention, version 1.0. NetCDF classic format, 64-bit offsets: the number of records stands
    in bytes 4 to 8, and records follow each other, each with all its variables.
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        self._path, self.done = path, 0
        self._record = np.dtype([("coordinates", ">f4", (topology.n_atoms, 3)), ("time", ">f4")])
        with scipy.io.netcdf_file(path, "w", version=2) as file:
            for name, length in (("frame", None), ("spatial", 3), ("atom", topology.n_atoms)):
                file.createDimension(name, length)
            marks = {"Conventions": "AMBER", "ConventionVersion": "1.0", "program": "trajvae"}
            for name, text in {**marks, "programVersion": __version__, "title": "conformations"}.items():
                setattr(file, name, text)
            file.createVariable("spatial", "S1", ("spatial",))[:] = np.array(list("xyz"), dtype="S1")
            for name, axes, unit in _VARIABLES:
                variable = file.createVariable(name, "f4", axes)
                variable.__setattr__("units", unit)
                variable[0] = 0.0  # without a record SciPy does not say how large one is
        self._file = path.open("r+b")
        self._file.seek(-self._record.itemsize, 2)
        self._file.truncate()

    def append(self, positions: Floats) -> None:
        records = np.zeros(len(positions), dtype=self._record)
        records["coordinates"] = positions
        records["time"] = np.arange(self.done, self.done + len(positions))
        self._file.write(records.data)
        self.done += len(positions)

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self._file.seek(4)
        self._file.write(struct.pack(">i", self.done))
        self._file.close()


# by its ending: what writes it, and about how many bytes a coordinate takes
FORMATS: dict[str, tuple[Callable[[Path, Topology], StructureFile], float]] = {
    ".xtc": (_Xtc, 1.2),
    ".dcd": (_Dcd, 4.0),
    ".pdb": (_Pdb, 27.0),
    ".nc": (_NetCdf, 4.0),
}


@contextlib.contextmanager
def structure_file(path: Path, topology: Topology, n: int) -> Iterator[Callable[[Floats], None]]:
    """Make a trajectory file of n structures, that come in pieces.

    Parameters
    ----------
    path : Path
        Written as it is, in the format of its ending; the caller makes it whole or absent.
    topology : Topology
    n : int

    Yields
    ------
    callable
        Takes the next structures (k, N, D) in Å; z = 0 where D = 2.

    Raises
    ------
    OutputError
        The disk has no room for so many.
    TrajvaeError
        Coordinates that do not fit the format.
    """
    make, size = FORMATS[path.suffix]
    room, wanted = shutil.disk_usage(path.absolute().parent).free, 3 * n * topology.n_atoms * size
    if wanted > room:
        raise OutputError(
            f"{n} structures take about {wanted / 1e6:.4g} MB as {path.suffix[1:].upper()}, the disk has room for "
            f"{room / 1e6:.4g} MB"
        )
    file = make(path_for_writing(path), topology)
    try:
        yield lambda positions: file.append(spatial(positions))
        file.finish()
    finally:
        file.close()
