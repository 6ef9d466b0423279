"""H5MD files of other programs, by the specification of H5MD 1.1 (de Buyl, Colberg, Höfling, 2014)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from trajvae.errors import ReadError
from trajvae.store.schema import open_hdf5, plain_attribute
from trajvae.store.untrusted_hdf5 import check_contents
from trajvae.typing import Float64, Floats, Int64

# what one unit is in Å and in ps
_LENGTHS = {"angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "nanometer": 10.0, "nanometers": 10.0}
_LENGTHS |= {"pm": 0.01, "picometer": 0.01, "fm": 1e-5, "um": 1e4, "bohr": 0.529177210903}
_TIMES = {"ps": 1.0, "picosecond": 1.0, "picoseconds": 1.0, "fs": 1e-3, "femtosecond": 1e-3, "femtoseconds": 1e-3}
_TIMES |= {"ns": 1e3, "nanosecond": 1e3, "us": 1e6, "ms": 1e9, "s": 1e12, "akma": 4.888821e-2}


class H5MDParticles(NamedTuple):
    """What a group of particles holds beside its positions.

    Attributes
    ----------
    group : str
        Its path in the file.
    n_frames, n_atoms : int
    unit : float
        What one unit of length is in Å.
    times : ndarray, shape (T,)
        In ps.
    edges : ndarray, shape (T, 3, 3) or (1, 3, 3), optional
        Vectors of the box as rows, in Å.
    order : ndarray of int64, shape (T, N) or (1, N), optional
        Where each atom, by ascending identifier, stands in the file.
    """

    group: str
    n_frames: int
    n_atoms: int
    unit: float
    times: Float64
    edges: Float64 | None
    order: Int64 | None


def is_h5md(path: Path) -> bool | None:
    """Return whether a file is H5MD by its contents, True; an mdtraj HDF5, False; or neither or both, None."""
    try:
        with h5py.File(path, "r") as file:
            own = [
                isinstance(file.get(k, getlink=True), h5py.HardLink) for k in ("particles", "coordinates", "topology")
            ]
            ours, mdtrajs = own[0], own[1] and own[2]
    except (OSError, ValueError, RuntimeError):
        return None
    return ours if ours != mdtrajs else None


def describe_h5md(path: Path) -> H5MDParticles:
    """Read everything but the positions.

    Raises
    ------
    ReadError
        The file is damaged, holds no positions, or several groups that hold some; see `limits` for what is refused.
    """
    with open_hdf5(path) as file:
        check_contents(file, path)
        group = _group(file, path)
        value = _numbers(group, "position/value", path, 3)
        n_frames, n_atoms, dimension = value.shape
        if dimension not in (2, 3):
            raise ReadError(f"'{path}': positions of shape {value.shape}, wanted (frames, atoms, 2 or 3)")
        unit = _unit(value, _LENGTHS, path)
        element = group["position"]
        return H5MDParticles(
            str(group.name), n_frames, n_atoms, unit, _clock(element, n_frames, path),
            _edges(group, n_frames, path, unit), _order(group, n_frames, n_atoms, path),
        )  # fmt: skip


def read_h5md(path: Path, found: H5MDParticles, frames: range, atoms: Int64) -> Floats:
    """Read the positions of some frames and atoms in Å, shape (t, n, D)."""
    with open_hdf5(path) as file:
        x = np.asarray(file[found.group]["position/value"][frames.start : frames.stop : frames.step])
    x = x.astype(np.float64 if x.dtype.itemsize == 8 else np.float32, copy=False)
    if found.order is None:
        x = x[:, atoms]
    else:
        order = found.order[frames.start : frames.stop : frames.step] if len(found.order) > 1 else found.order
        x = np.take_along_axis(x, order[:, atoms, None], axis=1)
    return x if found.unit == 1.0 else x * x.dtype.type(found.unit)


def _group(file: h5py.File, path: Path) -> h5py.Group:
    """Find the group of particles to read: the only one with positions, or the one named 'trajectory'."""
    particles = file.get("particles")
    if not isinstance(particles, h5py.Group):
        raise ReadError(f"'{path}' is no H5MD file: it has no group 'particles'")
    names = [n for n in particles if isinstance(particles.get(f"{n}/position/value"), h5py.Dataset)]
    if not names:
        raise ReadError(f"'{path}': no group of particles has positions (found {', '.join(particles) or 'none'})")
    if len(names) > 1 and "trajectory" not in names:
        raise ReadError(
            f"'{path}': several groups of particles have positions ({', '.join(names)}): wanted one, or one that is "
            "named 'trajectory'"
        )
    return particles[names[0] if len(names) == 1 else "trajectory"]


def _numbers(group: h5py.Group, name: str, path: Path, rank: int | None = None) -> h5py.Dataset:
    item = group.get(name)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or rank not in (None, item.ndim):
        raise ReadError(f"'{path}': wanted numbers{f' of rank {rank}' if rank else ''} as '{group.name}/{name}'")
    return item


def _unit(item: h5py.Dataset, units: dict[str, float], path: Path, default: float | None = None) -> float:
    """Return what the unit of a dataset is in Å or ps; where none is given, the default."""
    unit = plain_attribute(item.attrs.get("unit"))
    if unit is None:
        if default is None:
            raise ReadError(f"'{path}': '{item.name}' has no attribute 'unit': wanted one of {', '.join(units)}")
        return default
    if not isinstance(unit, str) or unit.strip().lower() not in units:
        raise ReadError(f"'{path}': '{item.name}' is in {unit!r}: wanted one of {', '.join(units)}")
    return units[unit.strip().lower()]


def _clock(element: h5py.Group, n_frames: int, path: Path) -> Float64:
    """Return times in ps: as stored a frame, by a fixed interval and an offset, or the frames' numbers."""
    if "time" not in element:
        return np.arange(n_frames, dtype=np.float64)
    item = _numbers(element, "time", path)
    unit = _unit(item, _TIMES, path, 1.0)
    if item.ndim == 0:
        offset = float(plain_attribute(item.attrs.get("offset")) or 0.0)
        return np.asarray((offset + float(item[()]) * np.arange(n_frames)) * unit)
    if item.shape != (n_frames,):
        raise ReadError(f"'{path}': '{item.name}' has the shape {item.shape}, wanted ({n_frames},)")
    return np.asarray(item[()], dtype=np.float64) * unit


