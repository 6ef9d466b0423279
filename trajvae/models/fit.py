"""From frames to a trained pipeline: reference, features, split, training, and the record that a model keeps."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.config import TrainConfig
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.features import LEAST_FLOOR, Features, Lesson, features_of
from trajvae.latents import resolve_settings
from trajvae.models.choice import choose_features
from trajvae.models.evidence import active_units, mutual_information
from trajvae.models.likelihoods import default_likelihood
from trajvae.models.pipeline import Encoded, Pipeline, Sizes, build_vae, join
from trajvae.models.schedule import Schedule, default_batch, default_decay, default_epochs, held_out_blocks
from trajvae.models.train import Progress, Regulariser, Split, Trainer
from trajvae.observables import built_in, evaluate_all
from trajvae.readers.align import Alignment, frame_jump, pairwise_rmsd
from trajvae.readers.sources import Chunk, follows
from trajvae.topology import Topology
from trajvae.validity import Validity

SAMPLE_FRAMES, SAMPLE_BYTES = 2000, 64e6
_TOLD = 1000  # frames of which mutual information is estimated
REFERENCE_FRAMES = 5000  # frames that the mean structure is taken from, at most


@dataclass(frozen=True, eq=False)
class Record:
    """What a model keeps of its training frames.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    held_out : ndarray of bool, shape (T,)
    file, frame : ndarray of int64, shape (T,)
    observables : dict of ndarray, shape (T,)
        The built-in ones.
    sample : ndarray of float32, shape (S, N, D)
        Aligned frames, evenly spread, in Å.
    sample_index : ndarray of int64, shape (S,)
        Which of the T frames they are.
    history : dict of ndarray
    validity : Validity
    figures : dict
        JSON: what `train` reports.
    """

    latent: NDArray[np.float64]
    held_out: NDArray[np.bool_]
    file: NDArray[np.int64]
    frame: NDArray[np.int64]
    observables: dict[str, NDArray[np.float64]]
    sample: NDArray[np.float32]
    sample_index: NDArray[np.int64]
    history: dict[str, NDArray[Any]]
    validity: Validity
    figures: dict[str, Any]


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
    if len(positions) < 5:
        raise ReadError(f"training needs at least 5 frames, got {len(positions)}")
    if float(np.ptp(positions, axis=0).max()) == 0.0:
        raise ReadError(f"all {len(positions)} frames are equal: there is nothing to learn")
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
    if config.latent_dim > len(lesson.frames):
        raise OptionError(
            f"latent_dim must not be above the number of training frames, {len(lesson.frames)}, got {config.latent_dim}"
        )
    features = features_of(config.features).fitted(lesson)
    if config.latent_dim > features.size:
        raise OptionError(
            f"latent_dim must not be above the number of features, {features.size}, got {config.latent_dim}"
        )
    return features


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
    inputs : ndarray, shape (T, N, D), optional
        What the encoder sees in the place of each frame, such as the frame with noise: the model learns to denoise.
    regulariser : callable, optional
        (VAE, Terms) to a scalar in nats a frame that is added to the loss.
    progress, checkpoint : callable, optional
        See `Trainer.run`.

    Raises
    ------
    ReadError
        Too few frames, frames that are all equal, or inputs of another shape.
    """
    begun = time.monotonic()
    _check(chunk.positions, config)
    if inputs is not None and inputs.shape != chunk.positions.shape:
        raise ReadError(f"inputs need the frames' shape {chunk.positions.shape}, got {inputs.shape}")
    config = dataclasses.replace(config, settings=resolve_settings(config.backend, config.settings))
    held = held_out_blocks(chunk.file)
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
    record = _record(trained, chunk, aligned, held, history)
    record.figures.update(epochs=int(history["epoch"][-1]), seconds=round(time.monotonic() - begun, 2))
    record.figures.update(batch_size=schedule.batch_size, likelihood=sizes.likelihood, **choice)
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


def encode_all(pipeline: Pipeline, positions: NDArray[np.floating[Any]]) -> Encoded:
    """Encode frames in chunks of the pipeline's size."""
    generator = torch.Generator(pipeline.device).manual_seed(0)
    pieces = range(0, len(positions), pipeline.chunk)
    return join([pipeline.encode(positions[i : i + pipeline.chunk], generator)[0] for i in pieces])


