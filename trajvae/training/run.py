"""From the parts of a training to a trained pipeline, and the record of the training that a model keeps."""

from __future__ import annotations

import dataclasses
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
from trajvae.runtime.ranks import ALONE, Ranks
from trajvae.training.batches import Batches, InMemoryBatches
from trajvae.training.evaluation import Regulariser
from trajvae.training.frame_source import FrameSource
from trajvae.training.lagged.pairs import pairs_of
from trajvae.training.lagged.slowness import A_COORDINATE, BATCH, Slowness, settled_slowness
from trajvae.training.outcome import TrainingOutcome
from trajvae.training.parts import TrainingParts
from trajvae.training.schedule import Schedule, schedule_of
from trajvae.training.shares.share import Share, share_of
from trajvae.training.shares.shared_batches import SharedBatches
from trajvae.training.state import Snapshot
from trajvae.training.streamed_batches import StreamedBatches, stream_batches
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
    ranks: Ranks = ALONE,
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
    ranks : Ranks
        The processes that train together, of which this is the first; see `train_share`.

    Raises
    ------
    ReadError
        Inputs of another shape.
    OptionError
        What several processes cannot do together.
    """
    share = share_of(parts.partition, ranks)
    trainer = train_share(
        parts,
        frame_source,
        share,
        ranks,
        at=at,
        inputs=inputs,
        regulariser=regulariser,
        memory=memory,
        progress=progress,
        checkpoint=checkpoint,
    )
    history, kept_epoch, batch_size = trainer.history.arrays(), trainer.best_epoch, trainer.schedule.batch_size
    del trainer
    trained = Pipeline.of(parts.model)
    outcome = TrainingOutcome(history, kept_epoch, batch_size, parts.began, parts.found, parts.names)
    record = make_record(trained, frame_source, parts.partition, outcome, parts.weights)
    _log(record)
    return trained, record


def train_share(
    parts: TrainingParts,
    frame_source: FrameSource,
    share: Share,
    ranks: Ranks,
    *,
    at: Snapshot | None = None,
    inputs: Floats | None = None,
    regulariser: Regulariser | None = None,
    memory: float = math.inf,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trainer:
    """Train with this process's share of the frames, and return what trained; the weights are in `parts`.

    Parameters
    ----------
    parts, at, inputs, regulariser, memory, progress, checkpoint
        See `train_parts`; the parts are those of all processes.
    frame_source : FrameSource
        Its frames begin with the share's first one.
    share : Share
    ranks : Ranks
    """
    model = parts.model
    data = _batches(parts, frame_source, share, ranks, inputs, memory)
    schedule = _in_equal_parts(
        schedule_of(model.config, model.vae.likelihood, int(parts.partition.training.sum())), ranks
    )
    slowness = _slowness(parts, frame_source, data, schedule.warmup, fresh=at is None)
    trainer = Trainer(model.vae, data, schedule, regulariser, slowness)
    if at is not None:
        trainer.restore(at)
    trainer.run(progress, None if checkpoint is None else partial(checkpoint, parts))
    return trainer


def _in_equal_parts(schedule: Schedule, ranks: Ranks) -> Schedule:
    """A schedule whose batches can be divided evenly among the processes: they are of a few frames more."""
    return dataclasses.replace(schedule, batch_size=-(-schedule.batch_size // ranks.size) * ranks.size)


def _rows(
    model: PipelineParts, frame_source: FrameSource, inputs: Floats | None, most: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets of the first frames, some at a time."""
    done = 0
    for chunk in frame_source.chunks(model.chunk):
        if done >= most:
            break
        targets = model.targets(model.alignment.apply(chunk.positions[: most - done]))
        seen = targets
        if inputs is not None:
            seen = model.targets(model.alignment.apply(inputs[done : done + len(targets)]))
        done += len(targets)
        yield model.vae.features.inputs(seen).float(), targets.float()


def _batches(
    parts: TrainingParts,
    frame_source: FrameSource,
    share: Share,
    ranks: Ranks,
    inputs: Floats | None,
    memory: float,
) -> Batches:
    """What is trained on; where other processes have the rest, with their numbers of frames."""
    own = _own_batches(parts, frame_source, share, inputs, memory)
    return own if ranks.size == 1 else SharedBatches(own, ranks, int(parts.partition.validation.sum()))


def _own_batches(
    parts: TrainingParts, frame_source: FrameSource, share: Share, inputs: Floats | None, memory: float
) -> InMemoryBatches | StreamedBatches:
    """What this process trains on, on the device or, where frames are streamed, in a mapped file."""
    model, partition = parts.model, share.partition
    if inputs is not None and (frame_source.streamed or inputs.shape != frame_source.fitting_frames()[1].shape):
        wanted = (len(partition.part), model.n_atoms, model.dimension)
        raise ReadError(f"inputs need the frames' shape {wanted}, in memory, got {inputs.shape}")
    rows = _rows(model, frame_source, inputs, len(partition.part))
    weights = _weights(parts.weights, parts.partition, share)
    if frame_source.streamed:
        features = model.vae.features
        return stream_batches(rows, partition, (features.input_size, features.size), model.device, memory, weights)
    seen, targets = (torch.cat(column) for column in zip(*rows, strict=True))
    training, validation = (torch.from_numpy(m).to(targets.device) for m in (partition.training, partition.validation))
    first, second = (None if w is None else w.to(targets.device) for w in weights)
    return InMemoryBatches(seen[training], targets[training], seen[validation], targets[validation], first, second)


def _weights(weights: FrameWeights | None, partition: Partition, share: Share) -> tuple[Tensor | None, Tensor | None]:
    """Weights of a share's frames, of mean 1 over all training and all validation ones; None where all are equal."""
    uses = {"training": partition.training, "validation": partition.validation}
    found = [relative_of(weights, which, what) for what, which in uses.items()]
    own = (share.training, share.validation)
    first, second = (None if w is None else torch.from_numpy(w[o]).float() for w, o in zip(found, own, strict=True))
    return first, second


def _slowness(
    parts: TrainingParts, frame_source: FrameSource, data: Batches, warmup: int, *, fresh: bool
) -> Slowness | None:
    """The score of pairs of frames; None without a lag time."""
    config = parts.model.config
    pairs, weight = pairs_of(frame_source, config, parts.partition), settled_slowness(config)
    if pairs is None or weight is None:
        return None
    vae, weights = parts.model.vae, _weights(parts.weights, parts.partition, share_of(parts.partition, ALONE))
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
