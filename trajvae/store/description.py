"""Descriptions of files for `trajvae info`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py

from trajvae.store.checksums import NAME
from trajvae.store.crc32 import SEAL
from trajvae.store.file_layouts import datasets_of
from trajvae.store.json_text import parse_json
from trajvae.store.opening import open_file
from trajvae.store.schema import Header, plain_attribute, read_header
from trajvae.typing import JSONObject

_JSON = ("config", "summary", "weights")  # attributes that are written as JSON


@dataclass(frozen=True)
class DatasetDescription:
    """Describe a dataset.

    Attributes
    ----------
    shape : list of int
    dtype : str
        Type of its numbers, or `text`.
    unit : str
        Empty where it has none.
    """

    shape: list[int]
    dtype: str
    unit: str


@dataclass(frozen=True)
class FileDescription:
    """Describe a file of any kind, without its arrays.

    Attributes
    ----------
    file : str
        Name of the file.
    header : Header
    attributes : mapping
        All attributes of `/trajvae` by name; those that are written as JSON are decoded.
    verified : bool
        Whether the arrays were compared with their checksums.
    datasets : mapping of str to DatasetDescription
        Every dataset by its full name.
    """

    file: str
    header: Header
    attributes: Mapping[str, Any]
    verified: bool
    datasets: Mapping[str, DatasetDescription]

    def to_json(self) -> JSONObject:
        """Return the description as `info --json` prints it."""
        datasets = {name: asdict(dataset) for name, dataset in self.datasets.items()}
        held = {"file": self.file, "verified": self.verified, "datasets": datasets}
        return {**self.attributes, **asdict(self.header), **held}


def describe_file(path: Path) -> FileDescription:
    """Describe a file; its arrays are read piece by piece and compared with their checksums.

    Raises
    ------
    ReadError
        See `open_file`.
    """
    with open_file(path) as file:
        attributes = {k: plain_attribute(v) for k, v in file["trajvae"].attrs.items() if k != SEAL}
        attributes |= {k: parse_json(attributes[k]) for k in _JSON if k in attributes}
        datasets = {}
        for name, item in datasets_of(file):
            if name != NAME:
                file.checksums.check_stored(item)
                datasets[f"/{name}"] = _described(item)
        return FileDescription(str(path), read_header(file), attributes, file.checksums.present, datasets)


def describe(path: Path) -> JSONObject:
    """Return what `describe_file` finds as JSON: the header, all attributes, `verified`, and the datasets by name."""
    return describe_file(path).to_json()


def _described(item: h5py.Dataset) -> DatasetDescription:
    kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
    return DatasetDescription(list(item.shape), kind, str(plain_attribute(item.attrs.get("unit", ""))))
