"""Conformations as H5MD that MDAnalysis opens and, in the same datasets, as HDF5 that mdtraj opens."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from trajvae._version import __version__
from trajvae.errors import OutputError
from trajvae.store.checksums import ChecksumWriter, file_with_checksums
from trajvae.store.crc32 import SEAL
from trajvae.store.mdtraj_topology import mdtraj_topology
from trajvae.store.opening import open_file
from trajvae.store.schema import (
    Header,
    Quantity,
    Tree,
    describe_quantity,
    read_array,
    read_tree,
    set_attributes,
    text_array,
    write_header,
    write_tree,
)
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Float64, JSONObject

_NM = 0.1  # Å to nm


class ConformationsFile:
    """Write a file with space for n conformations, which are appended piece by piece.

    Data are contiguous, as their number is known: no chunks, no fill values, and nothing is written twice.

    Attributes
    ----------
    done : int
        How many are there.
    """

    def __init__(self, file: h5py.File, shape: tuple[int, ...], sums: ChecksumWriter) -> None:
        self.done, self._file, self._sums = 0, file, sums
        self._n, self._dimension = shape[0], shape[2]
        group = file.create_group("particles/trajectory")
        box = group.create_group("box")
        box.attrs["dimension"] = 3
        box.attrs["boundary"] = np.array(["none"] * 3, dtype="S4")
        # mdtraj's reader, PyTables, resolves links and reads contiguous or chunked data alike
        self._value = group.create_dataset("position/value", (self._n, shape[1], 3), dtype=np.float32)
        self._value.attrs["unit"] = "nm"
        self._value.attrs["units"] = np.bytes_("nanometers")
        step = group.create_dataset("position/step", (self._n,), dtype=np.int64)
        time = group.create_dataset("position/time", (self._n,), dtype=np.float32)
        time.attrs["unit"] = "ps"
        time.attrs["units"] = np.bytes_("picoseconds")
        self._counts = {"step": step, "position/time": time}
        file["coordinates"] = self._value
        file["time"] = time

    def append(self, positions: Float64, observables: Mapping[str, Quantity]) -> None:
        """Write the next conformations (k, N, D) in Å, and a row each of the observables; all pieces have the same."""
        rows = slice(self.done, self.done + len(positions))
        data = np.zeros((len(positions), *self._value.shape[1:]), dtype=np.float32)
        data[..., : self._dimension] = positions * _NM
        self._write(self._value, rows, data)
        for name, quantity in observables.items():
            text = quantity.value.dtype.kind == "U"
            self._write(self._values(name, quantity), rows, text_array(quantity.value) if text else quantity.value)
        for counts in self._counts.values():
            self._write(counts, rows, np.arange(rows.start, rows.stop))
        self.done = rows.stop

    def _write(self, dataset: h5py.Dataset, rows: slice, values: AnyArray) -> None:
        dataset[rows] = values
        self._sums.add_rows(dataset, values)

    def describe(self, attributes: Mapping[str, object]) -> None:
        """Set attributes of `/trajvae`."""
        set_attributes(self._file["trajvae"], attributes)

    def _values(self, name: str, quantity: Quantity) -> h5py.Dataset:
        """The observable's dataset, made with the first piece; steps and times are one for all, by hard links."""
        path = f"observables/{name}"
        if path in self._file:
            return self._file[path]["value"]
        group = self._file.create_group(path)
        if "time" not in self._counts:
            self._counts["time"] = group.create_dataset("time", (self._n,), dtype=np.float64)
            self._counts["time"].attrs["unit"] = "ps"
        else:
            group["time"] = self._counts["time"]
        group["step"] = self._counts["step"]
        value = quantity.value
        dtype = h5py.string_dtype() if value.dtype.kind == "U" else value.dtype
        made = group.create_dataset("value", (self._n, *value.shape[1:]), dtype=dtype)
        describe_quantity(made, quantity)
        return made


