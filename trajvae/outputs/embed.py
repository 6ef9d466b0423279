"""Latent coordinates of every frame of a trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.models.encoded import Columns, Encoded
from trajvae.models.pipeline import Pipeline
from trajvae.readers.align import frame_jump
from trajvae.readers.sources import Frames, follows
from trajvae.store import Header, Quantity, write_table

_KEPT = ("latent", "scale", "rmsd", "pca_rmsd", "elbo")  # of what is encoded


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
        observables = {
            "latent": Quantity(self.latent, attributes={"coordinates": self.coordinates, "geometry": self.geometry}),
            "latent_scale": Quantity(self.latent_scale),
            "rmsd": Quantity(self.rmsd, "Angstrom"),
            "frame_jump": Quantity(self.frame_jump, "Angstrom"),
        }
        if self.tangent.shape != self.latent.shape:
            observables["latent_tangent"] = Quantity(self.tangent)
        extra = {"file": self.file, "frame": self.frame, "files": np.array(self.files)}
        header = Header("embedding", self.command, self.seed)
        write_table(
            Path(path),
            header,
            observables=observables,
            steps=self.frame,
            times=self.time,
            extra=extra,
            force=force,
        )


def embed(
    pipeline: Pipeline,
    frames: Frames,
    progress: Callable[[int, int], None] | None = None,
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
    columns, last = Columns(frames.n_frames), None
    generator = torch.Generator(pipeline.device).manual_seed(0)
    for chunk in frames.chunks():
        encoded, aligned = pipeline.encode(chunk.positions, generator, rmsd=rmsd)
        jump = frame_jump(aligned)
        if last is not None:
            jump[:1] = frame_jump(np.concatenate([last, aligned[:1]]))[1:]
        own = {name: getattr(encoded, name) for name in _KEPT}
        columns.add({**own, "jump": jump, "file": chunk.file, "frame": chunk.frame})
        last = aligned[-1:]
        if progress is not None:
            progress(columns.done, frames.n_frames)
    kept = Encoded(*(columns[name] if name in _KEPT else np.empty(0) for name in Encoded._fields))
    where = columns["file"], columns["frame"]
    return assemble(pipeline, kept, where, columns["jump"], frames, measured=rmsd)


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

    A jump between two files is none, and without measures figures tell none.
    """
    file, frame = where
    jump = np.where(follows(file), jump, np.nan)
    figures: dict[str, Any] = {"frames": len(file)}
    if measured:
        figures |= {name: float(getattr(everything, name).mean()) for name in ("elbo", "rmsd", "pca_rmsd")}
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
