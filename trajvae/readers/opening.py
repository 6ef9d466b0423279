"""From what users have to files of frames and the atoms to select from."""

from __future__ import annotations

import functools
import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError
from trajvae.molecule.from_mdanalysis import cache_bonds
from trajvae.molecule.from_mdtraj import topology_from_mdtraj
from trajvae.molecule.to_libraries import to_universe
from trajvae.readers.failures import one_line, parsing_limit
from trajvae.readers.file_formats.arrays import array_frames, open_array
from trajvae.readers.file_formats.dcd import DCDFrames
from trajvae.readers.file_formats.h5md import H5MDFrames
from trajvae.readers.file_formats.library import MdtrajFrames, ReaderFrames
from trajvae.readers.file_formats.mdtraj_hdf5 import load_mdtraj
from trajvae.readers.file_formats.netcdf import NetCDFFrames
from trajvae.readers.file_formats.packed_text import check_text
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.formats import Format, format_of
from trajvae.readers.frames import ArrayFrames, FrameFile
from trajvae.readers.universes import open_universe
from trajvae.runtime.system import is_readable
from trajvae.store import check_hdf5

_OWN: dict[str, Callable[[Path], FrameFile]] = {
    "XTC": XTCFrames,
    "TRR": TRRFrames,
    "DCD": DCDFrames,
    "NPY": open_array,
    "NPZ": open_array,
    "H5MD": H5MDFrames,
}


@dataclass(frozen=True, eq=False)
class OpenedTrajectory:
    """A file of frames, and the atoms that can be selected from.

    Attributes
    ----------
    file : FrameFile
    atoms : AtomGroup
        Files of one topology share one universe.
    first : int
        Number of the file's first frame in the trajectory that was given: not 0 for later parts of a ChainReader.
    """

    file: FrameFile
    atoms: Any
    first: int = 0


def open_any(
    source: Any,
    topologies: Sequence[str | Path] = (),
    format: str | None = None,
) -> list[OpenedTrajectory]:
    """Open whatever the user has.

    Parameters
    ----------
    source : str, Path, ndarray, mdtraj.Trajectory, Universe, AtomGroup, or a sequence of paths or of these objects
        Paths may be globs. Arrays are (T, N, D) in Å.
    topologies : sequence of str or Path
        For paths: none, one for all trajectories, or as many as there are trajectories.
    format : str, optional
        The trajectories' format, where suffixes do not tell it.

    Returns
    -------
    list of OpenedTrajectory
        One a file.

    Raises
    ------
    ReadError
        Something is missing, cannot be read, or is of no kind that can be read.
    """
    if isinstance(source, str | Path):
        return _open_paths([source], topologies, format)
    if not isinstance(source, Sequence) or _is_object(source):
        return _open_object(source)
    paths = [isinstance(item, str | Path) for item in source]
    if paths and all(paths):
        return _open_paths(source, topologies, format)
    if any(paths):
        raise ReadError("cannot read paths and objects together: wanted paths alone, or objects alone")
    if not paths or not all(map(_is_object, source)):
        raise _unknown(source)
    return [opened for item in source for opened in _open_object(item)]


def _is_object(source: Any) -> bool:
    return _is_mdtraj(source) or (hasattr(source, "atoms") and hasattr(source, "universe"))


def _is_mdtraj(source: Any) -> bool:
    return hasattr(source, "xyz") and hasattr(source, "unitcell_vectors")


def _unknown(source: Any) -> ReadError:
    wanted = "a path, Universe, AtomGroup, mdtraj or array"
    return ReadError(f"cannot read frames from {type(source).__name__}: wanted {wanted}")


def _open_object(source: Any) -> list[OpenedTrajectory]:
    if isinstance(source, np.ndarray):
        return [
            OpenedTrajectory(array_frames(source, "the array"), _anonymous(source.shape[1] if source.ndim == 3 else 0))
        ]
    if _is_mdtraj(source):
        return [_open_mdtraj(source)]
    if _is_object(source):
        atoms, files = open_universe(source)
        firsts = np.cumsum([0, *(f.n_frames for f in files)]).tolist()
        return [OpenedTrajectory(file, atoms, first) for file, first in zip(files, firsts, strict=False)]
    raise _unknown(source)


def _open_mdtraj(trajectory: Any, name: str = "the mdtraj trajectory") -> OpenedTrajectory:
    xyz = trajectory.xyz * np.float32(10.0)
    boxes = None
    if trajectory.unitcell_lengths is not None:
        boxes = np.concatenate([trajectory.unitcell_lengths * 10.0, trajectory.unitcell_angles], axis=1).astype(float)
    times = np.asarray(trajectory.time, dtype=np.float64)
    atoms = to_universe(topology_from_mdtraj(trajectory.topology), xyz[:1]).atoms
    return OpenedTrajectory(ArrayFrames(array_frames(xyz, name).name, xyz, boxes, times), atoms)


