"""Latent coordinates of every frame of a trajectory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from trajvae.alignment.align import frame_jump
from trajvae.dataframes import dataframe
from trajvae.display import Displayed, Summary, scalars
from trajvae.figures import EmbeddingFigures
from trajvae.models.encoded import ColumnBuffer, Posterior
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.frame_measures import FrameMeasures, Measured
from trajvae.outputs.judging.verdicts import judge_embedding
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.reading import Reading
from trajvae.store import Header, Quantity, table_file
from trajvae.training.frame_source import FrameSource
from trajvae.typing import Bool, Float64, Floats, Int64

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


@dataclass(frozen=True)
class Applied:
    """Hold which model was applied to what: attributes of the file, by which `plot` finds the trajectory again.

    Attributes
    ----------
    model_hash : str
        See `store.model_hash`; empty where the model is not known.
    model : str
        Name of the model's file, where it was read from one.
    reading : Reading
        How the trajectories were opened; its selection is the model's unless another was given.
    """

    model_hash: str = ""
    model: str = ""
    reading: Reading = field(default_factory=Reading)

    def attributes(self) -> dict[str, str]:
        """Return the attributes as they stand in the file, the reading as JSON."""
        opened: dict[str, Any] = {name: getattr(self.reading, name) for name in ("select", "bonds", "format")}
        opened = {"topology": list(self.reading.topologies), **opened}
        return {"model_hash": self.model_hash, "model": self.model, "reading": json.dumps(opened, default=str)}


@dataclass(frozen=True, eq=False, repr=False)
class Embedding(Displayed):
    """Hold what `embed` returns.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    latent_scale : ndarray, shape (T, dim)
    tangent : ndarray, shape (T, dim)
        The latent points in the tangent space at the manifold's origin; the same as `latent` where that is flat.
    coordinates : str
        What `latent` is: Cartesian, unit vectors, ...
    geometry : str
        The space it lies in, such as `e2` or `h2:0.73,e2`; empty where that has no name.
    rmsd : ndarray, shape (T,)
        Å, of each frame to its decoded mean; NaN where that was not asked for.
    frame_jump : ndarray, shape (T,)
        Å, to the frame that it follows in the same run; NaN where there is none: first frames, gaps and restarts.
    file, frame : ndarray of int64, shape (T,)
    time : ndarray, shape (T,)
        ps, as the files give it.
    files : list of str
    figures : EmbeddingFigures
        Means over the frames.
    frame_observables : mapping of str to Quantity
        Values (T,) of the observables that models keep (radius of gyration, end-to-end distance, and what you add),
        with unit and period; empty where nothing was decoded.
    in_support : ndarray of bool, shape (T,), or None
        Whether a frame's latent point lies where those of training frames are: not further from the
        fifth nearest than 99 % of these are.
    applied : Applied
    """

    latent: Float64
    latent_scale: Float64
    rmsd: Float64
    frame_jump: Float64
    file: Int64
    frame: Int64
    time: Float64
    files: list[str]
    tangent: Float64
    coordinates: str
    seed: int = 0
    command: str = "Model.encode"
    figures: EmbeddingFigures = field(default_factory=lambda: EmbeddingFigures.from_json({}))
    geometry: str = ""
    frame_observables: Mapping[str, Quantity] = field(default_factory=dict)
    in_support: Bool | None = None
    applied: Applied = field(default_factory=Applied)

    @property
    def measured(self) -> Mapping[str, Float64]:
        """The values (T,) of each observable of `frame_observables`."""
        return {name: np.asarray(q.value, dtype=np.float64) for name, q in self.frame_observables.items()}

    def _summary(self) -> Summary:
        n, width = self.latent.shape
        means = [(f"mean {name}", value) for name, value in scalars(self.figures) if name in _FIGURES]
        rows = [("frames", n), ("files", ", ".join(self.files)), ("coordinates", self.coordinates), *means]
        return Summary(f"Embedding of {n} frames, latent {width} coordinates ({self.coordinates})", rows)

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame, a row a frame: file, frame, time (ps), and what the file has of every frame.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        origin = {"file": np.array(self.files, dtype=object)[self.file], "frame": self.frame, "time": self.time}
        return dataframe({**origin, **{name: q.value for name, q in self.observables().items()}})

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the table of the design's section 4.3, whole or not at all."""
        header, extra = Header("embedding", self.command, self.seed), {"files": np.array(self.files)}
        told = self.applied.attributes()
        with table_file(Path(path), len(self.frame), header, extra, told, force=force) as out:
            out.append(self.observables(), self.frame, self.time, {"file": self.file, "frame": self.frame})

    def observables(self) -> Mapping[str, Quantity]:
        """Return the observables of every frame that the file has, by name."""
        observables = {
            "latent": Quantity(self.latent, attributes={"coordinates": self.coordinates, "geometry": self.geometry}),
            "latent_scale": Quantity(self.latent_scale),
            "rmsd": Quantity(self.rmsd, "Angstrom"),
            "frame_jump": Quantity(self.frame_jump, "Angstrom"),
        }
        if self.tangent.shape != self.latent.shape:
            observables["latent_tangent"] = Quantity(self.tangent)
        observables |= self.frame_observables
        if self.in_support is not None:
            observables["in_support"] = Quantity(self.in_support.astype(np.int8))
        return observables


