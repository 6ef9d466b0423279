"""The one table of file formats: by which suffix each is known, and how it is opened."""

from __future__ import annotations

import bz2
import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.io import netcdf_file

from trajvae.errors import OptionError, ReadError
from trajvae.readers.arrays import open_array
from trajvae.readers.dcd import DCDFrames
from trajvae.readers.frames import FrameFile
from trajvae.readers.h5md import H5MDFrames
from trajvae.readers.library import reading
from trajvae.readers.mda_reader import ReaderFrames
from trajvae.readers.mdtraj_reader import DTRFrames, open_netcdf_restart
from trajvae.readers.mdtraj_source import open_mdtraj_file
from trajvae.readers.xdr import XDRFrames
from trajvae.store import check_hdf5, room
from trajvae.store.h5md_file import is_h5md

Opener = Callable[[Path, int | None], FrameFile]

PACKED = (".gz", ".bz2")
_PIECE = 2**22  # bytes that are unpacked at once to learn a size


@dataclass(frozen=True)
class Format:
    """A format of trajectories.

    Attributes
    ----------
    name : str
        As `--format` takes it: the name that MDAnalysis or mdtraj uses.
    suffixes : tuple of str
    open : callable
        From a path and the number of atoms of the topology, if there is one, to frames.
    by : str
        Whose code reads the positions.
    text : bool
        Whether it is text, which MDAnalysis reads compressed, too.
    names : bool
        Whether files have names of atoms, and so may stand without a topology.
    """

    name: str
    suffixes: tuple[str, ...]
    open: Opener
    by: str
    text: bool = False
    names: bool = False