def _anonymous(n_atoms: int) -> Any:
    import MDAnalysis as mda

    return mda.Universe.empty(n_atoms, trajectory=False).atoms


def _expand(paths: Sequence[str | Path]) -> list[Path]:
    out: list[Path] = []
    for path in paths:
        if is_readable(path) or (Path(path).is_dir() and Path(path).suffix.lower() == ".dtr"):
            out.append(Path(path))
            continue
        found = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else []
        if not found:
            raise ReadError(f"no file '{path}'" if not glob.has_magic(str(path)) else f"no file matches '{path}'")
        out += map(Path, found)
    return out


def _open_paths(
    paths: Sequence[str | Path], topologies: Sequence[str | Path], name: str | None
) -> list[OpenedTrajectory]:
    files = _expand(paths)
    if len(topologies) not in (0, 1, len(files)):
        raise ReadError(f"{len(topologies)} topologies for {len(files)} trajectories: wanted one, or one for each")
    if len(topologies) == len(files) > 1:
        known = {topology: open_topology(topology) for topology in dict.fromkeys(topologies)}
        atoms = [known[topology] for topology in topologies]
    else:
        given = [open_topology(topology) for topology in topologies]
        if not given and _nameless(files[0], name):
            opened = [_open_file(path, name, None) for path in files]
            atoms = [_anonymous(opened[0].n_atoms)] * len(files)
            return [OpenedTrajectory(file, group) for file, group in zip(opened, atoms, strict=True)]
        atoms = (given or [_atoms(files[0], name, "trajectory")]) * len(files)
    return [OpenedTrajectory(_open_file(p, name, group), group) for p, group in zip(files, atoms, strict=True)]


def open_topology(path: str | Path) -> Any:
    """Return the atoms of a topology file, as an AtomGroup.

    Raises
    ------
    ReadError
        There is no such file, or it cannot be read.
    """
    if not is_readable(path):
        raise ReadError(f"no topology file '{path}'")
    return _atoms(Path(path), None, "topology")


def _atoms(path: Path, name: str | None, what: str) -> Any:
    """The atoms of a topology, or as much as a trajectory says of its own."""
    found = format_of(path, name)
    if found.name == "HDF5":
        return _open_mdtraj(load_mdtraj(path)).atoms
    if _nameless(path, name):
        return _anonymous(_open_file(path, name, None).n_atoms)
    if found.packed:
        check_text(path)
    with one_line(f"{what} '{path}' cannot be read"), parsing_limit(path.stat().st_size):
        stat = path.stat()
        return _parsed(str(path.resolve()), stat.st_size, stat.st_mtime_ns, found.name).atoms


def _nameless(path: Path, name: str | None) -> bool:
    """Whether a file holds positions alone; an error where it does not even say of how many atoms."""
    found = format_of(path, name)
    if found.name in ("TRZ", "TRJ"):
        raise ReadError(f"'{path}' names no atoms and does not say how many there are: -s/--topology gives them")
    return found.bare


@functools.lru_cache(maxsize=4)
def _parsed(path: str, size: int, changed: int, name: str) -> Any:
    """The universe of a file as it is now; the last ones are kept, since one topology often serves many trajectories.

    Atoms are selected from it and nothing else is done with it: frames have readers of their own.
    """
    import MDAnalysis as mda
    from MDAnalysis import _PARSERS, _READERS

    parser = name if name in _PARSERS else None
    reader = name if name in _READERS else None
    return cache_bonds(mda.Universe(path, topology_format=parser, format=reader))


def _open_file(path: Path, name: str | None, atoms: Any) -> FrameFile:
    found = format_of(path, name)
    if found.name == "HDF5":
        return _open_mdtraj(load_mdtraj(path), str(path)).file
    if found.name in _OWN:
        if found.name == "H5MD":
            check_hdf5(path)
        return _OWN[found.name](path)
    if found.reader == "mdtraj":
        return MdtrajFrames(path, found.name)
    reader = _reader(path, found, atoms)
    return NetCDFFrames(reader, path) if found.name == "NCDF" else ReaderFrames(reader, str(path))


def _reader(path: Path, found: Format, atoms: Any) -> Any:
    from MDAnalysis import _READERS
    from MDAnalysis.coordinates.core import get_reader_for

    if found.name not in _READERS:
        raise ReadError(f"'{path}' is a topology without positions: wanted a trajectory")
    if found.packed:
        check_text(path)
    with one_line(f"'{path}' cannot be read"), parsing_limit(path.stat().st_size):
        more = {} if atoms is None else {"n_atoms": len(atoms.universe.atoms)}
        return get_reader_for(str(path), format=found.name)(str(path), **more)
