"""Reading H5MD files of other programs, by the specification of H5MD 1.1 (de Buyl, Colberg, Höfling, 2014)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from trajvae.errors import ReadError
from trajvae.store.opening import open_hdf5
from trajvae.store.schema import plain_attribute
from trajvae.store.untrusted_hdf5 import check_contents
from trajvae.typing import Float64, Floats, Int64

# the size of each unit in Å and in ps
_LENGTHS = {"angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "nanometer": 10.0, "nanometers": 10.0}
_LENGTHS |= {"pm": 0.01, "picometer": 0.01, "fm": 1e-5, "um": 1e4, "bohr": 0.529177210903}
_TIMES = {"ps": 1.0, "picosecond": 1.0, "picoseconds": 1.0, "fs": 1e-3, "femtosecond": 1e-3, "femtoseconds": 1e-3}
_TIMES |= {"ns": 1e3, "nanosecond": 1e3, "us": 1e6, "ms": 1e9, "s": 1e12, "akma": 4.888821e-2}


class H5MDParticles(NamedTuple):
    """Hold the contents of a group of particles, except for its positions.

    Attributes
    ----------
    group : str
        Path of the group in the file.
    n_frames, n_atoms : int
    unit : float
        Size of the file's unit of length in Å.
    times : ndarray, shape (T,)
        Times of the frames in ps.
    edges : ndarray, shape (T, 3, 3) or (1, 3, 3), optional
        Vectors of the box as rows, in Å.
    order : ndarray of int64, shape (T, N) or (1, N), optional
        Index in the file of each atom, where atoms are sorted by identifier.
    timed : bool
        Whether the file has times, not the numbers of frames alone.
    """

    group: str
    n_frames: int
    n_atoms: int
    unit: float
    times: Float64
    edges: Float64 | None
    order: Int64 | None
    timed: bool = True


def is_h5md(path: Path) -> bool | None:
    """Return True for a file with the contents of H5MD, False for an mdtraj file, and None for neither or both."""
    try:
        with h5py.File(path, "r") as file:
            names = ("particles", "coordinates", "topology")
            particles, *arrays = [isinstance(file.get(name, getlink=True), h5py.HardLink) for name in names]
    except (OSError, ValueError, RuntimeError):
        return None
    return particles if particles != all(arrays) else None


def describe_h5md(path: Path) -> H5MDParticles:
    """Read a file's particles without their positions.

    Raises
    ------
    ReadError
        The file is damaged, holds no positions or several groups with positions, or has contents that are refused (see
        `untrusted_hdf5`).
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
            "time" in group["position"],
        )  # fmt: skip


def read_h5md(path: Path, particles: H5MDParticles, frames: range, atoms: Int64) -> Floats:
    """Read the positions of some frames and atoms in Å, shape (t, n, D)."""
    with open_hdf5(path) as file:
        x = np.asarray(file[particles.group]["position/value"][frames.start : frames.stop : frames.step])
    x = x.astype(np.float64 if x.dtype.itemsize == 8 else np.float32, copy=False)
    if particles.order is None:
        x = x[:, atoms]
    else:
        every = frames.start, frames.stop, frames.step
        order = particles.order[slice(*every)] if len(particles.order) > 1 else particles.order
        x = np.take_along_axis(x, order[:, atoms, None], axis=1)
    return x if particles.unit == 1.0 else x * x.dtype.type(particles.unit)


def _group(file: h5py.File, path: Path) -> h5py.Group:
    """Find the group of particles to read: the only one with positions, or the one named 'trajectory'."""
    particles = file.get("particles")
    if not isinstance(particles, h5py.Group):
        raise ReadError(f"'{path}' is not an H5MD file: it has no group 'particles'")
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
    """Return a dataset of numbers, of the given rank if there is one."""
    item = group.get(name)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or rank not in (None, item.ndim):
        raise ReadError(f"'{path}': wanted numbers{f' of rank {rank}' if rank else ''} as '{group.name}/{name}'")
    return item


def _unit(item: h5py.Dataset, units: dict[str, float], path: Path, default: float | None = None) -> float:
    """Return the size of a dataset's unit in Å or ps; the default if the dataset names no unit."""
    unit = plain_attribute(item.attrs.get("unit"))
    if unit is None:
        if default is None:
            raise ReadError(f"'{path}': '{item.name}' has no attribute 'unit': wanted one of {', '.join(units)}")
        return default
    if not isinstance(unit, str) or unit.strip().lower() not in units:
        raise ReadError(f"'{path}': '{item.name}' is in {unit!r}: wanted one of {', '.join(units)}")
    return units[unit.strip().lower()]


def _clock(element: h5py.Group, n_frames: int, path: Path) -> Float64:
    """Return the times of the frames in ps: stored ones, or an interval times frame numbers, or frame numbers."""
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
    """Return the box vectors, shape (T or 1, 3, 3): a dataset if the box is fixed; three lengths stand for a cuboid."""
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
        return None  # a box of the plane, which is not used
    if values.shape[1:] != (3, 3) or len(values) not in (1, n_frames):
        raise ReadError(f"'{path}': '{item.name}' has the shape {item.shape}, wanted 3 or 3 x 3 numbers a frame")
    return values


def _order(group: h5py.Group, n_frames: int, n_atoms: int, path: Path) -> Int64 | None:
    """Return the indices of the atoms sorted by identifier, or None if they stand in that order already."""
    identifiers = group.get("id")
    if identifiers is None:
        return None
    fixed = isinstance(identifiers, h5py.Dataset)
    item = _numbers(group, "id" if fixed else "id/value", path)
    ids = np.atleast_2d(np.asarray(item[()]))
    if ids.shape not in ((1, n_atoms), (n_frames, n_atoms)):
        raise ReadError(f"'{path}': '{item.name}' has the shape {item.shape}, wanted {n_atoms} identifiers a frame")
    order = np.argsort(ids, axis=1, kind="stable")
    if (np.take_along_axis(ids, order, axis=1) != np.sort(ids[:1], axis=1)).any():
        raise ReadError(f"'{path}': '{item.name}' differs in some frames: the number or the kind of particles changes")
    return None if (order == np.arange(n_atoms)).all() else order
