"""The table of formats: which suffixes each has, and what reads it.

A format is declared here and nowhere else. One of a user's own is appended to `FORMATS`; of several with one suffix
the last is taken.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from trajvae.errors import ReadError
from trajvae.readers.frame_file import FrameFile
from trajvae.store import is_h5md

_PACKED = (".gz", ".bz2")


class Format(NamedTuple):
    """Describe a format of trajectories or topologies.

    Attributes
    ----------
    name : str
        The name that MDAnalysis or mdtraj uses; `--format` takes it.
    suffixes : tuple of str
        Suffixes of its files, in lower case.
    reader : {"trajvae", "MDAnalysis", "mdtraj", "none"}
        The library that reads it; "none" if it cannot be read.
    bare : bool
        Whether its files hold positions but no names of atoms, so that a topology has to be given.
    packed : bool
        Whether files compressed by gzip or bzip2 are read.
    package : str
        The optional package that MDAnalysis needs for it, by the name under which it is imported.
    install : str
        The same package, by the name under which pip installs it.
    advice : str
        What to do where the format cannot be read.
    opener : callable or str
        Of the reader "trajvae": opens the file of a path; or "module:name" of it, imported when it is used.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str = "MDAnalysis"
    bare: bool = False
    packed: bool = False
    package: str = ""
    install: str = ""
    advice: str = ""
    opener: str | Callable[[Path], FrameFile] = ""


def _own(name: str, *suffixes: str, opener: str) -> Format:
    return Format(name, suffixes, "trajvae", bare=True, opener=f"trajvae.readers.file_formats.{opener}")


def _text(name: str, *suffixes: str) -> Format:
    """Return a format of text files, which are read compressed too."""
    return Format(name, suffixes, packed=True)


FORMATS = [
    _own("XTC", ".xtc", opener="xtc:XTCFrames"),
    _own("TRR", ".trr", opener="trr:TRRFrames"),
    _own("DCD", ".dcd", opener="dcd:DCDFrames"),
    _own("NPY", ".npy", opener="arrays:open_array"),
    _own("NPZ", ".npz", opener="arrays:open_array"),
    _own("H5MD", ".h5md", opener="h5md:H5MDFrames"),
    Format("HDF5", (".h5", ".hdf5"), "trajvae"),
    Format("NCDF", (".nc", ".ncdf", ".netcdf"), bare=True),
    Format("TRZ", (".trz",), bare=True),
    Format("NAMDBIN", (".namdbin",), bare=True),
    Format("COOR", (".coor",), bare=True),
    Format("LAMMPS", (".lammps",), bare=True),
    _text("TRJ", ".trj", ".mdcrd", ".crdbox", ".x")._replace(bare=True),
    _text("INPCRD", ".inpcrd", ".restrt", ".rst7", ".rst")._replace(bare=True),
    _text("TRC", ".trc")._replace(bare=True),
    Format("NCRST", (".ncrst",), "mdtraj", bare=True),
    Format("DTR", (".dtr", ".stk"), "mdtraj", bare=True),
    _text("PDB", ".pdb", ".ent"),
    _text("XPDB", ".xpdb"),
    _text("PDBQT", ".pdbqt"),
    _text("PQR", ".pqr"),
    _text("GRO", ".gro"),
    _text("CRD", ".crd"),
    _text("XYZ", ".xyz"),
    _text("TXYZ", ".txyz"),
    _text("ARC", ".arc"),
    _text("MOL2", ".mol2"),
    _text("DATA", ".data"),
    _text("LAMMPSDUMP", ".lammpsdump", ".lammpstrj", ".dump"),
    _text("CONFIG", ".config"),
    _text("HISTORY", ".history"),
    _text("IN", ".in"),
    _text("FHIAIMS", ".fhiaims"),
    _text("GMS", ".gms", ".log"),
    Format("DMS", (".dms",)),
    Format("TPR", (".tpr",)),
    _text("PSF", ".psf"),
    _text("TOP", ".top", ".prmtop", ".parm7", ".prm7"),
    _text("ITP", ".itp"),
    _text("XML", ".xml", ".hoomdxml"),
    Format("CIF", (".cif", ".mmcif", ".pdbx"), package="gemmi", install="gemmi", packed=True),
    Format("GSD", (".gsd",), package="gsd", install="gsd"),
    Format("TNG", (".tng",), package="pytng", install="pytng"),
    Format("MMTF", (".mmtf",), package="mmtf", install="mmtf-python", packed=True),
    Format("LH5", (".lh5",), "none", advice="convert it by mdtraj: mdtraj.load('x.lh5').save('x.h5')"),
    Format("BINPOS", (".binpos",), "none", advice="convert it by cpptraj or VMD to .nc or .dcd"),
]


