"""Latent coordinates of every frame of a trajectory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.cluster import WorkPlace
from trajvae.cluster.frame_ranges import RangeReader
from trajvae.figures import EmbeddingFigures
from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.models.encoded import ColumnBuffer, Posterior
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.encoded_chunks import LOSSES, ChunkEncoder, EncodedChunk, Progress, encoded_chunks
from trajvae.outputs.frame_measures import Measured, join_measures
from trajvae.outputs.judging.verdicts import judge_embedding
from trajvae.readers.data_set import Frames
from trajvae.results.applied import Applied
from trajvae.results.embedding import WEIGHT, Embedding, embedding_file
from trajvae.results.sensitivity import Sensitivity
from trajvae.store import Header, Quantity
from trajvae.training.frame_source import FrameSource
from trajvae.typing import Float64, Int64
from trajvae.weighted_samples import weighted_mean


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
    place: WorkPlace | None = None,
    reader: RangeReader | None = None,
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
    place : WorkPlace, optional
        Where chunks are encoded; see `encoded_chunks`.
    reader : RangeReader, optional
        Reads the same frames there.
    """
    columns, parts = ColumnBuffer(frames.n_frames), []
    encoder = ChunkEncoder.of(pipeline, record, rmsd=rmsd, reader=reader)
    with contextlib.closing(encoded_chunks(encoder, frames, progress, place)) as chunks:
        for found in chunks:
            own = {"jump": found.jump, **found.posterior._asdict(), **found.losses}
            columns.add({**own, "file": found.file, "frame": found.frame, "time": found.time})
            parts.append(found.measured)
    posterior = Posterior(columns["latent"], columns["scale"])
    origin = Origin(columns["file"], columns["frame"], columns["time"], frames.names)
    losses = {name: columns[name] for name in LOSSES} if rmsd else {}
    made = assemble(pipeline, posterior, origin, columns["jump"], losses, weights)
    return replace(_complete(made, join_measures(parts), applied or Applied(hash_of(pipeline))), sensitivity=moved)


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
    place: WorkPlace | None = None,
    reader: RangeReader | None = None,
) -> EmbeddingFigures:
    """Write what `embed` gives as it comes, so that memory does not grow with the number of frames; its figures."""
    sums, inside = dict.fromkeys(LOSSES, 0.0), 0
    header, applied = Header(Embedding.KIND, command, seed), applied or Applied(hash_of(pipeline))
    encoder, counts = ChunkEncoder.of(pipeline, record, rmsd=True, reader=reader), relative_of(weights)
    n, names = frames.n_frames, frames.names
    with (
        embedding_file(path, n, names, header, applied, force=force, weights=weights, moved=moved) as out,
        contextlib.closing(encoded_chunks(encoder, frames, progress, place)) as chunks,
    ):
        for found in chunks:
            rows, inside_now = slice(out.n_done, out.n_done + len(found.jump)), found.measured.in_support
            own = {} if weights is None else {WEIGHT: Quantity(weights.values[rows])}
            out.append(_assembled(pipeline, found, names, own))
            losses = {k: v if counts is None else v * counts[rows] for k, v in found.losses.items()}
            sums = {name: total + float(losses[name].sum()) for name, total in sums.items()}
            inside += 0 if inside_now is None else int(inside_now.sum())
        figures = _figures(out.n_done, sums, None if record is None else inside, record)
        figures = figures if weights is None else replace(figures, effective_sample_size=weights.effective_size)
        out.set_figures(figures)
    return figures


def _assembled(pipeline: Pipeline, found: EncodedChunk, names: list[str], own: Mapping[str, Quantity]) -> Embedding:
    """The embedding of the frames of one chunk, with further numbers of each frame."""
    origin = Origin(found.file, found.frame, found.time, names)
    made = assemble(pipeline, found.posterior, origin, found.jump, found.losses)
    observables = {**found.measured.observables, **own}
    return replace(made, frame_observables=observables, in_support=found.measured.in_support)


def _figures(n: int, sums: Mapping[str, float], inside: int | None, record: TrainingRecord | None) -> EmbeddingFigures:
    """Return means over n frames, and the verdict on them where the training is known."""
    elbo, rmsd, pca_rmsd = (sums[name] / n for name in LOSSES)
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
        elbo, rmsd, pca_rmsd = (float(weighted_mean(losses[name], counts)) for name in LOSSES)
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
