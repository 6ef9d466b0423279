"""`model.h5`: everything needed to go on with a model, arrays and JSON only, nothing that executes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajvae.errors import ModelError
from trajvae.store.checksums import sealed_file
from trajvae.store.json_text import parse_json
from trajvae.store.output.atomic_output import whole_files
from trajvae.store.schema import (
    Header,
    Tree,
    open_file,
    read_header,
    read_quantity,
    read_tree,
    write_header,
    write_tree,
)
from trajvae.typing import Float64

_DEFINING = ("backend", "latent_dim", "features", "align", "center")  # options that no array shows


@dataclass(frozen=True)
class ModelContents:
    """A model as it stands in a file.

    Attributes
    ----------
    header : Header
    status : {"training", "complete"}
    config, summary : dict
        JSON; the options it was made with, and the figures of its training.
    reference : ndarray, shape (N, D)
        The structure frames are superposed on, in Å.
    groups : mapping
        `weights`, `topology`, `history`, and `training`, `validity` of a complete model, `optimiser` of another: nested
        arrays by name. What is read of `training/observables` are `Quantity`, with the units and periods of the file.
    """

    header: Header
    status: str
    config: dict[str, Any]
    summary: dict[str, Any]
    reference: Float64
    groups: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of what decides which latent point a frame has, by `model_hash`."""
        return model_hash(self.config, self.reference, self.groups)


def reference_hash(reference: Float64) -> str:
    """SHA-256 of the reference's float64 bytes: likelihoods compare only where it is equal."""
    return hashlib.sha256(np.ascontiguousarray(reference, dtype="<f8").tobytes()).hexdigest()


def model_hash(config: Mapping[str, Any], reference: Float64, groups: Mapping[str, Any]) -> str:
    """SHA-256 of what decides which latent point a frame has: equal for a model in memory and for its file.

    Parameters
    ----------
    config : mapping
        Of it the options of `_DEFINING`: later versions may add others to it.
    reference : ndarray, shape (N, D)
    groups : mapping
        Of it `weights`, in float32 where they are no integers, and `weighting`, where there are any.
    """
    seal = hashlib.sha256(json.dumps([str(config.get(name)) for name in _DEFINING]).encode())
    arrays = {"reference": reference, **{name: groups[name] for name in ("weighting",) if name in groups}}
    arrays |= dict(sorted(groups.get("weights", {}).items()))
    for name, array in arrays.items():
        value = np.asarray(array)
        seal.update(f"{name} {value.shape}".encode())
        seal.update(np.ascontiguousarray(value, "<f4" if value.dtype.kind == "f" else "<i8").data)
    return seal.hexdigest()


def write_model(path: Path, record: ModelContents, *, force: bool = False) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    OutputError
        The file exists and `force` is off, or the disk refused.
    """
    with whole_files(path, force=force) as (part,), sealed_file(part) as (file, sums), ThreadPoolExecutor(1) as beside:
        complete = record.status == "complete"
        hashed = beside.submit(lambda: record.hash if complete else "")  # as long as all arrays take to be written
        group = write_header(file, record.header)
        group.attrs["status"] = record.status
        group.attrs["config"] = json.dumps(record.config)
        group.attrs["summary"] = json.dumps(record.summary)
        reference = group.create_dataset("reference", data=record.reference)
        reference.attrs["unit"] = "Angstrom"
        reference.attrs["sha256"] = reference_hash(record.reference)
        sums.whole(reference, record.reference)
        tree: Tree = record.groups
        write_tree(group, tree, sums)
        if complete:
            group.attrs["model_hash"] = hashed.result()


def _add_units(tree: dict[str, Any], group: h5py.Group) -> None:
    """Turn the observables among what was read into quantities; groups among them, of later versions, are left out."""
    training = tree.get("training")
    read = training.get("observables") if isinstance(training, dict) else None
    if isinstance(training, dict) and isinstance(read, dict):
        training["observables"] = {
            name: read_quantity(group[f"training/observables/{name}"], value)
            for name, value in read.items()
            if not isinstance(value, dict)
        }


def model_status(path: Path) -> str:
    """`training` or `complete`, without reading the model."""
    with open_file(path, "model") as file:
        return str(file["trajvae"].attrs["status"])


def read_model(path: Path) -> ModelContents:
    """Read a model file.

    Raises
    ------
    ReadError
        The file is missing, damaged or no model.
    ModelError
        The reference does not match its own hash.
    """
    with open_file(path, "model") as file:
        group = file["trajvae"]
        tree = read_tree(group, sums=file.checksums)
        _add_units(tree, group)
        reference = np.asarray(tree.pop("reference"), dtype=np.float64)
        if reference_hash(reference) != group["reference"].attrs["sha256"]:
            raise ModelError(f"'{path}': the reference structure does not match its hash; the file was altered")
        config, summary = parse_json(group.attrs["config"]), parse_json(group.attrs["summary"])
        if not (isinstance(config, dict) and isinstance(summary, dict)):
            raise ModelError(f"'{path}' is damaged: its config and summary must be JSON objects")
        return ModelContents(read_header(file), str(group.attrs["status"]), config, summary, reference, tree)
