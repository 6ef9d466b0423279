"""Conversion between a model and the contents of `model.h5`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.config import TrainConfig, check_types
from trajvae.errors import ModelError
from trajvae.features import PrincipalBaseline
from trajvae.figures.training import TrainingFigures
from trajvae.frame_weights.weights import FrameWeights
from trajvae.local_geometry import LocalGeometry
from trajvae.models.devices import choose_device
from trajvae.models.draws.geometry_fit import walls_of
from trajvae.models.model_file_checks import Budget, check_values, damaged, numbers_in
from trajvae.models.partition import HELD_OUT, TRAINING
from trajvae.models.pipeline import Pipeline
from trajvae.models.pipeline_parts import ModelSizes, PipelineParts, build_vae
from trajvae.models.record import TrainingRecord
from trajvae.molecule.validity import Validity
from trajvae.store import Header, ModelContents, Quantity, model_hash
from trajvae.store.schema import Tree
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Int8

_BASELINE = "features._shape_space."  # where files have the baseline: it was a part of the features once
_UNITS = {"masses": "u"}
_VALIDITY_UNITS = {
    "bond_low": "Angstrom",
    "bond_high": "Angstrom",
    "angle_low": "radian",
    "angle_high": "radian",
    "omega_bend": "radian",
    "bond_mean": "Angstrom",
    "bond_spread": "Angstrom",
}


class ModelParts(NamedTuple):
    """Hold the parts of a model.

    Attributes
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    files : list of str
        The trajectories it was trained on.
    selection : str
        The atoms in words.
    command : str
        The call that made it.
    """

    pipeline: Pipeline
    record: TrainingRecord
    files: list[str]
    selection: str
    command: str


def with_baseline(weights: Mapping[str, Tensor], pipeline: PipelineParts) -> dict[str, Tensor]:
    """Return the weights of a VAE and the arrays of the PCA baseline, by the names that files have for them."""
    return {**weights, **{_BASELINE + name: array for name, array in pipeline.baseline.arrays().items()}}


def split_baseline(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split the weights of a file into those of the VAE and the arrays of the PCA baseline, by name."""
    own = {name: array for name, array in weights.items() if not name.startswith(_BASELINE)}
    rest = {name.removeprefix(_BASELINE): array for name, array in weights.items() if name not in own}
    return own, rest


def groups_of(pipeline: PipelineParts) -> Tree:
    """Return the weights of the networks, those of the alignment, and the topology, as the file names them."""
    return {
        "weights": {k: v.detach().cpu().numpy() for k, v in with_baseline(pipeline.vae.state_dict(), pipeline).items()},
        "weighting": pipeline.alignment.weights,
        "topology": {k: Quantity(v, _UNITS.get(k, "")) for k, v in pipeline.topology.to_arrays().items()},
    }


def hash_of(pipeline: Pipeline) -> str:
    """Return the hash that distinguishes this model from all others, by `store.models.model_hash`."""
    return model_hash(pipeline.config.to_dict(), pipeline.alignment.reference, groups_of(pipeline))


def config_of(pipeline: PipelineParts, selection: str) -> dict[str, object]:
    """Return the options of a model as JSON."""
    return {**pipeline.config.to_dict(), "sizes": dataclasses.asdict(pipeline.sizes), "selection": selection}


def pack(parts: ModelParts) -> ModelContents:
    """Return the contents of the file of a model."""
    pipeline, record, weights = parts.pipeline, parts.record, parts.record.frame_weights
    training: Tree = {
        "latent": record.latent,
        "held_out": record.held_out,
        "part": record.part,
        "file": record.file,
        "frame": record.frame,
        "files": np.array(parts.files),
        "sample": Quantity(record.sample, "Angstrom"),
        "sample_index": record.sample_index,
        "observables": record.frame_observables,
        **({} if weights is None else {"weight": weights.values}),
    }
    geometry = record.local_geometry
    groups = {
        **groups_of(pipeline),
        "history": record.history,
        "training": training,
        "validity": {k: Quantity(v, _VALIDITY_UNITS.get(k, "")) for k, v in record.validity.to_arrays().items()},
        **({} if geometry is None else {"local_geometry": geometry.to_arrays()}),
    }
    config = {**config_of(pipeline, parts.selection), "elbo_of": pipeline.comparison_hash()}
    header = Header("model", parts.command, pipeline.config.seed)
    summary, reference = record.figures.to_json(), pipeline.alignment.reference
    return ModelContents(
        header, "complete", config, summary, reference, groups, {} if weights is None else weights.to_json()
    )