def _mdanalysis(name: str) -> Opener:
    """Open by the reader of a format of MDAnalysis."""

    def opened(path: Path, n_atoms: int | None) -> FrameFile:
        from MDAnalysis.coordinates.core import reader as reader_of

        with reading(f"'{path}' cannot be read"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = reader_of(str(path), format=name or None, n_atoms=n_atoms)
        return ReaderFrames(reader, str(path))

    return opened


def _xdr(path: Path, n_atoms: int | None) -> FrameFile:
    return XDRFrames(path)


def _dcd(path: Path, n_atoms: int | None) -> FrameFile:
    return DCDFrames(path)


def _dtr(path: Path, n_atoms: int | None) -> FrameFile:
    return DTRFrames(path)


def _numpy(path: Path, n_atoms: int | None) -> FrameFile:
    return open_array(path)


def _hdf5(path: Path, n_atoms: int | None) -> FrameFile:
    """H5MD, or mdtraj's own HDF5: both are found under either suffix, and files of ours are both."""
    check_hdf5(path)
    return H5MDFrames(path) if is_h5md(path) else open_mdtraj_file(path)[0]


def _netcdf_restart(path: Path, n_atoms: int | None) -> FrameFile:
    return open_netcdf_restart(path) if _is_netcdf(path) else _mdanalysis("INPCRD")(path, n_atoms)


def _netcdf(path: Path, n_atoms: int | None) -> FrameFile:
    """Amber's NetCDF trajectory, checked first: MDAnalysis' reader prints an error where it cannot be opened."""
    with reading(f"'{path}' cannot be read"), netcdf_file(str(path), mmap=True) as file:
        if "coordinates" not in file.variables:
            raise ReadError(f"'{path}' cannot be read: it has no coordinates")
        shape = file.variables["coordinates"].shape
    if len(shape) != 3:
        raise ReadError(f"'{path}' cannot be read: its coordinates have the shape {shape}, wanted (frames, atoms, 3)")
    return _mdanalysis("NCDF")(path, n_atoms)


def _amber_text(path: Path, n_atoms: int | None) -> FrameFile:
    """Amber's text trajectory, or NetCDF under the same suffix."""
    return _netcdf(path, n_atoms) if _is_netcdf(path) else _mdanalysis("TRJ")(path, n_atoms)


def _crd(path: Path, n_atoms: int | None) -> FrameFile:
    """CHARMM's coordinates, which begin with titles, or Amber's text trajectory."""
    with path.open("rb") as file:
        charmm = file.read(1) == b"*"
    return _mdanalysis("CRD")(path, n_atoms) if charmm else _amber_text(path, n_atoms)


def _is_netcdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"CDF"


FORMATS = (
    Format("XTC", (".xtc",), _xdr, "mdtraj"),
    Format("TRR", (".trr",), _xdr, "mdtraj"),
    Format("DCD", (".dcd",), _dcd, "MDAnalysis"),
    Format("NUMPY", (".npy", ".npz"), _numpy, "trajvae"),
    Format("H5MD", (".h5md",), _hdf5, "trajvae", names=False),
    Format("HDF5", (".h5", ".hdf5"), _hdf5, "trajvae", names=True),
    Format("NCDF", (".nc", ".ncdf", ".netcdf"), _netcdf, "MDAnalysis"),
    Format("TRJ", (".mdcrd", ".trj", ".crdbox", ".x"), _amber_text, "MDAnalysis", text=True),
    Format("CRD", (".crd",), _crd, "MDAnalysis", text=True, names=True),
    Format("INPCRD", (".rst7", ".inpcrd", ".restrt", ".ncrst"), _netcdf_restart, "MDAnalysis, mdtraj", text=True),
    Format("LAMMPSDUMP", (".lammpstrj", ".dump", ".lammpsdump"), _mdanalysis("LAMMPSDUMP"), "MDAnalysis", True, True),
    Format("DTR", (".dtr", ".stk"), _dtr, "mdtraj"),
)
# formats that are read by neither library as they are installed, and what to do
NOT_READ = {
    ".lh5": "convert it with mdtraj to .h5: its compression executes code of a plugin",
    ".binpos": "convert it with VMD or catdcd to .dcd: neither MDAnalysis nor mdtraj reads it",
    ".tng": "convert it with 'gmx trjconv' to .xtc, or install pytng, whose reader MDAnalysis uses",
}
# binary formats of MDAnalysis, which are not read compressed
_BINARY = {".trz", ".tng", ".gsd", ".tpr", ".dms", ".coor", ".mmtf"}


def format_of(path: Path, wanted: str | None = None) -> Format:
    """Return the format of a file, by its name or by its suffix.

    Parameters
    ----------
    path : Path
    wanted : str, optional
        Name of a format, in any case.

    Raises
    ------
    OptionError
        There is no such format.
    ReadError
        The file is compressed and its format is not read so, would unpack to too much, or is not read at all.
    """
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower() if suffix in PACKED else suffix
    found = _by_name(wanted) if wanted else _by_suffix(inner)
    if not wanted and inner in NOT_READ and not (inner == ".tng" and _has("pytng")):
        raise ReadError(f"'{path}' cannot be read: {NOT_READ[inner]}")
    if suffix in PACKED:
        _check_packed(path, found, inner)
    return found


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _by_suffix(suffix: str) -> Format:
    """The table's format, else whatever MDAnalysis knows by the suffix."""
    for known in FORMATS:
        if suffix in known.suffixes:
            return known
    return Format(suffix.lstrip(".").upper(), (suffix,), _mdanalysis(""), "MDAnalysis", suffix not in _BINARY, True)


def _by_name(name: str) -> Format:
    import MDAnalysis

    wanted = name.upper()
    for known in FORMATS:
        if wanted in (known.name, *(suffix[1:].upper() for suffix in known.suffixes)):
            return known
    readers: dict[str, Any] = MDAnalysis._READERS
    if wanted not in readers:
        names = sorted({*(known.name for known in FORMATS), *readers} - {"CHAIN", "MEMORY"})
        raise OptionError(f"no format '{name}': wanted one of {', '.join(names)}")
    return Format(wanted, (), _mdanalysis(wanted), "MDAnalysis", f".{wanted.lower()}" not in _BINARY, True)


def _unpacked(path: Path) -> gzip.GzipFile | bz2.BZ2File:
    return gzip.GzipFile(path) if path.suffix.lower() == ".gz" else bz2.BZ2File(path)


def _check_packed(path: Path, found: Format, inner: str) -> None:
    """Refuse compressed binary formats, and files that unpack to far more than they are."""
    if not found.text:
        raise ReadError(
            f"'{path}' cannot be read: compressed {inner[1:].upper()} files are not read; decompress it first"
        )
    limit, size = room(path.stat().st_size), 0
    with reading(f"'{path}' cannot be decompressed"), _unpacked(path) as file:
        while size <= limit and (part := file.read(_PIECE)):
            size += len(part)
    if size > limit:
        raise ReadError(f"'{path}' would unpack to more than {limit} bytes: refused; decompress it first")
