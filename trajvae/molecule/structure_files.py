"""Write structures, a few at a time, to files that other programs read: XTC, DCD, multi-model PDB and NetCDF."""

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
from trajvae.molecule.to_libraries import to_three_dimensions
from trajvae.store import path_for_writing
from trajvae.topology import Topology
from trajvae.typing import Floats

_NM = 0.1  # Å to nm
_XTC_PRECISION = 1000.0  # integer steps in a nm
_LARGEST, _SMALLEST = 9999.999, -999.999  # coordinates in Å that fit the columns of a PDB file
_MODELS = 9999  # after which the numbers of models begin again at 1
_AKMA_PER_PS = 1.0 / 4.888821e-2  # the unit of time in DCD files is that of CHARMM, AKMA


class StructureFile(Protocol):
    """Describe an open file to which structures are appended."""

    def append(self, positions: Floats) -> None:
        """Write the next structures (k, N, 3), in Å; the time of each, in ps, is its number."""
        ...

    def finish(self) -> None:
        """Write the end of the file, if the format has one, and close it."""
        ...

    def close(self) -> None:
        """Close the file, complete or not."""
        ...


class _Xtc(StructureFile):
    """Write GROMACS' compressed coordinates, to 0.01 Å, without a box."""

    def __init__(self, path: Path, topology: Topology) -> None:
        from MDAnalysis.lib.formats.libmdaxdr import XTCFile

        self._path, self._open, self.n_written = path, XTCFile, 0
        self._file = XTCFile(str(path), "w")

    def append(self, positions: Floats) -> None:
        box = np.zeros((3, 3), dtype=np.float32)
        for x in (positions * _NM).astype(np.float32):
            self._file.write(x, box, self.n_written, float(self.n_written), precision=_XTC_PRECISION)
            self.n_written += 1

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        """Close the file, and read its last frame again, since the library does not report a full disk."""
        self._file.close()
        with self._open(str(self._path)) as file:
            if len(file) == self.n_written:
                file.seek(self.n_written - 1)
                file.read()
                return
        raise OSError("the disk took a part of the structures only")


class _Dcd(StructureFile):
    """Write CHARMM's and NAMD's binary coordinates in single precision, without a box."""

    def __init__(self, path: Path, topology: Topology) -> None:
        from MDAnalysis.lib.formats.libdcd import DCDFile

        self._path, self._frame_bytes, self.n_written = path, 3 * (4 * topology.n_atoms + 8), 0
        self._file = DCDFile(str(path), "w")
        self._file.write_header("made by trajvae", topology.n_atoms, 0, 1, _AKMA_PER_PS, 0)

    def append(self, positions: Floats) -> None:
        for x in positions.astype(np.float32):
            self._file.write(x)
            self.n_written += 1

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self._file.close()
        if self._path.stat().st_size < self.n_written * self._frame_bytes:
            raise OSError("the disk took a part of the structures only")


