"""From the parts of a training to a trained pipeline, and the record of the training that a model keeps."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from trajvae.errors import ReadError
from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.models.partition import Partition
from trajvae.models.pipeline import Pipeline
from trajvae.models.pipeline_parts import PipelineParts
from trajvae.models.record import TrainingRecord
from trajvae.training.batches import Batches, InMemoryBatches
from trajvae.training.evaluation import Regulariser
from trajvae.training.frame_source import FrameSource
from trajvae.training.lagged.pairs import pairs_of
from trajvae.training.lagged.slowness import A_COORDINATE, BATCH, Slowness, settled_slowness
from trajvae.training.outcome import TrainingOutcome
from trajvae.training.parts import TrainingParts
from trajvae.training.schedule import schedule_of
from trajvae.training.state import Snapshot
from trajvae.training.streamed_batches import stream_batches
from trajvae.training.summary import make_record
from trajvae.training.trainer import Progress, Trainer
from trajvae.typing import Floats

_LOGGER = logging.getLogger("trajvae")

Checkpoint = Callable[[TrainingParts, Callable[[], Snapshot]], None]


def train_parts(
    parts: TrainingParts,
    frame_source: FrameSource,
    *,
    at: Snapshot | None = None,
    inputs: Floats | None = None,
    regulariser: Regulariser | None = None,
    memory: float = math.inf,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Pipeline, TrainingRecord]:
    """Train to the end, and measure what came of it.

    Parameters
    ----------
    parts : TrainingParts
        The weights of its networks are changed.
    frame_source : FrameSource
        The frames that the parts were fitted to.
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
        Called after every step with `parts` and a function that takes a snapshot.

    Raises
    ------
    ReadError
        Inputs of another shape.
    """
    model = parts.model
    data = _batches(parts, frame_source, inputs, memory)
    schedule = schedule_of(model.config, model.vae.likelihood, data.n_train)
    slowness = _slowness(parts, frame_source, data, schedule.warmup, fresh=at is None)
    trainer = Trainer(model.vae, data, schedule, regulariser, slowness)
    if at is not None:
        trainer.restore(at)
    report = None if checkpoint is None else partial(checkpoint, parts)
    history, kept_epoch = trainer.run(progress, report).arrays(), trainer.best_epoch
    del trainer, data
    trained = Pipeline.of(model)
    outcome = TrainingOutcome(history, kept_epoch, schedule.batch_size, parts.began, parts.found, parts.names)
    record = make_record(trained, frame_source, parts.partition, outcome, parts.weights)
    _log(record)
    return trained, record


def _rows(model: PipelineParts, frame_source: FrameSource, inputs: Floats | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets of all frames, some at a time."""
    done = 0
    for chunk in frame_source.chunks(model.chunk):
        targets = model.targets(model.alignment.apply(chunk.positions))
        seen = targets
        if inputs is not None:
            seen = model.targets(model.alignment.apply(inputs[done : done + len(targets)]))
        done += len(targets)
        yield model.vae.features.inputs(seen).float(), targets.float()


def _batches(parts: TrainingParts, frame_source: FrameSource, inputs: Floats | None, memory: float) -> Batches:
    """What is trained on, on the device or, where frames are streamed, in a mapped file."""
    model, partition = parts.model, parts.partition
    if inputs is not None and (frame_source.streamed or inputs.shape != frame_source.fitting_frames()[1].shape):
        wanted = (len(partition.part), model.n_atoms, model.dimension)
        raise ReadError(f"inputs need the frames' shape {wanted}, in memory, got {inputs.shape}")
    rows, weights = _rows(model, frame_source, inputs), _weights(parts.weights, partition)
    if frame_source.streamed:
        features = model.vae.features
        return stream_batches(rows, partition, (features.input_size, features.size), model.device, memory, weights)
    seen, targets = (torch.cat(column) for column in zip(*rows, strict=True))
    training, validation = (torch.from_numpy(m).to(targets.device) for m in (partition.training, partition.validation))
    on_device = (None if w is None else w.to(targets.device) for w in weights)
    return InMemoryBatches(seen[training], targets[training], seen[validation], targets[validation], *on_device)


def _weights(weights: FrameWeights | None, partition: Partition) -> tuple[Tensor | None, Tensor | None]:
    """Weights of the training and of the validation frames, each of mean 1; None where all are equal."""
    uses = {"training": partition.training, "validation": partition.validation}
    found = [relative_of(weights, which, what) for what, which in uses.items()]
    first, second = (None if w is None else torch.from_numpy(w).float() for w in found)
    return first, second


def _slowness(
    parts: TrainingParts, frame_source: FrameSource, data: Batches, warmup: int, *, fresh: bool
) -> Slowness | None:
    """The score of pairs of frames; None without a lag time."""
    config = parts.model.config
    pairs, weight = pairs_of(frame_source, config, parts.partition), settled_slowness(config)
    if pairs is None or weight is None:
        return None
    vae, weights = parts.model.vae, _weights(parts.weights, parts.partition)
    size = max(BATCH, A_COORDINATE * vae.latent.ambient_dim)
    return Slowness(weight, data, pairs, weights, config.seed, size, warmup, fresh=fresh)


def _log(record: TrainingRecord) -> None:
    """Log what training came to."""
    f = record.figures
    kept = "" if f.kept_epoch is None else f" and kept epoch {f.kept_epoch}"
    _LOGGER.info(
        "trained %d epochs%s, on %s features (likelihood %s); held-out frames: ELBO %.2f nats, RMSD %.3f Å",
        *(f.epochs, kept, f.feature_kind, f.likelihood, f.elbo, f.rmsd),
    )
    if f.vamp2 is not None:
        _LOGGER.info("held-out frames at the lag time: VAMP-2 score %.3f, KL %.2f nats", f.vamp2, sum(f.kl.values()))
