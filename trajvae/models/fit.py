"""From frames to a trained pipeline: reference, features, split, training, and the record that a model keeps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.config import TrainConfig
from trajvae.errors import OptionError, ReadError
from trajvae.features import LEAST_FLOOR, Features, Lesson, features_of
from trajvae.latents import resolve_settings
from trajvae.models.choice import choose_features
from trajvae.models.likelihoods import default_likelihood
from trajvae.models.pipeline import Pipeline, Sizes, build_vae
from trajvae.models.record import Record, make_record
from trajvae.models.sanity import split_frames, tell_unlike
from trajvae.models.schedule import Schedule, default_batch, default_decay, default_epochs
from trajvae.models.train import Progress, Regulariser, Split, Trainer
from trajvae.readers.align import Alignment
from trajvae.readers.sources import Chunk
from trajvae.topology import Topology

REFERENCE_FRAMES = 5000  # frames that the mean structure is taken from, at most


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda` to a device.

    Raises
    ------
    OptionError
        Another name, or no CUDA device where one is asked for.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise OptionError(f"device must be auto, cpu or cuda, got '{name}'")
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("device 'cuda' was asked for and none is there: use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _check(positions: NDArray[np.floating[Any]], config: TrainConfig) -> None:
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


def _alignment(
    config: TrainConfig, positions: NDArray[np.floating[Any]], topology: Topology, train: NDArray[np.int64]
) -> Alignment:
    """The reference comes from training frames alone: held-out figures must not depend on what they are held from."""
    step = max(1, -(-len(train) // REFERENCE_FRAMES))
    weights = topology.masses if config.center == "mass" else np.ones(topology.n_atoms)
    return Alignment.fit(config.align, positions[train[::step]], weights)


def _learn_features(config: TrainConfig, lesson: Lesson) -> Features:
    """Features of the training frames."""
    _check_dimension(config, "training frames", len(lesson.frames))
    features = features_of(config.features).fitted(lesson)
    _check_dimension(config, "features", features.size)
    return features


def _check_dimension(config: TrainConfig, what: str, most: int) -> None:
    """Refuse more latent dimensions than can be told apart."""
    if config.latent_dim > most:
        way = f"--latent-dim {most} is the most" if config.signature is None else "a --signature of fewer dimensions"
        raise OptionError(f"latent_dim must not be above the number of {what}, {most}, got {config.latent_dim}: {way}")


def _sizes(config: TrainConfig, features: Features, precision: float, n_train: int) -> Sizes:
    """Numbers that the data decide."""
    likelihood = config.likelihood or default_likelihood(features, n_train)
    shape = features.shape
    floor = max(precision, LEAST_FLOOR)
    return Sizes(shape.n_inputs, likelihood, floor, n_train, shape.n_angular, shape.baseline)


def fit(
    chunk: Chunk,
    topology: Topology,
    config: TrainConfig,
    *,
    precision: float = 0.0,
    device: str = "auto",
    names: Sequence[str] = (),
    inputs: NDArray[np.floating[Any]] | None = None,
    regulariser: Regulariser | None = None,
    progress: Progress | None = None,
    checkpoint: Callable[[int], None] | None = None,
) -> tuple[Pipeline, Record]:
    """Train on frames.

    Parameters
    ----------
    chunk : Chunk
        All frames, in Å, and where each comes from.
    topology : Topology
    config : TrainConfig
    precision : float
        Resolution of the coordinates in Å; the likelihood's noise is never finer.
    device : str
    names : sequence of str
        Of the files, for messages.
    inputs : ndarray, shape (T, N, D), optional
        What the encoder sees in the place of each frame, such as the frame with noise: the model learns to denoise.
    regulariser : callable, optional
        (VAE, Terms) to a scalar in nats a frame that is added to the loss.
    progress, checkpoint : callable, optional
        See `Trainer.run`.

    Raises
    ------
    ReadError
        Too few frames or atoms, frames that are all equal, or inputs of another shape.
    """
    begun = time.monotonic()
    _check(chunk.positions, config)
    if inputs is not None and inputs.shape != chunk.positions.shape:
        raise ReadError(f"inputs need the frames' shape {chunk.positions.shape}, got {inputs.shape}")
    config = dataclasses.replace(config, settings=resolve_settings(config.backend, config.settings))
    held, copies = split_frames(chunk, names)
    alignment = _alignment(config, chunk.positions, topology, np.flatnonzero(~held))
    aligned = alignment.apply(chunk.positions)
    lesson = Lesson(alignment, topology, aligned[~held], precision, config.latent_dim)
    config, choice = choose_features(config, lesson)
    config = dataclasses.replace(config, hidden=config.widths)
    features = _learn_features(config, lesson)
    sizes = _sizes(config, features, precision, int((~held).sum()))
    vae = build_vae(config, alignment, sizes, features)
    pipeline = Pipeline(config, sizes, topology, alignment, vae, choose_device(device))
    seen = aligned if inputs is None else alignment.apply(inputs)
    schedule, data = _prepare(pipeline, aligned, seen, held)
    vae.train().requires_grad_(True)
    history = Trainer(vae, data, schedule, regulariser).run(progress, checkpoint).arrays()
    trained = Pipeline(config, sizes, topology, alignment, pipeline.vae, pipeline.device)
    record = make_record(trained, chunk, aligned, held, history)
    record.figures.update(epochs=int(history["epoch"][-1]), seconds=round(time.monotonic() - begun, 2))
    record.figures.update(batch_size=schedule.batch_size, likelihood=sizes.likelihood, **choice, **copies)
    record.figures["unlike_blocks"] = tell_unlike(record.figures["unlike_blocks"], chunk.file, chunk.frame, names)
    return trained, record


def _prepare(
    pipeline: Pipeline,
    aligned: NDArray[np.floating[Any]],
    seen: NDArray[np.floating[Any]],
    held: NDArray[np.bool_],
) -> tuple[Schedule, Split]:
    """Targets and inputs on the device, and how they are trained on."""
    config, vae = pipeline.config, pipeline.vae
    targets = pipeline.targets(aligned)
    mask = torch.from_numpy(held).to(targets.device)
    inputs = vae.features.inputs(targets if seen is aligned else pipeline.targets(seen)).float()
    targets = targets.float()
    n_train = int((~held).sum())
    batch = min(config.batch_size or default_batch(n_train), n_train)
    epochs = config.epochs or default_epochs(n_train, batch, vae.likelihood.steps)
    schedule = Schedule(
        epochs,
        batch,
        beta=config.beta,
        warmup=max(Schedule.warmup, vae.likelihood.warmup),
        free_bits=vae.likelihood.free_bits if config.free_bits is None else config.free_bits,
        weight_decay=default_decay(n_train),
        seed=config.seed,
    )
    return schedule, Split(inputs[~mask], targets[~mask], inputs[mask], targets[mask])
