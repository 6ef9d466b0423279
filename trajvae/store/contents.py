"""All of a file, or most: arrays by name, and the attributes of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajvae.store.checksums import SEAL
from trajvae.store.json_text import parse_json
from trajvae.store.schema import open_file, present, read_tree

_JSON = ("config", "summary", "reading")


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes
    ----------
    attributes : mapping
        Those of `/trajvae`; what is written there as JSON is decoded.
    tree : mapping
        Arrays in nested groups.
    marks : mapping of str to mapping
        Attributes of every group and dataset, by its full name without the first slash.
    """

    attributes: Mapping[str, Any]
    tree: Mapping[str, Any]
    marks: Mapping[str, Mapping[str, Any]]

    @property
    def kind(self) -> str:
        """The header's."""
        return str(self.attributes["kind"])

    def unit(self, name: str) -> str:
        """Return the unit of a dataset, or an empty text if it has none or does not exist."""
        return str(self.marks.get(name, {}).get("unit", ""))


def read_contents(path: Path, *, skip: Sequence[str] = (), tables: Sequence[str] = ()) -> Contents:
    """Read a file.

    Parameters
    ----------
    path : Path
    skip : sequence of str, optional
        Full names of groups and datasets that are left out.
    tables : sequence of str, optional
        Groups at the top that hold all that is wanted of a file which has them: there nothing else is read but
        `/trajvae`, however many objects there are.

    Raises
    ------
    ReadError
        See `open_file`.
    """
    with open_file(path, tables=tables) as file:
        marks: dict[str, dict[str, Any]] = {}
        only = present(file, tables)
        for above in only or ("/",):
            file[above].visititems(lambda name, item: marks.update({item.name.lstrip("/"): _plain(item.attrs)}))
        attributes = {
            k: parse_json(v) if k in _JSON else v for k, v in _plain(file["trajvae"].attrs).items() if k != SEAL
        }
        return Contents(attributes, read_tree(file, skip, only, file.checksums), marks)


def _plain(attributes: h5py.AttributeManager) -> dict[str, Any]:
    """Numbers and text as Python's own."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()}
