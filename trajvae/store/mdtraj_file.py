"""Reading mdtraj's own HDF5 files as arrays.

mdtraj reads them through PyTables, which unpickles attributes and so executes code that a file holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from trajvae.errors import ReadError
from trajvae.store.json_text import parse_json
from trajvae.store.opening import open_hdf5
from trajvae.store.schema import plain_attribute
from trajvae.store.untrusted_hdf5 import check_contents
from trajvae.typing import Float32, JSONObject

# the size of each unit in nm, ps and degrees, by the names that mdtraj and other writers of such files use
_LENGTHS = {"nanometers": 1.0, "nanometer": 1.0, "nm": 1.0, "angstroms": 0.1, "angstrom": 0.1}
_TIMES = {"picoseconds": 1.0, "picosecond": 1.0, "ps": 1.0, "nanoseconds": 1e3, "femtoseconds": 1e-3}
_ANGLES = {"degrees": 1.0, "degree": 1.0, "radians": 180.0 / np.pi}


class MdtrajArrays(NamedTuple):
    """Hold the contents of an mdtraj file.

    Attributes
    ----------
    positions : ndarray of float32, shape (T, N, 3)
        In nm.
    time : ndarray, shape (T,), optional
        In ps.
    lengths, angles : ndarray, shape (T, 3), optional
        Edge lengths and angles of the box, in nm and degrees.
    topology : dict
        mdtraj's description of the topology, as JSON.
    """

    positions: Float32
    time: Float32 | None
    lengths: Float32 | None
    angles: Float32 | None
    topology: JSONObject


def read_mdtraj(path: Path) -> MdtrajArrays:
    """Read coordinates, times, boxes and the topology.

    Raises
    ------
    ReadError
        The file does not exist, is damaged, was not written by mdtraj, or has contents that are refused (see
        `untrusted_hdf5`).
    """
    with open_hdf5(path) as file:
        check_contents(file, path)
        if not all(isinstance(file.get(name), h5py.Dataset) for name in ("coordinates", "topology")):
            header = file.get("trajvae")
            if header is not None and "kind" in header.attrs:
                raise ReadError(f"'{path}' holds {header.attrs['kind']} that trajvae wrote; wanted: a trajectory")
            raise ReadError(f"'{path}' is not an mdtraj HDF5 file: it has no coordinates or no topology")
        frames, atoms = (*file["coordinates"].shape, 0, 0)[:2]
        return MdtrajArrays(
            _array(file, "coordinates", (frames, atoms, 3), _LENGTHS),
            _array(file, "time", (frames,), _TIMES) if "time" in file else None,
            _array(file, "cell_lengths", (frames, 3), _LENGTHS) if "cell_lengths" in file else None,
            _array(file, "cell_angles", (frames, 3), _ANGLES) if "cell_angles" in file else None,
            _topology(file, path),
        )


def _array(file: h5py.File, name: str, shape: tuple[int, ...], units: dict[str, float]) -> Float32:
    """Return an array of the given shape in nm, ps or degrees."""
    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or item.shape != shape:
        raise ReadError(f"'{file.filename}': wanted numbers of shape {shape} as '{name}'")
    unit = plain_attribute(item.attrs.get("units"))
    if not isinstance(unit, str) or unit not in units:
        raise ReadError(f"'{file.filename}': '{name}' is in {unit!r}, wanted one of {', '.join(units)}")
    values = item.astype(np.float32)[()]
    return np.asarray(values if units[unit] == 1.0 else values * np.float32(units[unit]), dtype=np.float32)


def _topology(file: h5py.File, path: Path) -> JSONObject:
    """Return the topology, a JSON object."""
    item = file["topology"]
    if not h5py.check_string_dtype(item.dtype) or item.shape != (1,):
        raise ReadError(f"'{path}': wanted one text as 'topology'")
    topology = parse_json(item[0])
    if not isinstance(topology, dict):
        raise ReadError(f"'{path}': its topology is not a JSON object")
    return topology
