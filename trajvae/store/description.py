"""What a file holds, in words and numbers, for `trajvae info`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py

from trajvae.store.checksums import NAME, SEAL
from trajvae.store.file_layouts import datasets_of
from trajvae.store.json_text import parse_json
from trajvae.store.schema import open_file, plain_attribute, read_header


def describe(path: Path) -> dict[str, Any]:
    """Say what a file holds; its arrays are read piece by piece and compared with their checksums.

    Returns
    -------
    dict
        The header, every other attribute of `/trajvae`, whether the arrays were `verified`, and name, shape, type and
        unit of each dataset.
    """
    with open_file(path) as file:
        header = asdict(read_header(file))
        attributes = {k: plain_attribute(v) for k, v in file["trajvae"].attrs.items() if k != SEAL}
        figures: dict[str, Any] = {k: parse_json(v) for k, v in attributes.items() if k in ("config", "summary")}
        datasets = {}
        for name, item in datasets_of(file):
            if name != NAME:
                file.checksums.check_stored(item)
                datasets[f"/{name}"] = _described(item)
        found = {"file": str(path), "verified": file.checksums.present, "datasets": datasets}
        return {**attributes, **header, **figures, **found}


def _described(item: h5py.Dataset) -> dict[str, Any]:
    kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
    unit = plain_attribute(item.attrs.get("unit", ""))
    return {"shape": list(item.shape), "dtype": kind, "unit": str(unit)}