@contextlib.contextmanager
def conformations_file(
    path: Path, shape: tuple[int, ...], topology: Topology, header: Header, extra: Tree | None = None
) -> Iterator[ConformationsFile]:
    """Make a file that opens in MDAnalysis and mdtraj when all n conformations are appended.

    Parameters
    ----------
    path : Path
        Written as it is; the caller makes it whole or absent.
    shape : tuple of int
        (n, N, D): positions are stored once, in nm and float32, with z = 0 where D = 2.
    topology : Topology
    header : Header
    extra : mapping, optional
        Arrays below `/trajvae`.

    Raises
    ------
    OutputError
        The disk has no room for them, or fewer were appended.
    """
    n, atoms, dimension = shape
    room, wanted = shutil.disk_usage(path.absolute().parent).free, 12 * n * atoms
    if wanted > room:
        raise OutputError(f"{n} conformations take {_amount(wanted)}, the disk has room for {_amount(room)}")
    with file_with_checksums(path) as (file, sums):
        group = write_header(file, header)
        group.attrs["dimension"] = dimension
        write_tree(group, extra or {}, sums)
        _write_h5md(file)
        _write_mdtraj(file, topology)
        out = ConformationsFile(file, shape, sums)
        yield out
        if out.done != n:
            raise OutputError(f"{n} conformations were to be written, {out.done} came")


def _amount(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"


def _write_h5md(file: h5py.File) -> None:
    h5md = file.create_group("h5md")
    h5md.attrs["version"] = np.array([1, 1])
    h5md.create_group("author").attrs["name"] = "trajvae"
    creator = h5md.create_group("creator")
    creator.attrs["name"], creator.attrs["version"] = "trajvae", __version__


def _write_mdtraj(file: h5py.File, topology: Topology) -> None:
    attributes = {
        "conventions": "Pande",
        "conventionVersion": "1.1",
        "program": "trajvae",
        "programVersion": __version__,
        "title": "conformations",
        "application": "trajvae",
    }
    for name, text in attributes.items():
        file.attrs[name] = np.bytes_(text)
    file.create_dataset("topology", data=np.array([mdtraj_topology(topology).encode()]))


def write_conformations(
    path: Path,
    positions: Float64,
    topology: Topology,
    observables: Mapping[str, Quantity],
    header: Header,
    attributes: Mapping[str, object],
    extra: Tree | None = None,
) -> None:
    """Write a file that opens in MDAnalysis and mdtraj.

    Parameters
    ----------
    path : Path
        Written as it is; the caller makes it whole or absent.
    positions : ndarray, shape (n, N, D)
        In Å; stored once, in nm and float32, with z = 0 where D = 2.
    observables : mapping of str to Quantity
        One row a conformation.
    attributes, extra : mapping
        Attributes of, and arrays below, `/trajvae`.
    """
    with conformations_file(path, positions.shape, topology, header, extra) as out:
        out.describe(attributes)
        out.append(positions, observables)


def read_conformations(path: Path) -> tuple[Float64, JSONObject, JSONObject]:
    """Read a conformations file.

    Returns
    -------
    positions : ndarray, shape (n, N, D)
        In Å.
    observables : dict of ndarray
    attributes : dict
        Those of `/trajvae`.
    """
    with open_file(path, "conformations") as file:
        attributes = {name: value for name, value in file["trajvae"].attrs.items() if name != SEAL}
        place = "/particles/trajectory/position/value"
        stored = read_array(file[place], place, file.checksums)
        positions = positions_of(stored, int(attributes["dimension"]))
        groups = read_tree(file["observables"], sums=file.checksums) if "observables" in file else {}
        observables = {k: v["value"] for k, v in groups.items()}
        return positions, observables, attributes


def positions_of(stored: AnyArray, dimension: int) -> Float64:
    """Return positions in Å, (n, N, D), from a file's array, which is in nm and has z = 0 where D = 2."""
    positions: Float64 = (stored[..., :dimension] / _NM).astype(np.float64)
    return positions
