"""H5MD files of any program, read by the specification: groups of any name, fixed or listed times, atom identifiers.

References
----------
P. de Buyl, P. H. Colberg, F. Höfling, Comput. Phys. Commun. 185, 1546 (2014); https://www.nongnu.org/h5md/h5md.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trajvae.errors import ReadError
from trajvae.store.limits import check_contents
from trajvae.store.schema import open_hdf5, plain_attribute

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# what one unit is in Å, and in ps
_LENGTHS = {"": 1.0, "angstrom": 1.0, "å": 1.0, "a": 1.0, "nm": 10.0, "pm": 0.01, "m": 1e10}
_LENGTHS |= {"nanometer": 10.0, "nanometers": 10.0, "angstroms": 1.0}
_TIMES = {"": 1.0, "ps": 1.0, "fs": 1e-3, "ns": 1e3, "us": 1e6, "s": 1e12}


@dataclass(frozen=True, eq=False)
class H5MDFile:
    """A group of particles of an H5MD file that has positions.

    Attributes
    ----------
    path : Path
    group : str
        Name of the group below `/particles`.
    shape : tuple of int
        Frames, atoms and dimensions of the positions.
    times : ndarray, shape (T,)
        ps.
    length : float
        Å in the file's unit of length.
    periodic : bool
        Whether there are box vectors.
    """

    path: Path
    group: str
    shape: tuple[int, int, int]
    times: Float64
    length: float
    periodic: bool


def open_h5md(path: Path) -> H5MDFile:
    """Look at the positions of an H5MD file.

    Raises
    ------
    ReadError
        No such file, damaged, without positions, or with several groups of particles none of which is `trajectory`.
    """
    with open_hdf5(path) as file:
        check_contents(file, path)
        name = _group(file, path)
        position = file[f"particles/{name}/position"]
        value = position["value"]
        if value.ndim != 3 or value.shape[2] not in (2, 3) or value.dtype.kind != "f":
            raise ReadError(
                f"'{path}': wanted positions of shape (frames, atoms, 2 or 3), found {value.dtype} {value.shape}"
            )
        shape: tuple[int, int, int] = value.shape
        periodic = "edges" in file.get(f"particles/{name}/box", ())
        times = _times(position, shape[0], path)
        return H5MDFile(path, name, shape, times, _factor(value, _LENGTHS, path), periodic)


def is_h5md(path: Path) -> bool:
    """Tell whether an HDF5 file says that it is H5MD."""
    with open_hdf5(path) as file:
        return "h5md" in file and "particles" in file


def _group(file: h5py.File, path: Path) -> str:
    """The group of particles that is meant: the only one with positions, or `trajectory`."""
    particles = file.get("particles")
    names = list(particles) if isinstance(particles, h5py.Group) else []
    found = [name for name in names if isinstance(file.get(f"particles/{name}/position/value"), h5py.Dataset)]
    if not found:
        raise ReadError(f"'{path}' has no positions below /particles")
    if len(found) > 1 and "trajectory" not in found:
        raise ReadError(f"'{path}' has positions of several groups of particles ({', '.join(found)}): wanted one")
    return "trajectory" if "trajectory" in found else found[0]


def _factor(item: h5py.Dataset, units: dict[str, float], path: Path) -> float:
    unit = plain_attribute(item.attrs.get("unit", "")) or ""
    factor = units.get(str(unit).lower())
    if factor is None:
        raise ReadError(f"'{path}': '{item.name}' is in {unit!r}, wanted one of {', '.join(filter(None, units))}")
    return factor


def _times(element: h5py.Group, n_frames: int, path: Path) -> Float64:
    """Times of an element in ps: listed, a fixed interval with an offset, or the frames' numbers without any."""
    item = element.get("time")
    if not isinstance(item, h5py.Dataset):
        return np.arange(n_frames, dtype=np.float64)
    factor = _factor(item, _TIMES, path)
    if item.shape == ():
        offset = float(np.asarray(item.attrs.get("offset", 0.0)).ravel()[0])
        return np.asarray(factor * (offset + float(item[()]) * np.arange(n_frames)), dtype=np.float64)
    if item.shape != (n_frames,):
        raise ReadError(f"'{path}' has {n_frames} frames of positions and times of shape {item.shape}")
    return np.asarray(item[()], dtype=np.float64) * factor


def read_h5md(source: H5MDFile, pieces: list[range], atoms: Int64) -> Iterator[tuple[Any, Float64 | None]]:
    """Read positions of some atoms, and box vectors, of pieces of the trajectory.

    Parameters
    ----------
    source : H5MDFile
    pieces : list of range
        Frames that are read at once.
    atoms : ndarray of int64, shape (n,)

    Yields
    ------
    positions : ndarray, shape (t, n, D)
        Å, in the order of the atoms' identifiers where the file changes their order from frame to frame.
    vectors : ndarray, shape (t, 3, 3), or None
        Å.
    """
    with open_hdf5(source.path) as file:
        group = file[f"particles/{source.group}"]
        identifiers = group.get("id/value")
        permuted = isinstance(identifiers, h5py.Dataset) and identifiers.shape == source.shape[:2]
        for piece in pieces:
            rows = slice(piece.start, piece.stop, piece.step)
            x = group["position/value"][rows]
            if permuted:
                order = np.argsort(identifiers[rows], axis=1, kind="stable")
                x = np.take_along_axis(x, order[:, :, None], axis=1)
            # in the file's own precision: a factor in double precision would round twice
            yield x[:, atoms] * x.dtype.type(source.length), _vectors(group, source, piece)


def _vectors(group: h5py.Group, source: H5MDFile, piece: range) -> Float64 | None:
    """Box vectors (t, 3, 3) in Å, given as lengths or as vectors, once or for every frame."""
    if not source.periodic:
        return None
    edges = group["box/edges"]
    item = edges["value"] if isinstance(edges, h5py.Group) else edges
    listed = isinstance(edges, h5py.Group)
    rows = np.asarray(item[piece.start : piece.stop : piece.step] if listed else item[()][None], dtype=np.float64)
    if listed and len(rows) != len(piece):
        raise ReadError(f"'{source.path}' has {source.shape[0]} frames of positions and boxes of {item.shape[0]}")
    rows = np.broadcast_to(rows, (len(piece), *rows.shape[1:]))
    dimension = rows.shape[1]
    out = np.zeros((len(piece), 3, 3))
    if rows.ndim == 2:
        out[:, range(dimension), range(dimension)] = rows
    else:
        out[:, :dimension, :dimension] = rows
    return out * (_factor(item, _LENGTHS, source.path) if "unit" in item.attrs else source.length)