def _edges(group: h5py.Group, n_frames: int, path: Path, unit: float) -> Float64 | None:
    """Return box vectors: fixed ones are a dataset, others have a value a frame; a vector means a cuboid."""
    edges, boundary = group.get("box/edges"), None
    if edges is not None:
        boundary = plain_attribute(group["box"].attrs.get("boundary"))
    if edges is None or (isinstance(boundary, list) and set(boundary) == {"none"}):
        return None
    fixed = isinstance(edges, h5py.Dataset)
    item = _numbers(group, "box/edges" if fixed else "box/edges/value", path)
    values = np.asarray(item[()], dtype=np.float64) * _unit(item, _LENGTHS, path, unit)
    values = values[None] if fixed else values
    if values.shape[1:] == (3,):
        values = values[:, :, None] * np.eye(3)
    if values.shape[1:] == (2,) or values.shape[1:] == (2, 2):
        return None  # a plane has no box that holds a molecule
    if values.shape[1:] != (3, 3) or len(values) not in (1, n_frames):
        raise ReadError(f"'{path}': '{item.name}' has the shape {item.shape}, wanted 3 or 3 x 3 numbers a frame")
    return values


def _order(group: h5py.Group, n_frames: int, n_atoms: int, path: Path) -> Int64 | None:
    """Return where atoms stand by ascending identifier, or None where they stand so already."""
    found = group.get("id")
    if found is None:
        return None
    fixed = isinstance(found, h5py.Dataset)
    item = _numbers(group, "id" if fixed else "id/value", path)
    ids = np.atleast_2d(np.asarray(item[()]))
    if ids.shape not in ((1, n_atoms), (n_frames, n_atoms)):
        raise ReadError(f"'{path}': '{item.name}' has the shape {item.shape}, wanted {n_atoms} identifiers a frame")
    order = np.argsort(ids, axis=1, kind="stable")
    if (np.take_along_axis(ids, order, axis=1) != np.sort(ids[:1], axis=1)).any():
        raise ReadError(f"'{path}': '{item.name}' names other particles in some frames: their number or kind changes")
    return None if (order == np.arange(n_atoms)).all() else order
