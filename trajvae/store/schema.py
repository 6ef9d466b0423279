"""What all files share: the header, datasets with units, nested groups of arrays, opening that follows no link."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from trajvae._version import __version__
from trajvae.display import Brief
from trajvae.errors import ReadError
from trajvae.runtime.system import is_readable, system_reason
from trajvae.store.checksums import NAME, Checksums, Sums
from trajvae.store.file_layouts import check_layout, members
from trajvae.store.untrusted_hdf5 import check_contents, check_heaps, read_text
from trajvae.typing import AnyArray

SCHEMA = 2
_OLDEST = {"model": 2}  # of schema 1, features did not begin with the principal components


@dataclass(frozen=True, repr=False)
class Quantity(Brief):
    """An array with its unit; `unit=""` for pure numbers."""

    value: AnyArray
    unit: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def period(self) -> float:
        """The period of an angle, in the unit; 0 where there is none, or where a file says no positive number."""
        found = self.attributes.get("period")
        return float(found) if isinstance(found, int | float) and 0.0 < found < math.inf else 0.0


Tree: TypeAlias = Mapping[str, "Quantity | AnyArray | Tree"]


@dataclass(frozen=True)
class Header:
    """Who made a file, when and how; stands as attributes of `/trajvae`.

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
    r"""Text that can be written as UTF-8: bytes of file names that are none become such as `\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def set_attributes(item: h5py.HLObject, attributes: Mapping[str, Any]) -> None:
    """Set attributes of a group or dataset."""
    for name, value in attributes.items():
        item.attrs[name] = storable(value) if isinstance(value, str) else value


def text_array(data: AnyArray) -> NDArray[np.object_]:
    """Strings as h5py takes them."""
    return np.vectorize(storable, otypes=[object])(data) if data.size else data.astype(object)


def write_tree(group: h5py.Group, tree: Tree, sums: Sums | None = None) -> None:
    """Write nested arrays; text as UTF-8, units and other attributes beside each dataset.

    Where `sums` are given, arrays need not be read again for their checksums.
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
            sums.whole(dataset, data, bare=not (quantity.unit or quantity.attributes))


def describe_quantity(dataset: h5py.Dataset, quantity: Quantity) -> None:
    """Set unit and attributes of a quantity's dataset."""
    if quantity.unit:
        dataset.attrs["unit"] = quantity.unit
    set_attributes(dataset, quantity.attributes)


def read_quantity(dataset: h5py.Dataset, value: AnyArray) -> Quantity:
    """Return what was read of a dataset with its unit and its other attributes."""
    attributes = {name: plain_attribute(item) for name, item in dataset.attrs.items()}
    known = {name: item for name, item in attributes.items() if item is not None}
    return Quantity(value, str(known.pop("unit", "")), known)


def read_tree(
    group: h5py.Group, skip: Sequence[str] = (), only: Sequence[str] = (), sums: Checksums | None = None
) -> dict[str, Any]:
    """Read a group into nested dictionaries of arrays, but for some full names; text comes back as numpy strings.

    Where `only` names some of the group's members, those. The checksums are the file's, where they are not given.

    Raises
    ------
    ReadError
        An array is not what was written, by its checksum.
    """
    return _read_tree(group, {f"/{name}" for name in (NAME, *skip)}, only, sums or Checksums(group.file))


def _read_tree(group: h5py.Group, skip: set[str], only: Sequence[str], sums: Checksums) -> dict[str, Any]:
    out: dict[str, Any] = {}
    above = group.name.rstrip("/")
    for name, item in [(k, group[k]) for k in only] or members(group):
        full = f"{above}/{name}"
        if full in skip:
            continue
        out[name] = _read_tree(item, skip, (), sums) if isinstance(item, h5py.Group) else read_array(item, full, sums)
    return out


