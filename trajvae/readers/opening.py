"""From what users have to runs of frames and the atoms to select from."""

from __future__ import annotations

import functools
import glob
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.arrays import array_frames
from trajvae.readers.formats import Format, format_of
from trajvae.readers.frames import FrameFile
from trajvae.readers.library import reading
from trajvae.readers.mda_reader import ReaderFrames
from trajvae.readers.mdtraj_source import open_mdtraj, open_mdtraj_file
from trajvae.readers.molecules import keep
from trajvae.store import check_hdf5
from trajvae.store.h5md_file import is_h5md

_FOLDERS = (".dtr", ".stk")  # formats whose trajectories are folders


class OpenedTrajectory(NamedTuple):
    """A run of frames, and the atoms that can be selected from; its universe has as many atoms as the frames.

    Attributes
    ----------
    file : FrameFile
    atoms : AtomGroup
    """

    file: FrameFile
    atoms: Any


def open_any(source: Any, topologies: Sequence[str | Path] = (), format: str | None = None) -> list[OpenedTrajectory]:
    """Open whatever the user has.

    Parameters
    ----------
    source
        See `open_source`.
    topologies : sequence of str or Path
        For paths: one for all, or one for each.
    format : str, optional
        Of the files, where their suffix does not tell it.

    Raises
    ------
    ReadError
        Nothing that frames can be read from, a damaged or missing file, or topologies in another number.
    """
    if isinstance(source, str | Path):
        return _open_paths([source], topologies, format)
    if isinstance(source, list | tuple) and source:
        paths = [isinstance(s, str | Path) for s in source]
        if all(paths):
            return _open_paths(source, topologies, format)
        if not any(paths):
            return [opened for s in source for opened in _open_object(s)]
        raise ReadError("cannot read paths and objects as one data set: wanted paths alone, or objects alone")
    return _open_object(source)


def _open_object(source: Any) -> list[OpenedTrajectory]:
    """Open an array, or an object of MDAnalysis or mdtraj."""
    if isinstance(source, np.ndarray):
        frames = array_frames(source, "the array")
        return [OpenedTrajectory(frames, _anonymous(frames.n_atoms))]
    if hasattr(source, "xyz") and hasattr(source, "unitcell_vectors"):
        return [OpenedTrajectory(*open_mdtraj(source))]
    if hasattr(source, "atoms") and hasattr(source, "universe"):
        atoms = _static(source)
        return [OpenedTrajectory(file, atoms) for file in _files_of(atoms.universe)]
    raise ReadError(
        f"cannot read frames from {type(source).__name__}: wanted a path, Universe, AtomGroup, mdtraj or array"
    )


def _static(source: Any) -> Any:
    """The atoms of a Universe or AtomGroup; those of an UpdatingAtomGroup as they are now."""
    atoms = source.atoms
    if not len(atoms):
        raise ReadError("the AtomGroup is empty: wanted at least one atom")
    if type(source).__name__ == "UpdatingAtomGroup":
        atoms = atoms.universe.atoms[atoms.indices]
        warnings.warn(
            f"the AtomGroup changes from frame to frame; its {len(atoms)} atoms of the current frame are used for all",
            TrajvaeWarning,
            stacklevel=5,
        )
    return atoms


def _files_of(universe: Any) -> list[FrameFile]:
    """The files behind a Universe's trajectory where they are plain ones, else its readers."""
    trajectory = universe.trajectory
    parts = getattr(trajectory, "readers", None)
    if parts is not None and not trajectory.transformations and not _is_continuous(trajectory):
        return [_file_of(part) for part in parts]
    return [_file_of(trajectory)]


def _is_continuous(chain: Any) -> bool:
    """Whether a ChainReader leaves out frames that overlap."""
    return bool(chain.n_frames != sum(part.n_frames for part in chain.readers))