def _record(
    pipeline: Pipeline,
    chunk: Chunk,
    aligned: NDArray[np.floating[Any]],
    held: NDArray[np.bool_],
    history: dict[str, NDArray[Any]],
) -> Record:
    encoded = encode_all(pipeline, chunk.positions)
    validity = Validity.fit(aligned[~held], pipeline.topology)
    per_frame = aligned[0].size * 4
    most = int(max(2, min(SAMPLE_FRAMES, SAMPLE_BYTES // per_frame, len(aligned))))
    index = np.unique(np.linspace(0, len(aligned) - 1, most).astype(np.int64))
    observables = evaluate_all(list(built_in(pipeline.topology).values()), aligned)
    figures = _figures(pipeline, chunk, aligned, held, encoded, validity)
    return Record(
        encoded.latent,
        held,
        chunk.file,
        chunk.frame,
        observables,
        aligned[index].astype(np.float32),
        index,
        history,
        validity,
        figures,
    )


def _figures(
    pipeline: Pipeline,
    chunk: Chunk,
    aligned: NDArray[np.floating[Any]],
    held: NDArray[np.bool_],
    encoded: Encoded,
    validity: Validity,
) -> dict[str, Any]:
    jump, least = jumps(aligned, chunk.file)
    degenerate = pipeline.alignment.degenerate(chunk.positions)
    active = active_units(pipeline, encoded.latent, encoded.kl)
    some = chunk.positions[np.unique(np.linspace(0, len(aligned) - 1, min(len(aligned), _TOLD)).astype(np.int64))]
    told, nats = mutual_information(pipeline, some), float(encoded.kl.sum(axis=1).mean())
    if not active:
        warnings.warn(
            f"the latent space has collapsed: none of its {pipeline.config.latent_dim} dimensions says anything of a "
            f"frame (KL {encoded.kl[held].sum(axis=1).mean():.3f} nats); --free-bits 4, --beta below 1, --likelihood "
            "isotropic, --torsions independent, more epochs or more frames are ways out",
            TrajvaeWarning,
            stacklevel=2,
        )
    if degenerate:
        warnings.warn(
            f"{degenerate} of {len(aligned)} frames have principal axes that are nearly degenerate: "
            "their orientation is arbitrary; --align superpose has no such frames",
            TrajvaeWarning,
            stacklevel=2,
        )
    return {
        "frames": len(aligned),
        "held_out": int(held.sum()),
        "atoms": pipeline.n_atoms,
        "features": pipeline.vae.features.size,
        "feature_kind": pipeline.config.features,
        "backend": pipeline.config.backend,
        "latent_dim": pipeline.config.latent_dim,
        "elbo": float(encoded.elbo[held].mean()),
        "elbo_shape": float(encoded.elbo[held].mean() - pipeline.log_jacobian(aligned[held]).mean()),
        "rmsd": float(encoded.rmsd[held].mean()),
        "pca_rmsd": float(encoded.pca_rmsd[held].mean()),
        "held_out_valid": float(validity.test(aligned[held]).mean()),
        "frame_jump": jump,
        "frame_jump_optimal": least,
        "degenerate": degenerate,
        "kl": dict(zip(pipeline.vae.latent.parts, encoded.kl[held].mean(axis=0).tolist(), strict=True)),
        "active_units": active,
        "collapsed": active == 0,
        "mutual_information": told,
        "prior_gap": max(0.0, nats - told),
        "curvatures": pipeline.vae.latent.curvatures(),
        "diagnostics": pipeline.vae.latent.diagnostics(),
    }


def jumps(aligned: NDArray[np.floating[Any]], file: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """The largest RMSD in Å between neighbours of one file, as aligned and as optimally superposed."""
    next_to = np.flatnonzero(follows(file))
    if not len(next_to):
        return None, None
    jump = frame_jump(aligned)[next_to]
    least = pairwise_rmsd(aligned[next_to], aligned[next_to - 1], np.ones(aligned.shape[1]))
    return float(jump.max()), float(least.max())
