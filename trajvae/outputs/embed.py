"""Latent coordinates of every frame of a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.models.encoded import Columns, Encoded
from trajvae.models.pipeline import Pipeline
from trajvae.readers.align import frame_jump
from trajvae.readers.sources import Chunk, Frames, follows
from trajvae.store import Header, Quantity, table_file

_FIGURES = ("elbo", "rmsd", "pca_rmsd")  # whose means are told
_KEPT = ("latent", "scale", *_FIGURES)  # of what is encoded
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Embedding:
    """What `embed` gives.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    latent_scale : ndarray, shape (T, dim)
    tangent : ndarray, shape (T, dim)
        The latent points in the tangent space at the manifold's origin; the same as `latent` where that is flat.
    coordinates : str
        What `latent` is: Cartesian, unit vectors, ...
    geometry : str
        The space it lies in, as `Latent.geometry` has it; empty where that has no name.
    rmsd : ndarray, shape (T,)
        Å, of each frame to its decoded mean; NaN where that was not asked for.
    frame_jump : ndarray, shape (T,)
        Å, to the frame before in the same file; NaN where there is none.
    file, frame : ndarray of int64, shape (T,)
    time : ndarray, shape (T,)
        ps.
    files : list of str
    figures : dict
        Means over the frames.
    """

    latent: NDArray[np.float64]
    latent_scale: NDArray[np.float64]
    rmsd: NDArray[np.float64]
    frame_jump: NDArray[np.float64]
    file: NDArray[np.int64]
    frame: NDArray[np.int64]
    time: NDArray[np.float64]
    files: list[str]
    tangent: NDArray[np.float64]
    coordinates: str
    seed: int = 0
    command: str = "Model.encode"
    figures: dict[str, Any] = field(default_factory=dict)
    geometry: str = ""

    def __repr__(self) -> str:
        return (
            f"<Embedding of {len(self.latent)} frames, latent {self.latent.shape[1]} coordinates ({self.coordinates})>"
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the table of the design's section 4.3, whole or not at all."""
        header, extra = Header("embedding", self.command, self.seed), {"files": np.array(self.files)}
        with table_file(Path(path), len(self.frame), header, extra, force=force) as out:
            out.append(self.observables(), self.frame, self.time, {"file": self.file, "frame": self.frame})

    def observables(self) -> Mapping[str, Quantity]:
        """What the file has of every frame."""
        observables = {
            "latent": Quantity(self.latent, attributes={"coordinates": self.coordinates, "geometry": self.geometry}),
            "latent_scale": Quantity(self.latent_scale),
            "rmsd": Quantity(self.rmsd, "Angstrom"),
            "frame_jump": Quantity(self.frame_jump, "Angstrom"),
        }
        if self.tangent.shape != self.latent.shape:
            observables["latent_tangent"] = Quantity(self.tangent)
        return observables


def embed(
    pipeline: Pipeline,
    frames: Frames,
    progress: Progress | None = None,
    *,
    rmsd: bool = True,
) -> Embedding:
    """Encode all frames of a source, chunk by chunk; deterministic.

    Parameters
    ----------
    pipeline : Pipeline
    frames : Frames
    progress : callable, optional
        Called with (frames done, frames in all).
    rmsd : bool
        Whether to decode the latent points and to measure RMSDs and ELBO; see `Model.encode`.
    """
    columns = Columns(frames.n_frames)
    for encoded, chunk, jump in _pieces(pipeline, frames, progress, rmsd=rmsd):
        own = {name: getattr(encoded, name) for name in _KEPT}
        columns.add({**own, "jump": jump, "file": chunk.file, "frame": chunk.frame})
    kept = Encoded(*(columns[name] if name in _KEPT else np.empty(0) for name in Encoded._fields))
    where = columns["file"], columns["frame"]
    return assemble(pipeline, kept, where, columns["jump"], frames, measured=rmsd)


def embed_to(
    path: Path,
    pipeline: Pipeline,
    frames: Frames,
    progress: Progress | None = None,
    *,
    command: str,
    seed: int,
    force: bool = False,
) -> dict[str, Any]:
    """Write what `embed` gives as it comes, so that memory does not grow with the number of frames; its figures."""
    header, extra = Header("embedding", command, seed), {"files": np.array(frames.names)}
    sums = dict.fromkeys(_FIGURES, 0.0)
    with table_file(path, frames.n_frames, header, extra, force=force) as out:
        for encoded, chunk, jump in _pieces(pipeline, frames, progress):
            piece = assemble(pipeline, encoded, (chunk.file, chunk.frame), jump, frames, measured=False)
            out.append(piece.observables(), piece.frame, piece.time, {"file": piece.file, "frame": piece.frame})
            sums = {name: total + float(getattr(encoded, name).sum()) for name, total in sums.items()}
    return {"frames": out.done, **{name: total / out.done for name, total in sums.items()}}


def _pieces(
    pipeline: Pipeline, frames: Frames, progress: Progress | None, *, rmsd: bool = True
) -> Iterator[tuple[Encoded, Chunk, NDArray[np.float64]]]:
    """What is encoded of chunk after chunk, and the jump to each frame from the one before in the same file."""
    generator, done = torch.Generator(pipeline.device).manual_seed(0), 0
    last: tuple[int, NDArray[np.floating[Any]]] | None = None
    for chunk in frames.chunks():
        encoded, aligned = pipeline.encode(chunk.positions, generator, rmsd=rmsd)
        jump = np.where(follows(chunk.file), frame_jump(aligned), np.nan)
        if last is not None and last[0] == chunk.file[0]:
            jump[:1] = frame_jump(np.concatenate([last[1], aligned[:1]]))[1:]
        last, done = (int(chunk.file[-1]), aligned[-1:]), done + len(aligned)
        yield encoded, chunk, jump
        if progress is not None:
            progress(done, frames.n_frames)


def assemble(
    pipeline: Pipeline,
    everything: Encoded,
    where: tuple[NDArray[np.int64], NDArray[np.int64]],
    jump: NDArray[np.float64],
    frames: Frames,
    *,
    measured: bool = True,
) -> Embedding:
    """An embedding of what was encoded of frames, numbers of whose files and in them are `where`.

    Without measures figures tell none.
    """
    file, frame = where
    figures: dict[str, Any] = {"frames": len(file)}
    if measured:
        figures |= {name: float(getattr(everything, name).mean()) for name in _FIGURES}
    return Embedding(
        everything.latent,
        everything.scale,
        everything.rmsd,
        jump,
        file,
        frame,
        frames.times(file, frame),
        frames.names,
        pipeline.tangent(everything.latent),
        pipeline.vae.latent.coordinates,
        figures=figures,
        geometry=pipeline.vae.latent.geometry(),
    )