class _Pdb(StructureFile):
    """Write structures as models of a PDB file: the lines of the first model, with other coordinates."""

    def __init__(self, path: Path, topology: Topology) -> None:
        self._path, self._topology, self.n_written = path, topology, 0
        self._file, self._end = path.open("a", encoding="ascii", newline="\n"), ""
        self._lines: list[tuple[str, ...]] = []  # text before and after coordinates, or a line without any

    def append(self, positions: Floats) -> None:
        for x in positions:
            if not self.n_written:
                self._write_header(x)
            if not (x.min() >= _SMALLEST and x.max() <= _LARGEST):
                raise TrajvaeError(
                    f"structure {self.n_written} cannot be written as PDB: its columns hold {_SMALLEST} to {_LARGEST} Å"
                )
            coordinates = iter(x.tolist())
            rows = [line[0] if len(line) == 1 else _with_coordinates(line, next(coordinates)) for line in self._lines]
            number = self.n_written % _MODELS + 1
            self._file.write("\n".join([f"MODEL     {number:4d}", *rows, "ENDMDL", ""]))
            self.n_written += 1

    def _write_header(self, x: Floats) -> None:
        """Write the lines before the first model, and take the lines of atoms from a PDB file of one structure."""
        write_pdb(self._path, self._topology, x)
        lines = self._path.read_text(encoding="ascii").splitlines()
        atom_lines = [k for k, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
        after = next(k for k in range(atom_lines[-1] + 1, len(lines) + 1) if lines[k : k + 1] != ["TER"])
        atoms = set(atom_lines)
        self._lines = [
            (lines[k][: COORDINATES.start], lines[k][COORDINATES.stop :]) if k in atoms else (lines[k],)
            for k in range(atom_lines[0], after)
        ]
        head, end = (_without_models(part) for part in (lines[: atom_lines[0]], lines[after:]))
        self._end = "\n".join([*end, ""])
        self._file.truncate(0)
        self._file.write("\n".join([*head, ""]))

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self._file.write(self._end)
        self._file.close()


def _with_coordinates(line: tuple[str, ...], x: list[float]) -> str:
    """Return the line of an atom with its coordinates in Å."""
    return f"{line[0]}{x[0]:8.3f}{x[1]:8.3f}{x[2]:8.3f}{line[1]}"


def _without_models(lines: list[str]) -> list[str]:
    """Return lines without those that begin or end a model."""
    return [line for line in lines if not line.startswith(("MODEL", "ENDMDL"))]


_VARIABLES = (("coordinates", ("frame", "atom", "spatial"), "angstrom"), ("time", ("frame",), "picosecond"))


class _NetCdf(StructureFile):
    """Write AMBER's NetCDF in single precision: the header by SciPy, then a record for each structure.

    SciPy would hold all records in memory, so records are written without it.

    References ---------- AMBER NetCDF trajectory convention, version 1.0. NetCDF classic format, 64-bit offsets: bytes
    4 to 8 hold the number of records; records follow each other, each with the values of all variables.
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        self.n_written = 0
        self._record = np.dtype([("coordinates", ">f4", (topology.n_atoms, 3)), ("time", ">f4")])
        with scipy.io.netcdf_file(path, "w", version=2) as file:
            for name, length in (("frame", None), ("spatial", 3), ("atom", topology.n_atoms)):
                file.createDimension(name, length)
            attributes = {"Conventions": "AMBER", "ConventionVersion": "1.0", "program": "trajvae"}
            for name, text in {**attributes, "programVersion": __version__, "title": "conformations"}.items():
                setattr(file, name, text)
            file.createVariable("spatial", "S1", ("spatial",))[:] = np.array(list("xyz"), dtype="S1")
            for name, axes, unit in _VARIABLES:
                variable = file.createVariable(name, "f4", axes)
                variable.__setattr__("units", unit)
                variable[0] = 0.0  # without a record SciPy does not write the size of a record
        self._file = path.open("r+b")
        self._file.seek(-self._record.itemsize, 2)
        self._file.truncate()

    def append(self, positions: Floats) -> None:
        records = np.zeros(len(positions), dtype=self._record)
        records["coordinates"] = positions
        records["time"] = np.arange(self.n_written, self.n_written + len(positions))
        self._file.write(records.data)
        self.n_written += len(positions)

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self._file.seek(4)
        self._file.write(struct.pack(">i", self.n_written))
        self._file.close()


# by suffix: the class that writes the format, and about how many bytes a coordinate takes
FORMATS: dict[str, tuple[Callable[[Path, Topology], StructureFile], float]] = {
    ".xtc": (_Xtc, 1.2),
    ".dcd": (_Dcd, 4.0),
    ".pdb": (_Pdb, 27.0),
    ".nc": (_NetCdf, 4.0),
}


@contextlib.contextmanager
def structure_file(path: Path, topology: Topology, n: int) -> Iterator[Callable[[Floats], None]]:
    """Open a file for n structures, which are written a few at a time, and close it at the end.

    Parameters
    ----------
    path : Path
        The format is that of its suffix. The caller removes the file if an error leaves it incomplete.
    topology : Topology
    n : int

    Yields
    ------
    callable
        Writes the next structures (k, N, D), in Å; z = 0 where D = 2.

    Raises
    ------
    OutputError
        The disk has too little free space for n structures.
    TrajvaeError
        Coordinates do not fit the format.
    """
    make, size = FORMATS[path.suffix]
    free, needed = shutil.disk_usage(path.absolute().parent).free, 3 * n * topology.n_atoms * size
    if needed > free:
        raise OutputError(
            f"{n} structures take about {needed / 1e6:.4g} MB as {path.suffix[1:].upper()}, the disk has room for "
            f"{free / 1e6:.4g} MB"
        )
    file = make(path_for_writing(path), topology)
    try:
        yield lambda positions: file.append(to_three_dimensions(positions))
        file.finish()
    finally:
        file.close()