def unpack(stored: ModelContents, device: str, path: str) -> ModelParts:
    """Return the model that the contents of a file make.

    Raises
    ------
    ModelError
        Its parts are missing, or do not fit each other.
    OptionError
        There is no such device.
    """
    at = choose_device(device)
    with damaged(path):
        return _assembled(stored, at)


def parts_in(stored: ModelContents, device: torch.device) -> PipelineParts:
    """Return the parts of a pipeline that a file's options and weights make."""
    check_types(ModelSizes, stored.config["sizes"])
    check_values(stored.groups)
    config = TrainConfig.from_dict(stored.config)
    sizes = ModelSizes(**stored.config["sizes"])
    groups, known = stored.groups, len(stored.groups["weights"]["encoder.head.bias"])
    if config.latent_dim > known:  # every latent space has a number for each dimension from the encoder
        raise ModelError(
            f"its latent space cannot have {config.latent_dim} dimensions: the encoder gives {known} numbers"
        )
    alignment = Alignment(config.align, stored.reference, np.asarray(groups["weighting"], dtype=np.float64))
    topology = Topology.from_arrays(groups["topology"])
    with Budget(numbers_in(groups["weights"])):
        vae = build_vae(config, alignment, sizes, topology=topology)
        baseline = PrincipalBaseline.empty(alignment, vae.features, sizes.baseline)
    weights, components = split_baseline({k: torch.as_tensor(np.asarray(v)) for k, v in groups["weights"].items()})
    vae.load_state_dict(weights)
    baseline.load(components)
    return PipelineParts(config, sizes, topology, alignment, vae, baseline, device)


@torch.inference_mode(False)
def _assembled(stored: ModelContents, device: torch.device) -> ModelParts:
    pipeline = Pipeline.of(parts_in(stored, device))
    record = _record(stored.groups, TrainingFigures.from_json(stored.summary), stored.frame_weights)
    files = stored.groups["training"]["files"].tolist()
    return ModelParts(pipeline, record, files, str(stored.config["selection"]), stored.header.command)


def _record(groups: Mapping[str, Any], figures: TrainingFigures, frame_weights: Mapping[str, object]) -> TrainingRecord:
    training, validity = groups["training"], Validity.from_arrays(groups["validity"])
    geometry = groups.get("local_geometry")  # files of earlier versions, and of internal coordinates, have none
    return TrainingRecord(
        np.asarray(training["latent"], dtype=np.float64),
        _part(training),
        training["file"],
        training["frame"],
        dict(training.get("observables", {})),  # as the file has them, whatever this version knows
        training["sample"],
        training["sample_index"],
        groups["history"],
        validity,
        figures,
        None if geometry is None else LocalGeometry.from_arrays(geometry, walls_of(validity)),
        weights_in(training, frame_weights, len(training["held_out"])),
    )


def weights_in(arrays: Mapping[str, AnyArray], held: Mapping[str, object], n_frames: int) -> FrameWeights | None:
    """Return the weights that a file has for its frames; None where it has none.

    Parameters
    ----------
    arrays : mapping
        Which has them by the name `weight`.
    held : mapping
        What the file says of them.
    n_frames : int

    Raises
    ------
    ModelError
        They are not as many as the frames.
    """
    values = arrays.get("weight")
    if values is None:
        return None
    if np.shape(values) != (n_frames,):
        raise ModelError(f"it has weights of shape {np.shape(values)} for {n_frames} frames")
    return FrameWeights.from_json(values, held)


def _part(training: Mapping[str, AnyArray]) -> Int8:
    """What each frame was used for; files from before there were validation frames say only which were held out."""
    held = training["held_out"].astype(bool)
    part = np.asarray(training.get("part", np.where(held, HELD_OUT, TRAINING)), dtype=np.int8)
    if not np.array_equal(part == HELD_OUT, held):
        raise ModelError("'part' and 'held_out' of its frames do not agree")
    return part
