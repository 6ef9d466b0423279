"""The parts of a training: settled options, a division of the frames, fitted features, and fresh weights."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trajvae.alignment.align import Alignment
from trajvae.config import TrainConfig
from trajvae.errors import OptionError, ReadError
from trajvae.features import LEAST_FLOOR, Features, FittingData, PrincipalBaseline, features_of
from trajvae.figures.frame_findings import FrameFindings
from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.latents import resolve_settings
from trajvae.likelihoods import default_likelihood, default_torsions
from trajvae.models.devices import choose_device
from trajvae.models.partition import Partition
from trajvae.models.pipeline_parts import ModelSizes, PipelineParts, build_vae
from trajvae.topology import Topology
from trajvae.training.choose_features import choose_features
from trajvae.training.frame_source import FrameSource
from trajvae.training.lagged.pairs import lag_in_frames, pairs_of
from trajvae.training.lagged.slowness import settled_slowness
from trajvae.training.same_frames import fingerprints_of
from trajvae.training.unlike_blocks import split
from trajvae.typing import Bool, Float64, Floats, Int64
from trajvae.weighted_samples import effective_size, relative_weights

MANY_FRAMES = 50  # an input of the networks, from which on these need not keep to principal components
REFERENCE_FRAMES = 5000  # frames that the mean structure is taken from, at most


@dataclass(frozen=True, eq=False)
class TrainingParts:
    """Hold what a training works on, from its first step to its last.

    Attributes
    ----------
    model : PipelineParts
        Its options are settled and its features are fitted; its weights change while the training runs.
    partition : Partition
        What each frame is used for.
    found : FrameFindings
        What was found of the frames before the first step.
    names : list of str
        The trajectories' names, for messages.
    fingerprint : str
        The fingerprint of all frames, by which a resumed training knows them.
    began : float
        When the training began, by the monotonic clock.
    weights : FrameWeights, optional
        How much each frame counts.
    """

    model: PipelineParts
    partition: Partition
    found: FrameFindings
    names: list[str]
    fingerprint: str
    began: float
    weights: FrameWeights | None = None


def fit_parts(
    frame_source: FrameSource,
    topology: Topology,
    config: TrainConfig,
    *,
    precision: float = 0.0,
    device: str = "auto",
    weights: FrameWeights | None = None,
) -> TrainingParts:
    """Settle options, divide frames, fit alignment and features, and make fresh weights.

    Parameters
    ----------
    frame_source : FrameSource
    topology : Topology
    config : TrainConfig
    precision : float
        Resolution of the coordinates in Å; the likelihood's noise is never finer.
    device : {"auto", "cpu", "cuda"}
    weights : FrameWeights, optional
        Of all frames: the reference, the features and all means count each frame by it. How many parameters are fitted
        is decided by the effective number of training frames.

    Raises
    ------
    ReadError
        Too few frames or atoms, or frames that are all equal; or all weights of one use are 0.
    OptionError
        An option that the data do not allow.
    """
    began = time.monotonic()
    lag = lag_in_frames(frame_source, config)
    index, some = frame_source.fitting_frames()
    _check(some)
    marks, fingerprint = fingerprints_of(frame_source)
    config = dataclasses.replace(config, settings=resolve_settings(config.backend, config.settings))
    partition, copies = split(marks, frame_source.file, frame_source.frame, frame_source.names, lag)
    pairs_of(frame_source, config, partition)  # refuses a lag that the blocks are too short for
    train = partition.training[index]
    _check_weights(
        weights, {"training": index[train], "validation": partition.validation, "held-out": partition.held_out}
    )
    alignment = _alignment(
        config, some, topology, np.flatnonzero(train), None if weights is None else weights.values[index]
    )
    own = relative_of(weights, index[train], "training")
    data = FittingData(alignment, topology, alignment.apply(some)[train], precision, config.latent_dim, own)
    config, choice = choose_features(config, data)
    config = dataclasses.replace(config, hidden=config.widths)
    features = _learn_features(config, data)
    config = dataclasses.replace(config, torsions=config.torsions or default_torsions(features))
    config = dataclasses.replace(config, slowness=settled_slowness(config))
    baseline = PrincipalBaseline.fit(data, features)
    sizes = _sizes(config, data, features, baseline, _effective(weights, partition))
    vae = build_vae(config, alignment, sizes, features, topology)
    model = PipelineParts(config, sizes, topology, alignment, vae, baseline, choose_device(device))
    return TrainingParts(
        model, partition, FrameFindings(copies, choice), frame_source.names, fingerprint, began, weights
    )


def _check(positions: Floats) -> None:
    """Refuse what cannot be learned from."""
    if positions.shape[1] < 2:
        raise ReadError(f"training needs at least 2 atoms, got {positions.shape[1]}: one atom has no shape")
    if len(positions) < 5:
        raise ReadError(f"training needs at least 5 frames, got {len(positions)}")
    if float(np.ptp(positions, axis=0).max()) == 0.0:
        raise ReadError(
            f"all {len(positions)} frames are equal: there is nothing to learn; were the selected atoms held fixed?"
        )
    if float(np.ptp(positions[0], axis=0).max()) == 0.0:
        raise ReadError("all atoms of the first frame stand at one point")


def _check_weights(weights: FrameWeights | None, uses: Mapping[str, Bool | Int64]) -> None:
    """Refuse weights that are 0 for all frames of one use."""
    for what, which in uses.items():
        relative_of(weights, which, what)


def _effective(weights: FrameWeights | None, partition: Partition) -> int:
    """Number of training frames, or of frames of equal weight that these are worth."""
    own = relative_of(weights, partition.training, "training")
    return int(partition.training.sum()) if own is None else max(1, round(effective_size(own)))


def _alignment(
    config: TrainConfig, positions: Floats, topology: Topology, train: Int64, frame_weights: Float64 | None
) -> Alignment:
    """The reference comes from training frames alone: held-out figures must not depend on what they are held from."""
    if frame_weights is not None:
        train = train[frame_weights[train] > 0.0]  # the mean of others is not defined, where every few are taken
    train = train[:: max(1, -(-len(train) // REFERENCE_FRAMES))]
    weights = topology.masses if config.center == "mass" else (topology.masses > 0.0).astype(float)
    own = None if frame_weights is None else relative_weights(frame_weights[train])
    return Alignment.fit(config.align, positions[train], weights, own)


def _check_dimension(config: TrainConfig, what: str, most: int) -> None:
    """Refuse more latent dimensions than training can distinguish."""
    if config.latent_dim > most:
        way = f"--latent-dim {most} is the most" if config.signature is None else "a --signature of fewer dimensions"
        raise OptionError(f"latent_dim must not be above the number of {what}, {most}, got {config.latent_dim}: {way}")


def _learn_features(config: TrainConfig, data: FittingData) -> Features:
    """Features of the training frames."""
    _check_dimension(config, "training frames", len(data.frames))
    features = features_of(config.features).fit(data)
    _check_dimension(config, "features", features.size)
    return features


def _sizes(
    config: TrainConfig, data: FittingData, features: Features, baseline: PrincipalBaseline, n_train: int
) -> ModelSizes:
    """Numbers that the data decide."""
    likelihood = config.likelihood or default_likelihood(features, n_train, data.topology.backbone_bonds())
    shape = features.shape
    floor = max(data.floor, LEAST_FLOOR)
    few = features.linear and config.lag is None and n_train < MANY_FRAMES * features.input_size
    carried = min(config.latent_dim, features.input_size) if few else 0
    return ModelSizes(shape.n_inputs, likelihood, floor, n_train, shape.n_angular, baseline.size, carried)