def _by_name(name: str) -> Format | None:
    """The last format of a name or suffix, in capitals: a user's own takes precedence."""
    known = (f for f in reversed(FORMATS) if name in (f.name.upper(), *(s[1:].upper() for s in f.suffixes)))
    return next(known, None)


def _by_suffix(suffix: str) -> Format | None:
    """The last format of a suffix."""
    return next((f for f in reversed(FORMATS) if suffix in f.suffixes), None)


def named_format(name: str) -> Format:
    """Return the format with a name or suffix that `--format` gives, in upper or lower case.

    Raises
    ------
    ReadError
        There is no such format; the message lists all formats.
    """
    named = _by_name(name.upper().lstrip("."))
    if named is None:
        readable = ", ".join(sorted(f.name for f in FORMATS if f.reader != "none"))
        raise ReadError(f"unknown format '{name}': expected one of {readable}")
    return named


def format_of(path: Path, name: str | None = None) -> Format:
    """Return the format of a file: by a given name, by its suffix, or by its contents where several formats share one.

    Raises
    ------
    ReadError
        The suffix is unknown, the format cannot be read or needs a package that is missing, or files of the format
        cannot be read compressed.
    """
    packed = path.suffix.lower() in _PACKED
    suffix = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    chosen = named_format(name) if name else _by_suffix(suffix)
    if chosen is None:
        given = f"the suffix '{suffix}'" if suffix else "a name without a suffix"
        raise ReadError(f"'{path}' has {given}, so its format is unknown: give it with --format NAME")
    if chosen.reader == "none":
        raise ReadError(f"'{path}': files of the format {chosen.name} are not read; {chosen.advice}")
    if chosen.package and importlib.util.find_spec(chosen.package) is None:
        raise ReadError(
            f"'{path}': the format {chosen.name} needs a package that is missing: pip install {chosen.install}"
        )
    if packed and not chosen.packed:
        raise ReadError(f"'{path}': compressed files of the format {chosen.name} are not read: decompress it first")
    return chosen if packed or not path.is_file() else _by_contents(path, chosen)


def _by_contents(path: Path, assumed: Format) -> Format:
    """Distinguish formats that share a suffix: H5MD and mdtraj's HDF5, CHARMM's .crd and Amber's."""
    if assumed.name in ("H5MD", "HDF5"):
        other = named_format("H5MD" if is_h5md(path) else "HDF5")
        return other if is_h5md(path) is not None else assumed
    if assumed.name in ("TRJ", "INPCRD") and _is_netcdf(path):
        return named_format("NCDF" if assumed.name == "TRJ" else "NCRST")
    if assumed.name == "CRD":
        with path.open("rb") as file:
            head = [file.readline(500).split() for _ in range(3)]
        charmm = any(words[:1] and words[0].startswith(b"*") for words in head)
        if not charmm and len(head[1]) > 2:  # the second line has coordinates: Amber's trajectory
            return named_format("TRJ")
    return assumed


def _is_netcdf(path: Path) -> bool:
    """Return whether a file begins as NetCDF files do."""
    with path.open("rb") as file:
        return file.read(3) == b"CDF"
