"""Read a file of trajvae whole, or without some groups: arrays by name, and their attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

from trajvae.store.crc32 import SEAL
from trajvae.store.json_text import parse_json
from trajvae.store.opening import open_file, present
from trajvae.store.schema import Quantity, read_tree
from trajvae.typing import JSON, AnyArray, JSONObject

_JSON = ("config", "summary", "reading", "weights")  # attributes of `/trajvae` that are written as JSON
NestedArrays: TypeAlias = "Mapping[str, AnyArray | NestedArrays]"
QuantityTree: TypeAlias = "dict[str, Quantity | QuantityTree]"


@dataclass(frozen=True)
class Contents:
    """Hold what was read of a file.

    Attributes
    ----------
    attributes : mapping
        Attributes of `/trajvae`; those that are written as JSON are decoded.
    tree : mapping
        Arrays in nested groups.
    marks : mapping of str to mapping
        Attributes of every group and dataset, by its full name without the first slash.
    """

    attributes: Mapping[str, Any]
    tree: NestedArrays
    marks: Mapping[str, Mapping[str, Any]]

    @property
    def kind(self) -> str:
        """Kind of file, as its header says."""
        return str(self.attributes["kind"])

    @property
    def command(self) -> str:
        """Command line or Python call that made the file; empty where the file does not say."""
        return self.text("command")

    @property
    def seed(self) -> int:
        """Seed of the command that made the file; 0 where the file does not say."""
        return int(self.attributes.get("seed", 0))

    def text(self, name: str) -> str:
        """Return an attribute of `/trajvae` as text, or an empty text where there is none."""
        return str(self.attributes.get(name, ""))

    def json(self, name: str) -> dict[str, JSON]:
        """Return the JSON object of an attribute of `/trajvae`, or an empty one where there is none."""
        return dict(self.attributes.get(name, {}))

    def unit(self, name: str) -> str:
        """Return the unit of a dataset, or an empty text if it has none or does not exist."""
        return str(self.marks.get(name, {}).get("unit", ""))

    def group(self, name: str) -> NestedArrays:
        """Return the arrays of a group by its full name; none where it does not exist.

        Raises
        ------
        TypeError
            The name is that of an array.
        """
        found: AnyArray | NestedArrays = self.tree
        for part in name.split("/"):
            if not isinstance(found, Mapping):
                raise TypeError(f"'{name}' is not a group")
            found = found.get(part, {})
        if not isinstance(found, Mapping):
            raise TypeError(f"'{name}' is not a group")
        return found

    def array(self, name: str) -> AnyArray:
        """Return an array by its full name.

        Raises
        ------
        KeyError
            No such array.
        TypeError
            The name is that of a group.
        """
        above, _, own = name.rpartition("/")
        found = (self.group(above) if above else self.tree)[own]
        if isinstance(found, Mapping):
            raise TypeError(f"'{name}' is not an array")
        return found

    def quantity(self, name: str) -> Quantity:
        """Return an array with its unit and its other attributes."""
        return Quantity(self.array(name), self.unit(name), self.marks.get(name, {}))

    def columns(self, name: str) -> dict[str, Quantity]:
        """Return the arrays of a group by name; where a member is a group itself, its array `value`."""
        found = self.group(name)
        values = {key: f"{name}/{key}/value" if isinstance(item, Mapping) else f"{name}/{key}" for key, item in
                  found.items()}  # fmt: skip
        return {key: self.quantity(value) for key, value in values.items()}

    def quantities(self, name: str) -> QuantityTree:
        """Return all arrays below a group, as nested as they are."""
        return {
            key: self.quantities(f"{name}/{key}") if isinstance(item, Mapping) else self.quantity(f"{name}/{key}")
            for key, item in self.group(name).items()
        }


def read_contents(
    path: Path, kind: str | None = None, *, skip: Sequence[str] = (), tables: Sequence[str] = ()
) -> Contents:
    """Read a file.

    Parameters
    ----------
    path : Path
    kind : str, optional
        Kind that the file must be of.
    skip : sequence of str, optional
        Full names of groups and datasets that are left out.
    tables : sequence of str, optional
        Top-level groups. In a file that has all of them, only these and `/trajvae` are read, however many other
        objects it holds.

    Raises
    ------
    ReadError
        See `open_file`.
    """
    with open_file(path, kind, tables=tables) as file:
        marks: dict[str, JSONObject] = {}
        only = present(file, tables)
        for above in only or ("/",):
            file[above].visititems(lambda name, item: marks.update({item.name.lstrip("/"): _plain(item.attrs)}))
        attributes = {
            k: parse_json(v) if k in _JSON else v for k, v in _plain(file["trajvae"].attrs).items() if k != SEAL
        }
        return Contents(attributes, read_tree(file, skip, only, file.checksums), marks)


def _plain(attributes: h5py.AttributeManager) -> JSONObject:
    """Return attributes, numbers and text as Python's own."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()}