def embed(
    pipeline: Pipeline,
    frames: Frames | FrameSource,
    progress: Progress | None = None,
    *,
    rmsd: bool = True,
    record: TrainingRecord | None = None,
    applied: Applied | None = None,
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
    """
    columns, look = ColumnBuffer(frames.n_frames), FrameMeasures(pipeline, record if rmsd else None, observables=rmsd)
    for piece in _pieces(pipeline, frames, progress, rmsd=rmsd):
        chunk, own = piece.chunk, {"jump": piece.jump, **piece.posterior._asdict(), **piece.losses}
        columns.add({**own, "file": chunk.file, "frame": chunk.frame, "time": chunk.time})
        look.add(piece.posterior, piece.aligned)
    posterior = Posterior(columns["latent"], columns["scale"])
    origin = Origin(columns["file"], columns["frame"], columns["time"], frames.names)
    losses = {name: columns[name] for name in _FIGURES} if rmsd else {}
    found = assemble(pipeline, posterior, origin, columns["jump"], losses)
    return _complete(found, look.gathered(), applied or Applied(hash_of(pipeline)))


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
) -> EmbeddingFigures:
    """Write what `embed` gives as it comes, so that memory does not grow with the number of frames; its figures."""
    header, extra = Header("embedding", command, seed), {"files": np.array(frames.names)}
    sums, inside = dict.fromkeys(_FIGURES, 0.0), 0
    look, told = FrameMeasures(pipeline, record, observables=True), applied or Applied(hash_of(pipeline))
    with table_file(path, frames.n_frames, header, extra, told.attributes(), force=force) as out:
        for piece in _pieces(pipeline, frames, progress, rmsd=True):
            chunk = piece.chunk
            origin = Origin(chunk.file, chunk.frame, chunk.time, frames.names)
            found = look.measure(piece.posterior, piece.aligned)
            made = assemble(pipeline, piece.posterior, origin, piece.jump, piece.losses)
            made = replace(made, frame_observables=found.observables, in_support=found.in_support)
            out.append(made.observables(), made.frame, made.time, {"file": made.file, "frame": made.frame})
            sums = {name: total + float(piece.losses[name].sum()) for name, total in sums.items()}
            inside += 0 if found.in_support is None else int(found.in_support.sum())
        figures = _figures(out.done, sums, None if record is None else inside, record)
        out.describe({"summary": json.dumps(figures.to_json())})
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
        jump = np.where(chunk.follows, frame_jump(aligned), np.nan)
        if last is not None and chunk.follows[0]:
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
    """
    figures = EmbeddingFigures(frames=len(origin.file))
    if losses:
        elbo, rmsd, pca_rmsd = (float(losses[name].mean()) for name in _FIGURES)
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
        geometry=pipeline.vae.latent.geometry(),
    )
