"""mdtraj's own HDF5 files, read as arrays.

mdtraj reads them through PyTables, which unpickles attributes: a file would execute what it likes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from trajvae.errors import ReadError
from trajvae.store.json_text import parse_json
from trajvae.store.schema import open_hdf5, plain_attribute
from trajvae.store.untrusted_hdf5 import check_contents
from trajvae.typing import Float32

# what one unit is in nm, ps and degrees, by the names that mdtraj and those who write its files use
_LENGTHS = {"nanometers": 1.0, "nanometer": 1.0, "nm": 1.0, "angstroms": 0.1, "angstrom": 0.1}
_TIMES = {"picoseconds": 1.0, "picosecond": 1.0, "ps": 1.0, "nanoseconds": 1e3, "femtoseconds": 1e-3}
_ANGLES = {"degrees": 1.0, "degree": 1.0, "radians": 180.0 / np.pi}


class MdtrajArrays(NamedTuple):
    """What such a file holds.

    Attributes
    ----------
    positions : ndarray of float32, shape (T, N, 3)
        In nm.
    time : ndarray, shape (T,), optional
        In ps.
    lengths, angles : ndarray, shape (T, 3), optional
        Of the box, in nm and degrees.
    topology : dict
        mdtraj's JSON.
    """

    positions: Float32
    time: Float32 | None
    lengths: Float32 | None
    angles: Float32 | None
    topology: dict[str, Any]


def read_mdtraj(path: Path) -> MdtrajArrays:
    """Read coordinates, times, boxes and the topology.

    Raises
    ------
    ReadError
        No such file, damaged, or none of mdtraj's; see `limits` for what is refused.
    """
    with open_hdf5(path) as file:
        check_contents(file, path)
        if not all(isinstance(file.get(name), h5py.Dataset) for name in ("coordinates", "topology")):
            own = file.get("trajvae")
            if own is not None and "kind" in own.attrs:
                raise ReadError(f"'{path}' holds {own.attrs['kind']} that trajvae wrote; wanted: a trajectory")
            raise ReadError(f"'{path}' is no mdtraj HDF5 file: it has no coordinates or no topology")
        frames, atoms = (*file["coordinates"].shape, 0, 0)[:2]
        return MdtrajArrays(
            _array(file, "coordinates", (frames, atoms, 3), _LENGTHS),
            _array(file, "time", (frames,), _TIMES) if "time" in file else None,
            _array(file, "cell_lengths", (frames, 3), _LENGTHS) if "cell_lengths" in file else None,
            _array(file, "cell_angles", (frames, 3), _ANGLES) if "cell_angles" in file else None,
            _topology(file, path),
        )


def _array(file: h5py.File, name: str, shape: tuple[int, ...], units: dict[str, float]) -> Float32:
    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or item.shape != shape:
        raise ReadError(f"'{file.filename}': wanted numbers of shape {shape} as '{name}'")
    unit = plain_attribute(item.attrs.get("units"))
    if not isinstance(unit, str) or unit not in units:
        raise ReadError(f"'{file.filename}': '{name}' is in {unit!r}, wanted one of {', '.join(units)}")
    values = item.astype(np.float32)[()]
    return np.asarray(values if units[unit] == 1.0 else values * np.float32(units[unit]), dtype=np.float32)


def _topology(file: h5py.File, path: Path) -> dict[str, Any]:
    item = file["topology"]
    if not h5py.check_string_dtype(item.dtype) or item.shape != (1,):
        raise ReadError(f"'{path}': wanted one text as 'topology'")
    found = parse_json(item[0])
    if not isinstance(found, dict):
        raise ReadError(f"'{path}': its topology is no JSON object")
    return found
