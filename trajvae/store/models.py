"""Model files: all that is needed to use a model or to continue its training, as arrays and JSON, and no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajvae.errors import ModelError
from trajvae.store.checksums import file_with_checksums
from trajvae.store.json_text import parse_json
from trajvae.store.opening import open_file
from trajvae.store.output.atomic_output import whole_files
from trajvae.store.schema import (
    ArrayTree,
    Header,
    Tree,
    read_header,
    read_quantity,
    read_tree,
    write_header,
    write_tree,
)
from trajvae.typing import Float64, JSONObject

WEIGHTS = "weights"  # attribute of `/trajvae` that says where weights of frames came from
# options that decide which latent point a frame has, and that no array of the model shows
_HASHED_OPTIONS = ("backend", "latent_dim", "features", "align", "center")


@dataclass(frozen=True)
class ModelContents:
    """Hold a model as it stands in a file.

    Attributes
    ----------
    header : Header
    status : {"training", "complete"}
    config, summary : dict
        The options that the model was made with, and the figures of its training, as JSON.
    reference : ndarray, shape (N, D)
        Structure that frames are superposed on, in Å.
    groups : mapping
        Nested arrays by name: `weights`, `topology` and `history`; of a complete model also `training` and `validity`,
        of another `optimiser`. Observables that were read (`training/observables`) are `Quantity`, with the units and
        periods of the file.
    frame_weights : dict
        Where the weights of the training frames came from, and their effective sample size; empty without weights.
    """

    header: Header
    status: str
    config: JSONObject
    summary: JSONObject
    reference: Float64
    groups: ArrayTree
    frame_weights: JSONObject = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides which latent point a frame has; see `model_hash`."""
        return model_hash(self.config, self.reference, self.groups)


def reference_hash(reference: Float64) -> str:
    """Return the SHA-256 of the reference's float64 bytes: likelihoods compare only where it is equal."""
    return hashlib.sha256(np.ascontiguousarray(reference, dtype="<f8").tobytes()).hexdigest()


def model_hash(config: JSONObject, reference: Float64, groups: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that decides which latent point a frame has; a model in memory and its file agree.

    Parameters
    ----------
    config : mapping
        Options; only those in `_HASHED_OPTIONS` count, since later versions may add others.
    reference : ndarray, shape (N, D)
    groups : mapping
        Nested arrays; only `weights`, in float32 unless they are integers, and `weighting` count.
    """
    seal = hashlib.sha256(json.dumps([str(config.get(name)) for name in _HASHED_OPTIONS]).encode())
    arrays = {"reference": reference, **{name: groups[name] for name in ("weighting",) if name in groups}}
    arrays |= dict(sorted(groups.get("weights", {}).items()))
    for name, array in arrays.items():
        value = np.asarray(array)
        seal.update(f"{name} {value.shape}".encode())
        seal.update(np.ascontiguousarray(value, "<f4" if value.dtype.kind == "f" else "<i8").data)
    return seal.hexdigest()


def write_model(path: Path, record: ModelContents, *, force: bool = False) -> None:
    """Write a model file; nothing is left if that fails.

    Raises
    ------
    OutputError
        The file exists and `force` is off, or the disk refused to write.
    """
    with (
        whole_files(path, force=force) as (part,),
        file_with_checksums(part) as (file, sums),
        ThreadPoolExecutor(1) as thread,
    ):
        complete = record.status == "complete"
        hashed = thread.submit(lambda: record.hash if complete else "")  # takes as long as writing all arrays
        group = write_header(file, record.header)
        group.attrs["status"] = record.status
        group.attrs["config"] = json.dumps(record.config)
        group.attrs["summary"] = json.dumps(record.summary)
        if record.frame_weights:
            group.attrs[WEIGHTS] = json.dumps(record.frame_weights)
        reference = group.create_dataset("reference", data=record.reference)
        reference.attrs["unit"] = "Angstrom"
        reference.attrs["sha256"] = reference_hash(record.reference)
        sums.add_array(reference, record.reference)
        tree: Tree = record.groups
        write_tree(group, tree, sums)
        if complete:
            group.attrs["model_hash"] = hashed.result()


def _add_units(tree: ArrayTree, group: h5py.Group) -> None:
    """Replace the observables of the training frames by quantities, without groups that later versions may write."""
    training = tree.get("training")
    read = training.get("observables") if isinstance(training, dict) else None
    if isinstance(training, dict) and isinstance(read, dict):
        training["observables"] = {
            name: read_quantity(group[f"training/observables/{name}"], value)
            for name, value in read.items()
            if not isinstance(value, dict)
        }


def model_status(path: Path) -> str:
    """Return `training` or `complete`, the status of a model file, without reading the model."""
    with open_file(path, "model") as file:
        return str(file["trajvae"].attrs["status"])


def read_model(path: Path) -> ModelContents:
    """Read a model file.

    Raises
    ------
    ReadError
        The file is missing or damaged, or holds no model.
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
        frame_weights = parse_json(group.attrs.get(WEIGHTS, "{}"))
        if not all(isinstance(found, dict) for found in (config, summary, frame_weights)):
            raise ModelError(f"'{path}' is damaged: its config, summary and weights must be JSON objects")
        status = str(group.attrs["status"])
        return ModelContents(read_header(file), status, config, summary, reference, tree, frame_weights)
