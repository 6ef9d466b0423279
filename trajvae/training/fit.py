"""From frames to a trained pipeline: reference, features, split, training, and the record that a model keeps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from trajvae.alignment.align import Alignment
from trajvae.config import TrainConfig
from trajvae.errors import OptionError, ReadError
from trajvae.features import LEAST_FLOOR, Features, FittingData, features_of
from trajvae.latents import resolve_settings
from trajvae.likelihoods import default_likelihood
from trajvae.models.devices import choose_device
from trajvae.models.partition import Partition
from trajvae.models.pipeline import ModelSizes, Pipeline, build_vae
from trajvae.models.record import TrainingRecord
from trajvae.topology import Topology
from trajvae.training.batches import Batches, InMemoryBatches, Pair
from trajvae.training.choose_features import choose_features
from trajvae.training.evaluation import Regulariser
from trajvae.training.frame_source import FrameSource
from trajvae.training.outcome import TrainingOutcome
from trajvae.training.schedule import schedule_of
from trajvae.training.state import Snapshot
from trajvae.training.streamed_batches import stream_batches
from trajvae.training.summary import make_record
from trajvae.training.trainer import Progress, Trainer
from trajvae.training.unlike_blocks import bits_of, fingerprints, split
from trajvae.typing import Floats, Int64, UInt64
from trajvae.user_functions import importing, names_given

REFERENCE_FRAMES = 5000  # frames that the mean structure is taken from, at most
_AT_ONCE = 2**21  # coordinates that are looked at for copies


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


def _alignment(config: TrainConfig, positions: Floats, topology: Topology, train: Int64) -> Alignment:
    """The reference comes from training frames alone: held-out figures must not depend on what they are held from."""
    step = max(1, -(-len(train) // REFERENCE_FRAMES))
    weights = topology.masses if config.center == "mass" else (topology.masses > 0.0).astype(float)
    return Alignment.fit(config.align, positions[train[::step]], weights)


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


def _sizes(config: TrainConfig, features: Features, precision: float, n_train: int) -> ModelSizes:
    """Numbers that the data decide."""
    likelihood = config.likelihood or default_likelihood(features, n_train)
    shape = features.shape
    floor = max(precision, LEAST_FLOOR)
    return ModelSizes(shape.n_inputs, likelihood, floor, n_train, shape.n_angular, shape.baseline)


@dataclass(frozen=True, eq=False)
class PreparedTraining:
    """Hold a training between reading and its last step.

    Attributes
    ----------
    pipeline : Pipeline
        Its options are settled, its features are fitted, its weights are those of the moment.
    parts : Partition
        What each frame is used for.
    found : dict
        What was found out on the way, for the figures of training.
    names : list of str
        Of the files.
    fingerprint : str
        The fingerprint of all frames.
    since : float
        When it began, by the monotonic clock.
    """

    pipeline: Pipeline
    parts: Partition
    found: dict[str, Any]
    names: list[str]
    fingerprint: str
    since: float


Checkpoint = Callable[[PreparedTraining, Callable[[], Snapshot]], None]


def fingerprints_of(frame_source: FrameSource) -> tuple[UInt64, str]:
    """Return fingerprints of every frame, (T,), and one of all: their precision, and a hash of every bit."""
    a_frame = frame_source.fitting_frames()[1][0].size
    size = max(1, _AT_ONCE // a_frame)
    marks, bits, kinds = [], [], set()
    for chunk in frame_source.chunks(size):
        marks.append(fingerprints(chunk.positions))
        bits.append(bits_of(chunk.positions))
        kinds.add(chunk.positions.dtype.name)
    return np.concatenate(marks), f"{'+'.join(sorted(kinds))}:{sha256(np.concatenate(bits).data).hexdigest()}"


def are_frames_of(mark: str, frame_source: FrameSource) -> bool:
    """Return whether frames have a fingerprint; one of an older version sees float32 alone."""
    marks, own = fingerprints_of(frame_source)
    return mark == (own if ":" in mark else sha256(marks.data).hexdigest())


def prepare(
    frame_source: FrameSource,
    topology: Topology,
    config: TrainConfig,
    precision: float,
    device: str,
    names: Sequence[str] = (),
) -> PreparedTraining:
    """Settle options, fit alignment and features, make fresh weights.

    Parameters
    ----------
    frame_source : FrameSource
    topology : Topology
    config : TrainConfig
    precision : float
        Resolution of the coordinates in Å; the likelihood's noise is never finer.
    device : str
    names : sequence of str
        Of the files, for messages.

    Raises
    ------
    ReadError
        Too few frames or atoms, or frames that are all equal.
    """
    since = time.monotonic()
    index, some = frame_source.fitting_frames()
    _check(some)
    marks, mark = fingerprints_of(frame_source)
    config = dataclasses.replace(config, settings=resolve_settings(config.backend, config.settings))
    parts, copies = split(marks, frame_source.file, frame_source.frame, names)
    train = parts.training[index]
    alignment = _alignment(config, some, topology, np.flatnonzero(train))
    data = FittingData(alignment, topology, alignment.apply(some)[train], precision, config.latent_dim)
    config, choice = choose_features(config, data)
    config = dataclasses.replace(config, hidden=config.widths)
    features = _learn_features(config, data)
    sizes = _sizes(config, features, precision, int(parts.training.sum()))
    vae = build_vae(config, alignment, sizes, features)
    pipeline = Pipeline(config, sizes, topology, alignment, vae, choose_device(device))
    return PreparedTraining(pipeline, parts, {**choice, **copies}, list(names), mark, since)


def fit(
    frame_source: FrameSource,
    topology: Topology,
    config: TrainConfig,
    *,
    precision: float = 0.0,
    device: str = "auto",
    names: Sequence[str] = (),
    **extra: Any,
) -> tuple[Pipeline, TrainingRecord]:
    """Train on frames: `begin`, then `go_on`, which takes `extra`."""
    with importing(names_given(config.settings)):
        return continue_training(
            prepare(frame_source, topology, config, precision, device, names), frame_source, **extra
        )


def continue_training(
    prepared: PreparedTraining,
    frame_source: FrameSource,
    *,
    at: Snapshot | None = None,
    inputs: Floats | None = None,
    regulariser: Regulariser | None = None,
    memory: float = math.inf,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Pipeline, TrainingRecord]:
    """Train what was prepared to its end.

    Parameters
    ----------
    prepared : PreparedTraining
    frame_source : FrameSource
        The same frames.
    at : Snapshot, optional
        Where an earlier run of this training stood.
    inputs : ndarray, shape (T, N, D), optional
        What the encoder sees in the place of each frame, such as the frame with noise: the model learns to denoise.
    regulariser : callable, optional
        (VAE, Terms) to a scalar in nats a frame that is added to the loss.
    memory : float
        Bytes that streamed frames may take at once.
    progress : callable, optional
        See `Trainer.run`.
    checkpoint : callable, optional
        Called after every step with `prepared` and a function that takes a snapshot.

    Raises
    ------
    ReadError
        Inputs of another shape.
    """
    pipeline = prepared.pipeline
    data = _data(pipeline, frame_source, inputs, prepared.parts, memory)
    schedule = schedule_of(pipeline.config, pipeline.vae.likelihood, data.n_train)
    pipeline.vae.train().requires_grad_(True)
    trainer = Trainer(pipeline.vae, data, schedule, regulariser)
    if at is not None:
        trainer.restore(at)
    report = None if checkpoint is None else partial(checkpoint, prepared)
    history, kept = trainer.run(progress, report).arrays(), trainer.best_epoch
    del trainer, data
    p = pipeline
    trained = Pipeline(p.config, p.sizes, p.topology, p.alignment, p.vae, p.device)
    outcome = TrainingOutcome(history, kept, schedule.batch_size, prepared.since, prepared.found, prepared.names)
    return trained, make_record(trained, frame_source, prepared.parts, outcome)


def _rows(pipeline: Pipeline, frame_source: FrameSource, inputs: Floats | None) -> Iterator[Pair]:
    """Inputs and targets of all frames, some at a time."""
    done = 0
    for chunk in frame_source.chunks(pipeline.chunk):
        targets = pipeline.targets(pipeline.alignment.apply(chunk.positions))
        seen = targets
        if inputs is not None:
            seen = pipeline.targets(pipeline.alignment.apply(inputs[done : done + len(targets)]))
        done += len(targets)
        yield pipeline.vae.features.inputs(seen).float(), targets.float()


def _data(
    pipeline: Pipeline,
    frame_source: FrameSource,
    inputs: Floats | None,
    parts: Partition,
    memory: float,
) -> Batches:
    """What is trained on, on the device or, where frames are streamed, in a mapped file."""
    if inputs is not None and (frame_source.streamed or inputs.shape != frame_source.fitting_frames()[1].shape):
        wanted = (len(parts.part), pipeline.n_atoms, pipeline.dimension)
        raise ReadError(f"inputs need the frames' shape {wanted}, in memory, got {inputs.shape}")
    rows = _rows(pipeline, frame_source, inputs)
    if frame_source.streamed:
        features = pipeline.vae.features
        return stream_batches(rows, parts, (features.input_size, features.size), pipeline.device, memory)
    seen, targets = (torch.cat(column) for column in zip(*rows, strict=True))
    training, validation = (torch.from_numpy(m).to(targets.device) for m in (parts.training, parts.validation))
    return InMemoryBatches(seen[training], targets[training], seen[validation], targets[validation])
