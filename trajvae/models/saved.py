"""Between a model and what `model.h5` holds of it."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trajvae.config import TrainConfig
from trajvae.models.fit import Begun, choose_device
from trajvae.models.pipeline import Pipeline, Sizes, build_vae
from trajvae.models.record import Record
from trajvae.models.train import Snapshot
from trajvae.observables import built_in
from trajvae.readers.align import Alignment
from trajvae.store import Header, ModelRecord, Quantity
from trajvae.store.schema import Tree
from trajvae.topology import Topology
from trajvae.validity import Validity

_UNITS = {"rg": "Angstrom", "end_to_end": "Angstrom", "sample": "Angstrom", "masses": "u"}
_TENSORS = ("best", "optimiser", "random", "sums")  # of a snapshot, beside the weights
_VALIDITY_UNITS = {
    "bond_low": "Angstrom",
    "bond_high": "Angstrom",
    "angle_low": "radian",
    "angle_high": "radian",
    "omega_bend": "radian",
}


class Parts(NamedTuple):
    """All that makes a model.

    Attributes
    ----------
    pipeline : Pipeline
    record : Record
    files : list of str
        The trajectories it was trained on.
    selection : str
        The atoms in words.
    command : str
        The call that made it.
    """

    pipeline: Pipeline
    record: Record
    files: list[str]
    selection: str
    command: str


class Origin(NamedTuple):
    """Where a training came from: enough to read its frames again.

    Attributes
    ----------
    files : list of str
        As they were given.
    selection, command : str
    asked : dict
        The options as they were given, before the data settled them.
    reading : dict
        Fields of `Reading`.
    memory : float
        Bytes that it was allowed: what is read at once depends on them.
    """

    files: list[str]
    selection: str
    command: str
    asked: dict[str, Any]
    reading: dict[str, Any]
    memory: float


def _groups(pipeline: Pipeline) -> dict[str, Any]:
    """Weights, and what frames are aligned by."""
    return {
        "weights": {k: v.detach().cpu().numpy() for k, v in pipeline.vae.state_dict().items()},
        "weighting": pipeline.alignment.weights,
        "topology": {k: Quantity(v, _UNITS.get(k, "")) for k, v in pipeline.topology.to_arrays().items()},
    }


def _config(pipeline: Pipeline, selection: str) -> dict[str, Any]:
    return {**pipeline.config.to_dict(), "sizes": dataclasses.asdict(pipeline.sizes), "selection": selection}


def to_record(parts: Parts) -> ModelRecord:
    """What is written of a model."""
    pipeline, record = parts.pipeline, parts.record
    training: Tree = {
        "latent": record.latent,
        "held_out": record.held_out,
        "file": record.file,
        "frame": record.frame,
        "files": np.array(parts.files),
        "sample": Quantity(record.sample, "Angstrom"),
        "sample_index": record.sample_index,
        "observables": {k: Quantity(v, _UNITS[k]) for k, v in record.observables.items()},
    }
    groups = {
        **_groups(pipeline),
        "history": record.history,
        "training": training,
        "validity": {k: Quantity(v, _VALIDITY_UNITS.get(k, "")) for k, v in record.validity.to_arrays().items()},
    }
    config = {**_config(pipeline, parts.selection), "elbo_of": pipeline.comparison_hash()}
    header = Header("model", parts.command, pipeline.config.seed)
    return ModelRecord(header, "complete", config, record.figures, pipeline.alignment.reference, groups)


def to_checkpoint(begun: Begun, at: Snapshot, origin: Origin) -> ModelRecord:
    """What is written of a training that goes on."""
    pipeline = begun.pipeline
    tensors = {k: {n: t.cpu().numpy() for n, t in getattr(at, k).items()} for k in _TENSORS}
    state: dict[str, Any] = {**tensors, "latent": _arrays(at.latent), "numbers": _arrays(at.numbers)}
    groups = {**_groups(pipeline), "history": at.history, "optimiser": state, "held_out": begun.held}
    config = {
        **_config(pipeline, origin.selection),
        "origin": origin._asdict(),
        "mark": begun.mark,
        "names": begun.names,
    }
    summary = {"found": begun.found, "seconds": time.monotonic() - begun.since}
    header = Header("model", origin.command, pipeline.config.seed)
    return ModelRecord(header, "training", config, summary, pipeline.alignment.reference, groups)


def _arrays(numbers: dict[str, float]) -> dict[str, NDArray[np.float64]]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in numbers.items()}


def _pipeline(stored: ModelRecord, device: str) -> Pipeline:
    config = TrainConfig.from_dict(stored.config)
    sizes = Sizes(**stored.config["sizes"])
    weights = np.asarray(stored.groups["weighting"], dtype=np.float64)
    alignment = Alignment(config.align, stored.reference, weights)
    vae = build_vae(config, alignment, sizes)
    vae.load_state_dict(_tensors(stored.groups["weights"]))
    topology = Topology.from_arrays(stored.groups["topology"])
    return Pipeline(config, sizes, topology, alignment, vae, choose_device(device))


def _tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.as_tensor(np.asarray(value)) for name, value in arrays.items()}


@torch.inference_mode(False)
def from_checkpoint(stored: ModelRecord, device: str) -> tuple[Begun, Snapshot, Origin]:
    """A training from what was read."""
    pipeline, state = _pipeline(stored, device), stored.groups["optimiser"]
    since = time.monotonic() - float(stored.summary["seconds"])
    held = stored.groups["held_out"].astype(bool)
    names, mark = [str(name) for name in stored.config["names"]], str(stored.config["mark"])
    begun = Begun(pipeline, held, stored.summary["found"], names, mark, since)
    numbers: dict[str, Any] = {k: {n: float(v) for n, v in state.get(k, {}).items()} for k in ("numbers", "latent")}
    tensors: dict[str, Any] = {k: _tensors(state.get(k, {})) for k in _TENSORS}
    at = Snapshot(weights=pipeline.vae.state_dict(), history=stored.groups["history"], **tensors, **numbers)
    return begun, at, Origin(**stored.config["origin"])


@torch.inference_mode(False)
def from_record(stored: ModelRecord, device: str) -> Parts:
    """A model from what was read."""
    groups, pipeline = stored.groups, _pipeline(stored, device)
    training = groups["training"]
    record = Record(
        training["latent"],
        training["held_out"].astype(bool),
        training["file"],
        training["frame"],
        {k: training["observables"][k] for k in built_in(pipeline.topology)},
        training["sample"],
        training["sample_index"],
        groups["history"],
        Validity.from_arrays(groups["validity"]),
        stored.summary,
    )
    return Parts(pipeline, record, training["files"].tolist(), stored.config["selection"], stored.header.command)
