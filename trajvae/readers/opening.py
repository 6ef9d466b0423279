"""Open whatever a user gives: paths, arrays and objects of MDAnalysis or mdtraj become files of frames and atoms."""

from __future__ import annotations

import functools
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np

from trajvae.choices import load
from trajvae.errors import ReadError
from trajvae.molecule.from_mdanalysis import cache_bonds
from trajvae.molecule.from_mdtraj import topology_from_mdtraj
from trajvae.molecule.to_libraries import to_universe
from trajvae.readers.failures import as_read_error, parsing_limit
from trajvae.readers.file_formats.arrays import array_frames
from trajvae.readers.file_formats.library_readers import MdtrajFrames, ReaderFrames
from trajvae.readers.file_formats.mdtraj_hdf5 import load_mdtraj
from trajvae.readers.file_formats.netcdf import NetCDFFrames
from trajvae.readers.file_formats.packed_text import check_text
from trajvae.readers.formats import Format, format_of
from trajvae.readers.frame_file import ArrayFrames, FrameFile
from trajvae.readers.universes import open_universe
from trajvae.runtime.system import is_readable
from trajvae.store import check_hdf5
from trajvae.typing import AtomGroup, MdtrajTrajectory, TrajectoryReader, Universe


@dataclass(frozen=True, eq=False)
class OpenedTrajectory:
    """Hold a file of frames and the atoms that can be selected.

    Attributes
    ----------
    file : FrameFile
    atoms : AtomGroup
        All atoms; files of one topology share one universe.
    first : int
        Number of the file's first frame in the given trajectory; it is not 0 for later parts of a ChainReader.
    """

    file: FrameFile
    atoms: AtomGroup
    first: int = 0


def open_any(
    source: object,
    topologies: Sequence[str | Path] = (),
    format: str | None = None,
) -> list[OpenedTrajectory]:
    """Open trajectories of any kind.

    Parameters
    ----------
    source : str, Path, ndarray, mdtraj.Trajectory, Universe, AtomGroup, or a sequence of paths or of these objects
        Paths may be globs. Arrays are (T, N, D) in Å.
    topologies : sequence of str or Path
        For paths: none, one for all trajectories, or one for each trajectory.
    format : str, optional
        Format of the trajectories, where it does not follow from their suffixes.

    Returns
    -------
    list of OpenedTrajectory
        One for each file.

    Raises
    ------
    ReadError
        A file is missing or cannot be read, or the source is of another kind.
    """
    if isinstance(source, str | Path):
        return _open_paths([source], topologies, format)
    if not isinstance(source, Sequence) or _is_object(source):
        return _open_object(source)
    paths = [isinstance(item, str | Path) for item in source]
    if paths and all(paths):
        return _open_paths(source, topologies, format)
    if any(paths):
        raise ReadError("cannot read paths and objects together: give only paths or only objects")
    if not paths or not all(map(_is_object, source)):
        raise _unknown_source(source)
    return [opened for item in source for opened in _open_object(item)]


def _is_object(source: object) -> TypeGuard[AtomGroup]:
    """Return whether a source is an object of mdtraj or MDAnalysis that holds frames."""
    return _is_mdtraj(source) or (hasattr(source, "atoms") and hasattr(source, "universe"))


def _is_mdtraj(source: object) -> TypeGuard[MdtrajTrajectory]:
    """Return whether a source is an mdtraj.Trajectory, without importing mdtraj."""
    return hasattr(source, "xyz") and hasattr(source, "unitcell_vectors")


def _unknown_source(source: object) -> ReadError:
    """Return the error for a source of a kind that cannot be read."""
    expected = "a path, Universe, AtomGroup, mdtraj.Trajectory or array"
    return ReadError(f"cannot read frames from {type(source).__name__}: expected {expected}")


def _open_object(source: object) -> list[OpenedTrajectory]:
    """Open an array, or an object of MDAnalysis or mdtraj."""
    if isinstance(source, np.ndarray):
        n_atoms = source.shape[1] if source.ndim == 3 else 0
        return [OpenedTrajectory(array_frames(source, "the array"), _nameless_atoms(n_atoms))]
    if _is_mdtraj(source):
        return [_open_mdtraj(source)]
    if _is_object(source):
        atoms, files = open_universe(source)
        firsts = np.cumsum([0, *(f.n_frames for f in files)]).tolist()
        return [OpenedTrajectory(file, atoms, first) for file, first in zip(files, firsts, strict=False)]
    raise _unknown_source(source)


def _open_mdtraj(trajectory: MdtrajTrajectory, name: str = "the mdtraj trajectory") -> OpenedTrajectory:
    """Open an mdtraj.Trajectory, whose unit is nm."""
    xyz = trajectory.xyz * np.float32(10.0)
    boxes = None
    if trajectory.unitcell_lengths is not None:
        boxes = np.concatenate([trajectory.unitcell_lengths * 10.0, trajectory.unitcell_angles], axis=1).astype(float)
    times = np.asarray(trajectory.time, dtype=np.float64)
    atoms = to_universe(topology_from_mdtraj(trajectory.topology), xyz[:1]).atoms
    return OpenedTrajectory(ArrayFrames(array_frames(xyz, name).name, xyz, boxes, times), atoms)


