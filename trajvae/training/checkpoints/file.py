"""Between a training that goes on and what `model.h5` holds of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.config import TrainConfig, check_types
from trajvae.errors import ModelError, OptionError
from trajvae.figures.frame_findings import FrameFindings
from trajvae.models.devices import choose_device
from trajvae.models.model_file import config_of, groups_of, parts_in, split_baseline, weights_in, with_baseline
from trajvae.models.model_file_checks import damaged
from trajvae.models.partition import Partition
from trajvae.models.pipeline_parts import PipelineParts
from trajvae.readers.reading import Reading
from trajvae.store import Header, ModelContents
from trajvae.store.schema import Tree
from trajvae.training.checkpoints.checks import check_snapshot
from trajvae.training.checkpoints.ownership import sign_origin
from trajvae.training.parts import TrainingParts
from trajvae.training.state import Snapshot, Weights
from trajvae.typing import AnyArray, Float64, JSONObject

_TENSORS = ("best", "optimiser", "random", "sums")  # of a snapshot, beside the weights
_STATES = {5056: "cpu", 16: "cuda"}  # bytes of the state of a device's random numbers


class Origin(NamedTuple):
    """Hold where a training came from: enough to read its frames again.

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
    asked: dict[str, object]
    reading: JSONObject
    memory: float


def to_checkpoint(parts: TrainingParts, at: Snapshot | None, origin: Origin) -> ModelContents:
    """Return what is written of a training that is not complete; without a snapshot, of one that has not begun."""
    model = parts.model
    groups = {**groups_of(model), **({} if at is None else _state(model, at)), "part": parts.partition.part}
    if parts.weights is not None:
        groups["weight"] = parts.weights.values
    config = {
        **config_of(model, origin.selection),
        "origin": origin._asdict(),
        "origin_code": sign_origin(origin._asdict()),
        "mark": parts.fingerprint,
        "names": parts.names,
    }
    summary = {"found": parts.found.to_json(), "seconds": time.monotonic() - parts.began}
    header = Header("model", origin.command, model.config.seed)
    told = {} if parts.weights is None else parts.weights.to_json()
    return ModelContents(header, "training", config, summary, model.alignment.reference, groups, told)


def _state(model: PipelineParts, at: Snapshot) -> dict[str, Tree]:
    """What a snapshot has, beside the present weights, which are in the model."""
    named = {**{k: getattr(at, k) for k in _TENSORS}, "best": with_baseline(at.best, model)}
    tensors = {k: {n: t.cpu().numpy() for n, t in held.items()} for k, held in named.items()}
    state: Tree = {**tensors, "latent": _arrays(at.latent), "numbers": _arrays(at.numbers)}
    return {"history": at.history, "optimiser": state}


def _arrays(numbers: dict[str, float]) -> dict[str, Float64]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in numbers.items()}


def _snapshot(weights: Weights, state: Mapping[str, Mapping[str, AnyArray]], history: dict[str, AnyArray]) -> Snapshot:
    """The state of a training as a file has it, where groups without members are left out."""
    best, optimiser, random, sums = ({n: _tensor(v) for n, v in state.get(k, {}).items()} for k in _TENSORS)
    numbers, latent = ({n: float(v) for n, v in state.get(k, {}).items()} for k in ("numbers", "latent"))
    return Snapshot(weights, split_baseline(best)[0], optimiser, random, sums, numbers, latent, history)


def _tensor(array: AnyArray) -> Tensor:
    return torch.as_tensor(np.asarray(array))


def from_checkpoint(stored: ModelContents, device: str, path: str) -> tuple[TrainingParts, Snapshot, Origin]:
    """Return a training made of what was read of a file.

    Raises
    ------
    ModelError
        Its parts are missing, or do not fit each other.
    OptionError
        There is no such device, or another than it began on.
    """
    at = choose_device(device)
    with damaged(path):
        noise = np.asarray(stored.groups["optimiser"]["random"]["noise"])
    first = _STATES.get(noise.size, at.type)
    if first != at.type:
        raise OptionError(f"'{path}' began on {first}, whose random numbers go on nowhere else: use --device {first}")
    with damaged(path):
        return _restored(stored, at)


@torch.inference_mode(False)
def _restored(stored: ModelContents, device: torch.device) -> tuple[TrainingParts, Snapshot, Origin]:
    parts = training_parts_in(stored, device)
    at = _snapshot(parts.model.vae.state_dict(), stored.groups["optimiser"], stored.groups["history"])
    check_snapshot(at, parts.model.vae, device)
    return parts, at, origin_in(stored)


@torch.inference_mode(False)
def training_parts_in(stored: ModelContents, device: torch.device) -> TrainingParts:
    """Return what a training works on, as the contents of a checkpoint have it.

    Raises
    ------
    ModelError
        Its frames are not divided.
    """
    model = parts_in(stored, device)
    began = time.monotonic() - float(stored.summary["seconds"])
    partition = Partition(np.asarray(stored.groups["part"]).astype(np.int8))
    if partition.part.ndim != 1 or not all(
        use.any() for use in (partition.training, partition.validation, partition.held_out)
    ):
        raise ModelError("its frames are not divided into training, validation and held-out ones")
    names, mark = [str(name) for name in stored.config["names"]], str(stored.config["mark"])
    weights = weights_in(stored.groups, stored.frame_weights, len(partition.part))
    found = FrameFindings.from_json(stored.summary["found"])
    return TrainingParts(model, partition, found, names, mark, began, weights)


def origin_in(stored: ModelContents) -> Origin:
    """Return where a training came from, whose types are checked.

    Raises
    ------
    ModelError
        Something is missing, or of another type.
    """
    origin = Origin(**stored.config["origin"])
    listed = isinstance(origin.files, list) and all(isinstance(name, str) for name in origin.files)
    plain = isinstance(origin.memory, int | float) and 0.0 < origin.memory < math.inf
    if not (listed and plain and isinstance(origin.selection, str) and isinstance(origin.command, str)):
        raise ModelError("its origin must be files, a selection, a command and an amount of memory")
    TrainConfig.from_dict(origin.asked)
    check_types(Reading, origin.reading)
    if not all(isinstance(name, str) for name in Reading(**origin.reading).topologies):
        raise ModelError("its topologies must be names of files")
    if "features" not in origin.asked or "select" not in origin.reading:
        raise ModelError("its origin lacks the features or the selection that were asked for")
    return origin