def read_array(dataset: h5py.Dataset, name: str, sums: Checksums) -> AnyArray:
    """Read an array and compare it with the checksum of its full name.

    Text comes back as numpy strings, numbers in this machine's order of bytes.

    Raises
    ------
    ReadError
        It is not what was written.
    """
    array = read_text(dataset) if h5py.check_string_dtype(dataset.dtype) else np.asarray(dataset[...])
    sums.check(name, dataset, array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # torch knows no other order


class StoredFile(h5py.File):  # type: ignore[misc]  # h5py has no types
    """An HDF5 file that is open for reading."""

    @functools.cached_property
    def checksums(self) -> Checksums:
        """Those that it holds; of one of trajvae's files that passed `check_contents`."""
        return Checksums(self)


@contextlib.contextmanager
def open_file(path: Path, kind: str | None = None, tables: Sequence[str] = ()) -> Iterator[StoredFile]:
    """Open one of trajvae's files for reading.

    Parameters
    ----------
    path : Path
    kind : str, optional
        The header's kind that is wanted.
    tables : sequence of str, optional
        Groups at the top which, where a file has them, are looked at alone with `/trajvae`; nothing else may be read.

    Raises
    ------
    ReadError
        No such file, not HDF5, not made by trajvae, of a schema that is newer or too old, of another kind, with
        other contents than that kind has, or with other names or attributes than were written: see `limits`, `layouts`
        and `checksums`. Arrays are compared when they are read: see `read_array`.
    """
    with open_hdf5(path) as file:
        _check_origin(file, path)
        only = present(file, tables)
        check_contents(file, path, only)
        _check_header(file, path, kind)
        check_layout(file, str(file["trajvae"].attrs["kind"]), path, only)
        file.checksums.check_structure(file, only)
        yield file


def present(file: h5py.File, tables: Sequence[str]) -> tuple[str, ...]:
    """`trajvae` and the tables where the file has all of these groups itself, else nothing."""
    own = [isinstance(file.get(k, getlink=True), h5py.HardLink) for k in tables]
    whole = bool(own) and all(own) and all(file.get(k, getclass=True) is h5py.Group for k in tables)
    return ("trajvae", *tables) if whole else ()


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[StoredFile]:
    """Open any HDF5 file for reading, and say what goes wrong with it in one line; its contents are not looked at.

    Raises
    ------
    ReadError
        No such file, not HDF5, damaged, or refused by the system.
    """
    if not is_readable(path):
        raise ReadError(f"no file '{path}'")
    try:
        check_heaps(path)
        file = StoredFile(path, "r")
    except (OSError, MemoryError) as error:
        refused = system_reason(error)
        raise ReadError(
            f"cannot read '{path}': {refused}" if refused else f"'{path}' is no readable HDF5 file"
        ) from error
    with file:
        try:
            yield file
        except (KeyError, OSError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
            refused = system_reason(error)
            if refused:
                raise ReadError(f"cannot read '{path}': {refused}") from error
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ReadError(f"'{path}' is damaged or incomplete: {reason}") from error


def check_hdf5(path: Path) -> None:
    """Look at an HDF5 file of any origin before a library of others reads it.

    Raises
    ------
    ReadError
        Damaged, or with contents that are refused; see `limits`.
    """
    with open_hdf5(path) as file:
        check_contents(file, path)


def _check_origin(file: h5py.File, path: Path) -> None:
    link = file.get("trajvae", getlink=True)
    group = file["trajvae"] if isinstance(link, h5py.HardLink) else None
    if not isinstance(group, h5py.Group) or "kind" not in group.attrs:
        raise ReadError(f"'{path}' was not written by trajvae")


def _check_header(file: h5py.File, path: Path, kind: str | None) -> None:
    attributes = file["trajvae"].attrs
    if int(attributes.get("schema", 0)) > SCHEMA:
        raise ReadError(f"'{path}' has schema {attributes['schema']}; this trajvae knows {SCHEMA}: update trajvae")
    oldest = _OLDEST.get(str(attributes["kind"]), 0)
    if int(attributes.get("schema", 0)) < oldest:
        raise ReadError(
            f"'{path}' was made by an older trajvae, with schema {attributes.get('schema')}; of the kind "
            f"'{attributes['kind']}' this one reads {oldest} and above: train it anew"
        )
    if kind is not None and attributes["kind"] != kind:
        raise ReadError(f"'{path}' holds {attributes['kind']}; wanted: {kind}")


def read_header(file: h5py.File) -> Header:
    """The header of an open file."""
    a = {name: plain_attribute(value) for name, value in file["trajvae"].attrs.items()}
    return Header(
        str(a["kind"]), str(a["command"]), int(a["seed"]), str(a["version"]), int(a["schema"]), str(a["created"])
    )


def plain_attribute(value: Any) -> Any:
    """An attribute as JSON takes it: text, a number, a list of them, or None for one that is empty."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [plain_attribute(v) for v in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
