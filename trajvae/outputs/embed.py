"""Latent coordinates of every frame of a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from trajvae.alignment.align import frame_jump
from trajvae.figures import EmbeddingFigures
from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.models.encoded import ColumnBuffer, Posterior
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.frame_measures import FrameMeasures, Measured
from trajvae.outputs.judging.verdicts import judge_embedding
from trajvae.readers.data_set import Chunk, Frames
from trajvae.results.applied import Applied
from trajvae.results.embedding import WEIGHT, Embedding, embedding_file
from trajvae.results.sensitivity import Sensitivity
from trajvae.store import Header, Quantity
from trajvae.training.frame_source import FrameSource
from trajvae.typing import Float64, Floats, Int64
from trajvae.weighted_samples import weighted_mean

_FIGURES = ("elbo", "rmsd", "pca_rmsd")  # of a reconstruction: their means are reported
Progress = Callable[[int, int], None]


class Origin(NamedTuple):
    """Hold where frames come from.

    Attributes
    ----------
    file, frame, time, files
        As of `Embedding`.
    """

    file: Int64
    frame: Int64
    time: Float64
    files: list[str]


def embed(
    pipeline: Pipeline,
    frames: Frames | FrameSource,
    progress: Progress | None = None,
    *,
    rmsd: bool = True,
    record: TrainingRecord | None = None,
    applied: Applied | None = None,
    weights: FrameWeights | None = None,
    moved: Sensitivity | None = None,
) -> Embedding:
    """Encode all frames of a source, chunk by chunk; deterministic.

    Parameters
    ----------
    pipeline : Pipeline
    frames : Frames or FrameSource
    progress : callable, optional
        Called with (frames done, frames in all).
    rmsd : bool
        Whether to decode the latent points and to measure RMSDs, ELBO and observables; see `Model.encode`.
    record : TrainingRecord, optional
        Of the model: its training frames decide which frames are in support.
    applied : Applied, optional
    weights : FrameWeights, optional
        Of the frames: they are kept, and the means of the figures are weighted.
    moved : Sensitivity, optional
        How much atoms and residues move the latent coordinates over these frames; it is kept.
    """
    columns, look = ColumnBuffer(frames.n_frames), FrameMeasures(pipeline, record if rmsd else None, observables=rmsd)
    for piece in _pieces(pipeline, frames, progress, rmsd=rmsd):
        chunk, own = piece.chunk, {"jump": piece.jump, **piece.posterior._asdict(), **piece.losses}
        columns.add({**own, "file": chunk.file, "frame": chunk.frame, "time": chunk.time})
        look.add(piece.posterior, piece.aligned)
    posterior = Posterior(columns["latent"], columns["scale"])
    origin = Origin(columns["file"], columns["frame"], columns["time"], frames.names)
    losses = {name: columns[name] for name in _FIGURES} if rmsd else {}
    found = assemble(pipeline, posterior, origin, columns["jump"], losses, weights)
    return replace(_complete(found, look.gathered(), applied or Applied(hash_of(pipeline))), sensitivity=moved)


def embed_to(
    path: Path,
    pipeline: Pipeline,
    frames: Frames | FrameSource,
    progress: Progress | None = None,
    *,
    command: str,
    seed: int,
    force: bool = False,
    record: TrainingRecord | None = None,
    applied: Applied | None = None,
    weights: FrameWeights | None = None,
    moved: Sensitivity | None = None,
) -> EmbeddingFigures:
    """Write what `embed` gives as it comes, so that memory does not grow with the number of frames; its figures."""
    sums, inside = dict.fromkeys(_FIGURES, 0.0), 0
    header, applied = Header(Embedding.KIND, command, seed), applied or Applied(hash_of(pipeline))
    look, counts = FrameMeasures(pipeline, record, observables=True), relative_of(weights)
    n, names = frames.n_frames, frames.names
    with embedding_file(path, n, names, header, applied, force=force, weights=weights, moved=moved) as out:
        for piece in _pieces(pipeline, frames, progress, rmsd=True):
            chunk = piece.chunk
            origin, rows = (
                Origin(chunk.file, chunk.frame, chunk.time, names),
                slice(out.n_done, out.n_done + len(piece.jump)),
            )
            found = look.measure(piece.posterior, piece.aligned)
            made = assemble(pipeline, piece.posterior, origin, piece.jump, piece.losses)
            own = {} if weights is None else {WEIGHT: Quantity(weights.values[rows])}
            made = replace(made, frame_observables={**found.observables, **own}, in_support=found.in_support)
            out.append(made)
            losses = {k: v if counts is None else v * counts[rows] for k, v in piece.losses.items()}
            sums = {name: total + float(losses[name].sum()) for name, total in sums.items()}
            inside += 0 if found.in_support is None else int(found.in_support.sum())
        figures = _figures(out.n_done, sums, None if record is None else inside, record)
        figures = figures if weights is None else replace(figures, effective_sample_size=weights.effective_size)
        out.set_figures(figures)
    return figures


def _figures(n: int, sums: Mapping[str, float], inside: int | None, record: TrainingRecord | None) -> EmbeddingFigures:
    """Return means over n frames, and the verdict on them where the training is known."""
    elbo, rmsd, pca_rmsd = (sums[name] / n for name in _FIGURES)
    figures = EmbeddingFigures(frames=n, elbo=elbo, rmsd=rmsd, pca_rmsd=pca_rmsd)
    if record is None or inside is None:
        return figures
    return replace(figures, in_support=inside / n, judgement=judge_embedding(record.figures, rmsd, inside / n))


def _complete(embedding: Embedding, found: Measured, applied: Applied) -> Embedding:
    """The embedding of all frames, with what was measured of them."""
    inside, figures = found.in_support, embedding.figures
    if inside is not None:
        figures = replace(figures, in_support=float(inside.mean()))
    return replace(embedding, frame_observables=found.observables, in_support=inside, applied=applied, figures=figures)


class _Piece(NamedTuple):
    """Hold a chunk of frames and what the model returns for them; no `losses` where nothing was decoded."""

    chunk: Chunk
    posterior: Posterior
    losses: Mapping[str, Float64]
    aligned: Floats
    jump: Float64


def _pieces(
    pipeline: Pipeline, frames: Frames | FrameSource, progress: Progress | None, *, rmsd: bool
) -> Iterator[_Piece]:
    """Encode chunk after chunk, and measure the jump to each frame from the one that it follows."""
    generator, done = torch.Generator(pipeline.device).manual_seed(0), 0
    last: Floats | None = None
    for chunk in frames.chunks():
        losses: dict[str, Float64] = {}
        if rmsd:
            posterior, reconstruction, aligned = pipeline.reconstruct(chunk.positions, generator)
            losses = {name: getattr(reconstruction, name) for name in _FIGURES}
        else:
            posterior, aligned = pipeline.encode(chunk.positions)
        jump = np.where(chunk.has_predecessor, frame_jump(aligned), np.nan)
        if last is not None and chunk.has_predecessor[0]:
            jump[:1] = frame_jump(np.concatenate([last, aligned[:1]]))[1:]
        last, done = aligned[-1:], done + len(aligned)
        yield _Piece(chunk, posterior, losses, aligned, jump)
        if progress is not None:
            progress(done, frames.n_frames)


def assemble(
    pipeline: Pipeline,
    posterior: Posterior,
    origin: Origin,
    jump: Float64,
    losses: Mapping[str, Float64],
    weights: FrameWeights | None = None,
) -> Embedding:
    """Make an embedding of encoded frames.

    Parameters
    ----------
    pipeline : Pipeline
    posterior : Posterior
    origin : Origin
    jump : ndarray, shape (T,)
    losses : mapping of str to ndarray, shape (T,)
        `rmsd`, `pca_rmsd` and `elbo` of a `Reconstruction`, whose means are the figures; empty where nothing was
        decoded.
    weights : FrameWeights, optional
    """
    size, counts = None if weights is None else weights.effective_size, relative_of(weights)
    figures = EmbeddingFigures(frames=len(origin.file), effective_sample_size=size)
    if losses:
        elbo, rmsd, pca_rmsd = (float(weighted_mean(losses[name], counts)) for name in _FIGURES)
        figures = replace(figures, elbo=elbo, rmsd=rmsd, pca_rmsd=pca_rmsd)
    return Embedding(
        posterior.latent,
        posterior.scale,
        losses.get("rmsd", np.full(len(origin.file), np.nan)),
        jump,
        *origin,
        pipeline.tangent(posterior.latent),
        pipeline.vae.latent.coordinates,
        figures=figures,
        geometry=pipeline.vae.latent.manifold.geometry(),
        weights=weights,
    )