def _nameless_atoms(n_atoms: int) -> AtomGroup:
    """Return atoms without names, for positions without a topology."""
    import MDAnalysis as mda

    return mda.Universe.empty(n_atoms, trajectory=False).atoms


def expand_paths(paths: Sequence[str | Path]) -> list[Path]:
    """Return the files that paths and globs stand for."""
    out: list[Path] = []
    for path in paths:
        if is_readable(path) or (Path(path).is_dir() and Path(path).suffix.lower() == ".dtr"):
            out.append(Path(path))
            continue
        matches = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else []
        if not matches:
            raise ReadError(f"no file '{path}'" if not glob.has_magic(str(path)) else f"no file matches '{path}'")
        out += map(Path, matches)
    return out


def _open_paths(
    paths: Sequence[str | Path], topologies: Sequence[str | Path], name: str | None
) -> list[OpenedTrajectory]:
    """Open trajectory files, of a named format or each by its suffix, with their topologies."""
    files = expand_paths(paths)
    if len(topologies) not in (0, 1, len(files)):
        raise ReadError(f"{len(topologies)} topologies for {len(files)} trajectories: give one, or one for each")
    if len(topologies) == len(files) > 1:
        by_path = {topology: open_topology(topology) for topology in dict.fromkeys(topologies)}
        atoms = [by_path[topology] for topology in topologies]
    else:
        given = [open_topology(topology) for topology in topologies]
        if not given and _is_bare(files[0], name):
            opened = [_open_file(path, name, None) for path in files]
            group = _nameless_atoms(opened[0].n_atoms)
            return [OpenedTrajectory(file, group) for file in opened]
        atoms = (given or [_read_atoms(files[0], name, "trajectory")]) * len(files)
    return [OpenedTrajectory(_open_file(p, name, group), group) for p, group in zip(files, atoms, strict=True)]


def open_topology(path: str | Path) -> AtomGroup:
    """Return the atoms of a topology file.

    Raises
    ------
    ReadError
        The file does not exist or cannot be read.
    """
    if not is_readable(path):
        raise ReadError(f"no topology file '{path}'")
    return _read_atoms(Path(path), None, "topology")


def _read_atoms(path: Path, name: str | None, what: str) -> AtomGroup:
    """Return the atoms of a topology or trajectory file, with what the file says of them; `what` is for messages."""
    file_format = format_of(path, name)
    if file_format.name == "HDF5":
        return _open_mdtraj(load_mdtraj(path)).atoms
    if _is_bare(path, name):
        return _nameless_atoms(_open_file(path, name, None).n_atoms)
    if file_format.packed:
        check_text(path)
    with as_read_error(f"{what} '{path}' cannot be read"), parsing_limit(path.stat().st_size):
        stat = path.stat()
        return _parse(str(path.resolve()), stat.st_size, stat.st_mtime_ns, file_format.name).atoms


def _is_bare(path: Path, name: str | None) -> bool:
    """Return whether a file holds positions but no names of atoms.

    Raises
    ------
    ReadError
        The file does not even hold the number of atoms.
    """
    file_format = format_of(path, name)
    if file_format.name in ("TRZ", "TRJ"):
        raise ReadError(f"'{path}' holds neither names nor the number of atoms: give a topology with -s/--topology")
    return file_format.bare


@functools.lru_cache(maxsize=4)
def _parse(path: str, size: int, changed: int, name: str) -> Universe:
    """Return the universe of a file with this size and time of change.

    The last universes are cached, since one topology often serves many trajectories. They are used to select atoms
    only; frames are read by other objects.
    """
    import MDAnalysis as mda
    from MDAnalysis import _PARSERS, _READERS

    parser = name if name in _PARSERS else None
    reader = name if name in _READERS else None
    return cache_bonds(mda.Universe(path, topology_format=parser, format=reader))


def _open_file(path: Path, name: str | None, atoms: AtomGroup | None) -> FrameFile:
    """Open the frames of a file; `atoms` are those of its topology, if one was given."""
    file_format = format_of(path, name)
    if file_format.name == "HDF5":
        return _open_mdtraj(load_mdtraj(path), str(path)).file
    if file_format.opener:
        if file_format.name == "H5MD":
            check_hdf5(path)
        return load(file_format.opener)(path)
    if file_format.reader == "mdtraj":
        return MdtrajFrames(path, file_format.name)
    reader = _open_reader(path, file_format, atoms)
    return NetCDFFrames(reader, path) if file_format.name == "NCDF" else ReaderFrames(reader, str(path))


def _open_reader(path: Path, file_format: Format, atoms: AtomGroup | None) -> TrajectoryReader:
    """Open a file by MDAnalysis' reader of its format."""
    from MDAnalysis import _READERS
    from MDAnalysis.coordinates.core import get_reader_for

    if file_format.name not in _READERS:
        raise ReadError(f"'{path}' is a topology without positions: give a trajectory")
    if file_format.packed:
        check_text(path)
    with as_read_error(f"'{path}' cannot be read"), parsing_limit(path.stat().st_size):
        options = {} if atoms is None else {"n_atoms": len(atoms.universe.atoms)}
        return get_reader_for(str(path), format=file_format.name)(str(path), **options)
