"""Train the candidates of a comparison on the same frames, and measure each on the frames that it held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch

from trajvae.config import TrainConfig
from trajvae.display import Brief
from trajvae.errors import ModelError, OptionError
from trajvae.frame_weights.weights import FrameWeights, WeightSource, relative_of
from trajvae.models.evidence import Evidence, active_units, evidence
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.readers.data_set import Chunk
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.runtime.progress import stage
from trajvae.runtime.threads import small_work
from trajvae.topology import Topology
from trajvae.training.frame_source import InMemoryFrames
from trajvae.training.prepared import prepare_frames
from trajvae.typing import Float64, Int64
from trajvae.weighted_samples import weighted_mean

EPOCHS = 50
_MOST = {"draws": 10**7, "frames": 10**9, "repeats": 10**4, "jobs": 10**4}


@dataclass(frozen=True)
class ComparisonPlan:
    """Set how models are compared.

    Attributes
    ----------
    draws : int
        Of each frame's posterior, for the importance-weighted bound.
    frames : int
        Held-out frames at most, evenly taken.
    repeats : int
        Number of trainings of each candidate, with consecutive seeds.
    jobs : int
        Trainings at once, each in a process.
    """

    draws: int = 500
    frames: int = 1000
    repeats: int = 1
    jobs: int = 1

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise OptionError(f"{name} must be 1 or more, up to {most}, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False, repr=False)
class Trial(Brief):
    """Hold one trained model's figures on the held-out frames.

    Attributes
    ----------
    name : str
    dim : int
        Intrinsic, of the latent space.
    seal : str
        Hash of features, alignment, reference and atom weights; ELBOs are comparable where it is equal.
    rows, block : ndarray of int64, shape (n,)
        Which frames, and the number of the held-out block that each lies in.
    found : Evidence
    rmsd, pca_rmsd : ndarray, shape (n,)
        Å.
    active : int
        Intrinsic dimensions in which the posterior's mean varies.
    kl : dict of float
        Nats, by part of the latent space.
    epochs : int
    seconds : float
    weights : ndarray, shape (n,), optional
        Of the frames, of mean 1; None where all count alike.
    source : WeightSource, optional
        Where they came from.
    vamp2 : float, optional
        VAMP-2 score of the held-out frames' latent points, where it was trained with a lag time.
    """

    name: str
    dim: int
    seal: str
    rows: Int64
    block: Int64
    found: Evidence
    rmsd: Float64
    pca_rmsd: Float64
    active: int
    kl: dict[str, float]
    epochs: int
    seconds: float
    weights: Float64 | None = None
    source: WeightSource | None = None
    vamp2: float | None = None


def check_frames(name: str, pipeline: Pipeline, record: TrainingRecord, chunk: Chunk) -> None:
    """Refuse to judge a model by frames that it was not trained on.

    Raises
    ------
    ModelError
        Another number of frames, or others than those that the model keeps.
    """
    if len(record.held_out) != len(chunk.positions):
        raise ModelError(
            f"'{name}' was trained on {len(record.held_out)} frames, these are {len(chunk.positions)}: "
            "models are compared on the frames that they held out"
        )
    kept = pipeline.alignment.apply(chunk.positions[record.sample_index])
    if not np.allclose(kept, record.sample, atol=1e-2):
        raise ModelError(f"'{name}' was trained on other frames: models compare on the frames they held out")


def examine(
    name: str,
    pipeline: Pipeline,
    record: TrainingRecord,
    chunk: Chunk,
    plan: ComparisonPlan,
    seed: int = 0,
    weights: FrameWeights | None = None,
) -> Trial:
    """Return the evidence of a model on the frames that it held out of those it was trained on, with their weights."""
    held = np.flatnonzero(record.held_out)
    some = evenly_spaced(len(held), plan.frames, nearest=True)
    rows, block = held[some], np.concatenate([[0], np.cumsum(np.diff(held) > 1)])[some]
    positions = chunk.positions[rows]
    with small_work(3.0 * pipeline.vae.latent.rows_at_once * sum(p.numel() for p in pipeline.vae.parameters())):
        found = evidence(pipeline, positions, plan.draws, seed)
        posterior, reconstruction, _ = pipeline.reconstruct(positions)
    own = relative_of(weights, rows, "held-out")
    mean_kl = weighted_mean(reconstruction.kl, own).tolist()
    kl = dict(zip(pipeline.vae.latent.parts, mean_kl, strict=True))
    done = record.figures
    return Trial(
        name,
        pipeline.vae.latent.dim,
        pipeline.comparison_hash(),
        rows,
        block,
        found,
        reconstruction.rmsd,
        reconstruction.pca_rmsd,
        active_units(pipeline, posterior.latent, reconstruction.kl),
        kl,
        int(done.epochs),
        float(done.seconds),
        own,
        None if weights is None else weights.source,
        done.vamp2,
    )


@dataclass(frozen=True, eq=False)
class _Job:
    """Hold what a process needs to train one trial."""

    name: str
    config: TrainConfig
    chunk: Chunk
    topology: Topology
    precision: float
    device: str
    plan: ComparisonPlan
    at_once: int
    weights: FrameWeights | None
    untimed: frozenset[int]


def _work(job: _Job) -> Trial:
    with stage(f"training {job.name}", "epoch") as tell:
        training = prepare_frames(
            InMemoryFrames(job.chunk, untimed=job.untimed),
            job.topology,
            job.config,
            precision=job.precision,
            device=job.device,
            weights=job.weights,
        )
        trained = training.run(progress=lambda done, *_: tell(done))
    return examine(job.name, trained.pipeline, trained.record, job.chunk, job.plan, job.config.seed, job.weights)


def _alone(job: _Job) -> Trial:
    torch.set_num_threads(max(1, torch.get_num_threads() // job.at_once))
    return _work(job)


def _trials(jobs: list[_Job], at_once: int) -> Iterator[Trial]:
    if at_once == 1:
        yield from map(_work, jobs)
        return
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_alone, jobs)


def train_all(
    chunk: Chunk,
    topology: Topology,
    candidates: dict[str, TrainConfig],
    plan: ComparisonPlan,
    *,
    precision: float = 0.0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    weights: FrameWeights | None = None,
    untimed: frozenset[int] = frozenset(),
) -> list[Trial]:
    """Train and examine every candidate, as often as the plan says.

    Parameters
    ----------
    chunk : Chunk
    topology : Topology
    candidates : dict of TrainConfig
        By the name that results will have; epochs that are not given are at most 50.
    plan : ComparisonPlan
    precision, device
        As of `trajvae.training.prepared.PreparedTraining`.
    progress : callable, optional
        Called with (models done, models in all).
    weights : FrameWeights, optional
        Of the chunk's frames.
    untimed : frozenset of int
        Numbers of the files whose times are not known.
    """
    jobs, at_once = [], max(1, min(plan.jobs, plan.repeats * len(candidates)))
    for repeat in range(plan.repeats):
        for name, config in candidates.items():
            config = dataclasses.replace(config, epochs=config.epochs or EPOCHS, seed=config.seed + repeat)
            jobs.append(_Job(name, config, chunk, topology, precision, device, plan, at_once, weights, untimed))
    done = []
    for trial in _trials(jobs, at_once):
        done.append(trial)
        if progress is not None:
            progress(len(done), len(jobs))
    return done
