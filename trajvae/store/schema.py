"""The parts that all files share: the header, datasets with units, and nested groups of arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from trajvae._version import __version__
from trajvae.display import Brief
from trajvae.store.checksums import NAME, Checksums, ChecksumWriter
from trajvae.store.file_layouts import members
from trajvae.store.untrusted_hdf5 import read_text
from trajvae.typing import AnyArray

SCHEMA = 2  # number of the layout of files that is written


@dataclass(frozen=True, repr=False)
class Quantity(Brief):
    """Hold an array with its unit; `unit=""` stands for pure numbers."""

    value: AnyArray
    unit: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)

    @property
    def period(self) -> float:
        """Period of an angle, in the array's unit; 0 if the quantity has none or a file gives no positive number."""
        period = self.attributes.get("period")
        return float(period) if isinstance(period, int | float) and 0.0 < period < math.inf else 0.0


Tree: TypeAlias = Mapping[str, "Quantity | AnyArray | Tree"]  # nested arrays that are written
ArrayTree: TypeAlias = dict[str, Any]  # nested arrays that were read: who reads knows which name is an array


@dataclass(frozen=True)
class Header:
    """Hold who made a file, when and how: the attributes of `/trajvae`.

    Attributes
    ----------
    kind : {"model", "embedding", "conformations", "marginals"}
    command : str
        The command line, or the Python call, that made the file.
    seed : int
    """

    kind: str
    command: str
    seed: int
    version: str = __version__
    schema: int = SCHEMA
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def write_header(file: h5py.File, header: Header) -> h5py.Group:
    """Create `/trajvae` with the header's attributes and return it."""
    group = file.create_group("trajvae")
    set_attributes(group, asdict(header))
    return group


def storable(text: str) -> str:
    r"""Return a text that can be written as UTF-8; bytes of file names that are not UTF-8 become escapes, as `\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def set_attributes(item: h5py.HLObject, attributes: Mapping[str, object]) -> None:
    """Set attributes of a group or dataset."""
    for name, value in attributes.items():
        item.attrs[name] = storable(value) if isinstance(value, str) else value


def text_array(data: AnyArray) -> NDArray[np.object_]:
    """Return an array of strings as an array of objects, which h5py writes."""
    return np.vectorize(storable, otypes=[object])(data) if data.size else data.astype(object)


def write_tree(group: h5py.Group, tree: Tree, sums: ChecksumWriter | None = None) -> None:
    """Write nested arrays into a group: text as UTF-8, units and other attributes as attributes of each dataset.

    With `sums`, the arrays are not read again for their checksums.
    """
    for name, item in tree.items():
        if isinstance(item, Mapping):
            write_tree(group.create_group(name), item, sums)
            continue
        quantity = item if isinstance(item, Quantity) else Quantity(np.asarray(item))
        data = quantity.value
        if data.dtype.kind == "U":
            stored = text_array(data)
            data = stored.astype(str)  # the checksum is that of what is written
            dataset = group.create_dataset(name, data=stored, dtype=h5py.string_dtype())
        else:
            dataset = group.create_dataset(name, data=data)
        describe_quantity(dataset, quantity)
        if sums is not None:
            sums.add_array(dataset, data, has_attributes=bool(quantity.unit or quantity.attributes))


def describe_quantity(dataset: h5py.Dataset, quantity: Quantity) -> None:
    """Set the unit and the attributes of a quantity on its dataset."""
    if quantity.unit:
        dataset.attrs["unit"] = quantity.unit
    set_attributes(dataset, quantity.attributes)


def read_quantity(dataset: h5py.Dataset, value: AnyArray) -> Quantity:
    """Return the array that was read from a dataset, with the dataset's unit and other attributes."""
    attributes = {name: plain_attribute(item) for name, item in dataset.attrs.items()}
    filled = {name: item for name, item in attributes.items() if item is not None}
    return Quantity(value, str(filled.pop("unit", "")), filled)


def read_tree(
    group: h5py.Group, skip: Sequence[str] = (), only: Sequence[str] = (), sums: Checksums | None = None
) -> ArrayTree:
    """Read a group into nested dictionaries of arrays; text comes back as numpy strings.

    Parameters
    ----------
    group : h5py.Group
    skip : sequence of str, optional
        Full names of groups and datasets that are left out.
    only : sequence of str, optional
        The members of the group that are read; all of them by default.
    sums : Checksums, optional
        Checksums of the file, where they were read before.

    Raises
    ------
    ReadError
        An array differs from its checksum.
    """
    return _read_tree(group, {f"/{name}" for name in (NAME, *skip)}, only, sums or Checksums(group.file))


def _read_tree(group: h5py.Group, skip: set[str], only: Sequence[str], sums: Checksums) -> ArrayTree:
    """Read a group without the members that `skip` names in full."""
    out: ArrayTree = {}
    above = group.name.rstrip("/")
    for name, item in [(k, group[k]) for k in only] or members(group):
        full = f"{above}/{name}"
        if full in skip:
            continue
        out[name] = _read_tree(item, skip, (), sums) if isinstance(item, h5py.Group) else read_array(item, full, sums)
    return out


def read_array(dataset: h5py.Dataset, name: str, sums: Checksums) -> AnyArray:
    """Read a dataset and compare it with the checksum that is stored under its full name.

    Text comes back as numpy strings, numbers in this machine's byte order.

    Raises
    ------
    ReadError
        The array differs from its checksum.
    """
    array = read_text(dataset) if h5py.check_string_dtype(dataset.dtype) else np.asarray(dataset[...])
    sums.check(name, dataset, array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # torch takes no other byte order


def read_header(file: h5py.File) -> Header:
    """Return the header of an open file."""
    a = {name: plain_attribute(value) for name, value in file["trajvae"].attrs.items()}
    return Header(
        str(a["kind"]), str(a["command"]), int(a["seed"]), str(a["version"]), int(a["schema"]), str(a["created"])
    )


def plain_attribute(value: object) -> Any:
    """Return an attribute as JSON takes it: text, a number, a list of them, or None for an empty one."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [plain_attribute(v) for v in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
