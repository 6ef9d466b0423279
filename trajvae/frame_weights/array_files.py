"""Read weights from numpy's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.frame_weights.table import WeightTable
from trajvae.readers.file_formats.arrays import read_vectors
from trajvae.typing import AnyArray, Float64


def read_arrays(path: Path) -> WeightTable:
    """Read weights from an `.npy` file of one axis, or from the array `weights`, or the only one, of an `.npz` file.

    An `.npz` file may also hold `time`, in ps.

    Raises
    ------
    ReadError
        The file is damaged, holds Python objects, or has no such array.
    """
    found = read_vectors(path)
    time = found.pop("time", None)
    names = list(found)
    if "weights" not in found and len(found) != 1:
        told = ", ".join(names) or "none"
        raise ReadError(f"'{path}': expected one array of one axis, or one of the name 'weights', found {told}")
    column = "weights" if "weights" in found else names[0]
    values = _floats(found[column], path)
    named = column if path.suffix.lower() == ".npz" else ""
    return WeightTable(values, None if time is None else _floats(time, path), file=str(path), column=named)


def _floats(array: AnyArray, path: Path) -> Float64:
    if array.dtype.kind not in "fiub":
        raise ReadError(f"'{path}': expected numbers, got {array.dtype}")
    return np.asarray(array, dtype=np.float64)
