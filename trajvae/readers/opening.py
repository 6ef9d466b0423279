"""From what users have to files of frames and a universe of atoms to select from."""

from __future__ import annotations

import functools
import glob
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.arrays import array_frames, open_array
from trajvae.readers.frames import ArrayFrames, DCDFrames, FrameFile, ReaderFrames, XDRFrames, first_line
from trajvae.readers.from_mdtraj import topology_from_mdtraj
from trajvae.readers.mdtraj_hdf5 import load_mdtraj
from trajvae.readers.molecules import keep, to_universe
from trajvae.store import check_hdf5


def open_any(source: Any, topology: str | Path | None) -> tuple[list[FrameFile], Any]:
    """Open whatever the user has.

    Parameters
    ----------
    source
        See `open_source`.
    topology : str or Path, optional
        For paths.

    Returns
    -------
    files : list of FrameFile
    atoms : AtomGroup
        What can be selected from; its universe has as many atoms as the files.
    """
    if isinstance(source, np.ndarray):
        return [array_frames(source, "the array")], _anonymous(source.shape[1] if source.ndim == 3 else 0)
    if hasattr(source, "xyz") and hasattr(source, "unitcell_vectors"):
        return _open_mdtraj(source)
    if hasattr(source, "atoms") and hasattr(source, "universe"):
        atoms = source.atoms
        return _reader_files(atoms.universe.trajectory), atoms
    if isinstance(source, str | Path):
        return _open_paths([source], topology)
    if isinstance(source, Sequence) and source and all(isinstance(s, str | Path) for s in source):
        return _open_paths(source, topology)
    raise ReadError(
        f"cannot read frames from {type(source).__name__}: wanted a path, Universe, AtomGroup, mdtraj or array"
    )


def _open_mdtraj(trajectory: Any, name: str = "the mdtraj trajectory") -> tuple[list[FrameFile], Any]:
    plain = topology_from_mdtraj(trajectory.topology)
    xyz = trajectory.xyz * np.float32(10.0)
    boxes = None
    if trajectory.unitcell_lengths is not None:
        boxes = np.concatenate([trajectory.unitcell_lengths * 10.0, trajectory.unitcell_angles], axis=1).astype(float)
    frames = array_frames(xyz, name)
    times = np.asarray(trajectory.time, dtype=float)
    clock = (float(times[0]), float(times[1] - times[0]) or 1.0) if len(times) > 1 else (0.0, 1.0)
    return [ArrayFrames(frames.name, xyz, boxes, clock=clock)], to_universe(plain, xyz[:1]).atoms


def _anonymous(n_atoms: int) -> Any:
    import MDAnalysis as mda

    universe = mda.Universe.empty(n_atoms, trajectory=False)
    return universe.atoms


def _expand(paths: Sequence[str | Path]) -> list[Path]:
    out: list[Path] = []
    for path in paths:
        if Path(path).is_file():
            out.append(Path(path))
            continue
        found = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else []
        if not found:
            raise ReadError(f"no file '{path}'" if not glob.has_magic(str(path)) else f"no file matches '{path}'")
        out += map(Path, found)
    return out


def _open_paths(paths: Sequence[str | Path], given: str | Path | None) -> tuple[list[FrameFile], Any]:
    files = _expand(paths)
    topology = None if given is None else Path(given)
    if topology is not None and not topology.is_file():
        raise ReadError(f"no topology file '{topology}'")
    universe = _universe(topology or files[0], files[0])
    return [_open_file(p, universe) for p in files], universe.atoms


def _universe(topology: Path, first: Path) -> Any:
    """The universe to select from: of the topology, or as much of one as the first trajectory carries."""
    if topology.suffix.lower() in (".npy", ".npz"):
        return _anonymous(open_array(topology).n_atoms).universe
    if topology.suffix.lower() == ".h5":
        return _open_mdtraj(load_mdtraj(topology))[1].universe
    if topology.suffix.lower() == ".h5md":
        check_hdf5(topology)
    bare = topology == first and topology.suffix.lower() in (".dcd", ".xtc", ".trr", ".ncdf", ".nc", ".h5md")
    if bare and topology.suffix.lower() in (".dcd", ".xtc", ".trr"):
        return _anonymous(_open_file(topology, None).n_atoms).universe
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what PDB files lack
        try:
            stat = topology.stat()
            return _parsed(str(topology.resolve()), stat.st_size, stat.st_mtime_ns, bare=bare)
        except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, RuntimeError) as error:
            what = "trajectory" if topology == first else "topology"
            raise ReadError(f"{what} '{topology}' cannot be read: {first_line(error)}") from error


@functools.lru_cache(maxsize=1)
def _parsed(path: str, size: int, changed: int, *, bare: bool) -> Any:
    """The universe of a file as it is now; the last one is kept, since one topology often serves many trajectories.

    Atoms are selected from it and nothing else is done with it: frames have readers of their own.
    """
    import MDAnalysis as mda

    return keep(mda.Universe(path, **({"to_guess": ()} if bare else {})))


def _open_file(path: Path, universe: Any) -> FrameFile:
    from MDAnalysis.coordinates.core import reader as reader_of

    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return open_array(path)
    if suffix == ".h5":
        (frames,), _ = _open_mdtraj(load_mdtraj(path), str(path))
        return frames
    if suffix in (".xtc", ".trr"):
        return XDRFrames(path)
    if suffix == ".h5md":
        check_hdf5(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if suffix == ".dcd":
                return DCDFrames(path)
            reader = reader_of(str(path), n_atoms=len(universe.atoms))
        except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RuntimeError, struct.error) as error:
            raise ReadError(f"'{path}' cannot be read: {first_line(error)}") from error
    return ReaderFrames(reader, str(path))


def _reader_files(trajectory: Any) -> list[FrameFile]:
    """The file behind a Universe's trajectory if it is a plain one, else the reader itself."""
    name = getattr(trajectory, "filename", None)
    plain = not trajectory.transformations and isinstance(name, str | Path) and Path(name).is_file()
    if plain and trajectory.format in ("DCD", "XTC", "TRR"):
        opener = DCDFrames if trajectory.format == "DCD" else XDRFrames
        return [opener(Path(str(name)))]
    return [ReaderFrames(trajectory, str(name) if name else "the universe")]
