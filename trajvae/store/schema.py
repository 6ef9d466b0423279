"""What all files share: the header, datasets with units, nested groups of arrays, opening that follows no link."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from trajvae._version import __version__
from trajvae.errors import ReadError

SCHEMA = 1


@dataclass(frozen=True)
class Quantity:
    """An array with its unit; `unit=""` for pure numbers."""

    value: NDArray[np.generic]
    unit: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


Tree: TypeAlias = Mapping[str, "Quantity | NDArray[np.generic] | Tree"]


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
    group.attrs.update(asdict(header))
    return group


def write_tree(group: h5py.Group, tree: Tree) -> None:
    """Write nested arrays; text as UTF-8, units and other attributes beside each dataset."""
    for name, item in tree.items():
        if isinstance(item, Mapping):
            write_tree(group.create_group(name), item)
            continue
        quantity = item if isinstance(item, Quantity) else Quantity(np.asarray(item))
        data = quantity.value
        if data.dtype.kind == "U":
            dataset = group.create_dataset(name, data=data.astype(object), dtype=h5py.string_dtype())
        else:
            dataset = group.create_dataset(name, data=data)
        if quantity.unit:
            dataset.attrs["unit"] = quantity.unit
        dataset.attrs.update(quantity.attributes)


def read_tree(group: h5py.Group, skip: Sequence[str] = ()) -> dict[str, Any]:
    """Read a group into nested dictionaries of arrays, but for some full names; text comes back as numpy strings."""
    out: dict[str, Any] = {}
    for name, item in group.items():
        if item.name.lstrip("/") in skip:
            continue
        if isinstance(item, h5py.Group):
            out[name] = read_tree(item, skip)
        elif h5py.check_string_dtype(item.dtype):
            out[name] = np.asarray(item.asstr()[()], dtype=str)
        else:
            out[name] = item[()]
    return out


def _refuse_links(group: h5py.Group, path: Path) -> None:
    """Refuse links and datasets that lead out of the file: opening a file must touch no other."""
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ReadError(f"'{path}' holds a link '{group.name}/{name}' that leads elsewhere: refused")
        item = group[name]
        if isinstance(item, h5py.Group):
            _refuse_links(item, path)
        elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise ReadError(f"'{path}' keeps the data of '{item.name}' in another file: refused")


@contextlib.contextmanager
def open_file(path: Path, kind: str | None = None) -> Iterator[h5py.File]:
    """Open one of trajvae's files for reading.

    Parameters
    ----------
    path : Path
    kind : str, optional
        The header's kind that is wanted.

    Raises
    ------
    ReadError
        No such file, not HDF5, not made by trajvae, made by a newer schema, or of another kind.
    """
    if not path.is_file():
        raise ReadError(f"no file '{path}'")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ReadError(f"'{path}' is no readable HDF5 file") from error
    with file:
        try:
            _check_header(file, path, kind)
            _refuse_links(file, path)
            yield file
        except (KeyError, OSError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ReadError(f"'{path}' is damaged or incomplete: {reason}") from error


def _check_header(file: h5py.File, path: Path, kind: str | None) -> None:
    link = file.get("trajvae", getlink=True)
    group = file["trajvae"] if isinstance(link, h5py.HardLink) else None
    if not isinstance(group, h5py.Group) or "kind" not in group.attrs:
        raise ReadError(f"'{path}' was not written by trajvae")
    attributes = group.attrs
    if int(attributes.get("schema", 0)) > SCHEMA:
        raise ReadError(f"'{path}' has schema {attributes['schema']}; this trajvae knows {SCHEMA}: update trajvae")
    if kind is not None and attributes["kind"] != kind:
        raise ReadError(f"'{path}' holds {attributes['kind']}; wanted: {kind}")


def read_header(file: h5py.File) -> Header:
    """The header of an open file."""
    a = file["trajvae"].attrs
    return Header(
        str(a["kind"]), str(a["command"]), int(a["seed"]), str(a["version"]), int(a["schema"]), str(a["created"])
    )


def describe(path: Path) -> dict[str, Any]:
    """Say what a file holds, without reading its arrays.

    Returns
    -------
    dict
        The header, every other attribute of `/trajvae`, and name, shape, type and unit of each dataset.
    """
    with open_file(path) as file:
        datasets: dict[str, Any] = {}

        def visit(name: str, item: Any) -> None:
            """Note a dataset."""
            if isinstance(item, h5py.Dataset):
                datasets[f"/{name}"] = {
                    "shape": list(item.shape),
                    "dtype": "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype),
                    "unit": str(item.attrs.get("unit", "")),
                }

        file.visititems(visit)
        attributes = {k: v.item() if isinstance(v, np.generic) else v for k, v in file["trajvae"].attrs.items()}
        figures = {k: json.loads(v) for k, v in attributes.items() if k in ("config", "summary")}
        return {"file": str(path), **attributes, **figures, "datasets": datasets}