def _file_of(reader: Any) -> FrameFile:
    name = getattr(reader, "filename", None)
    plain = not reader.transformations and isinstance(name, str | Path) and Path(name).is_file()
    if plain and reader.format in ("DCD", "XTC", "TRR", "H5MD"):
        path = Path(str(name))
        file = format_of(path, reader.format).open(path, reader.n_atoms)
        if _has_own_times(reader, file):
            return file
    return ReaderFrames(reader, str(name) if name else "the universe")


def _has_own_times(reader: Any, file: FrameFile) -> bool:
    """Whether a reader gives the times of its file: `dt` and `time_offset` of a Universe change them."""
    times, numbers = file.times(range(file.n_frames)), file.frame_numbers(range(file.n_frames))
    known = np.flatnonzero(numbers == reader.ts.frame)
    same = not len(known) or bool(np.isclose(times[known[0]], reader.ts.time, rtol=1e-5))
    if reader.format != "DCD" or len(times) < 2:
        return same
    return same and bool(np.isclose(times[1] - times[0], reader.dt, rtol=1e-5))  # DCD has no times but the step


def _anonymous(n_atoms: int) -> Any:
    """Atoms of which nothing is known."""
    import MDAnalysis as mda

    return mda.Universe.empty(n_atoms, trajectory=False).atoms


def _expand(paths: Sequence[str | Path]) -> list[Path]:
    """Files of names and globs, those of a glob sorted."""
    out: list[Path] = []
    for path in paths:
        if Path(path).is_file() or (Path(path).is_dir() and Path(path).suffix.lower() in _FOLDERS):
            out.append(Path(path))
            continue
        found = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else []
        if not found:
            raise ReadError(f"no file '{path}'" if not glob.has_magic(str(path)) else f"no file matches '{path}'")
        out += map(Path, found)
    return out


def _open_paths(
    paths: Sequence[str | Path], topologies: Sequence[str | Path], wanted: str | None
) -> list[OpenedTrajectory]:
    files, given = _expand(paths), [Path(t) for t in topologies]
    for topology in given:
        if not topology.is_file():
            raise ReadError(f"no topology file '{topology}'")
    if len(given) not in (0, 1, len(files)):
        raise ReadError(f"{len(files)} trajectories and {len(given)} topologies: wanted one topology, or one for each")
    if len(given) < 2:
        atoms = open_topology(given[0]) if given else _own_topology(files[0], format_of(files[0], wanted))
        return [OpenedTrajectory(format_of(f, wanted).open(f, len(atoms)), atoms) for f in files]
    opened = {topology: open_topology(topology) for topology in dict.fromkeys(given)}
    return [
        OpenedTrajectory(format_of(f, wanted).open(f, len(opened[t])), opened[t])
        for f, t in zip(files, given, strict=True)
    ]


def open_topology(path: Path) -> Any:
    """Return the atoms of a topology file, as an AtomGroup.

    Raises
    ------
    ReadError
    """
    return _own_topology(path, format_of(path), "topology")


def _own_topology(path: Path, found: Format, what: str = "trajectory") -> Any:
    """The atoms of a file: with names where it has them, else as many as its frames have."""
    if path.suffix.lower() in (".h5", ".hdf5", ".h5md"):
        check_hdf5(path)
        if not is_h5md(path):
            return open_mdtraj_file(path)[1]
    parser = found.name if found.name == "LAMMPSDUMP" else None
    if not found.names or found.name == "HDF5":
        return _anonymous(found.open(path, None).n_atoms)
    with reading(f"{what} '{path}' cannot be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what PDB files lack
        stat = path.stat()
        return _parsed(str(path.resolve()), parser, stat.st_size, stat.st_mtime_ns).atoms


@functools.lru_cache(maxsize=4)
def _parsed(path: str, parser: str | None, size: int, changed: int) -> Any:
    """The universe of a file as it is now; the last ones are kept, since one topology often serves many trajectories.

    Atoms are selected from it and nothing else is done with it: frames have readers of their own.
    """
    import MDAnalysis as mda

    return keep(mda.Universe(path, **({"topology_format": parser, "format": parser} if parser else {})))
