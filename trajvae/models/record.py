"""What a model keeps of its training frames, and how it fared on them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.errors import TrajvaeWarning
from trajvae.models.evidence import active_units, mutual_information, prior_gap
from trajvae.models.pipeline import Encoded, Pipeline, join
from trajvae.observables import built_in, evaluate_all
from trajvae.readers.align import frame_jump, pairwise_rmsd
from trajvae.readers.sources import Chunk, follows
from trajvae.validity import Validity

SAMPLE_FRAMES, SAMPLE_BYTES = 2000, 64e6
_TOLD = 1000  # frames of which mutual information is estimated


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


def encode_all(pipeline: Pipeline, positions: NDArray[np.floating[Any]]) -> Encoded:
    """Encode frames in chunks of the pipeline's size."""
    generator = torch.Generator(pipeline.device).manual_seed(0)
    pieces = range(0, len(positions), pipeline.chunk)
    return join([pipeline.encode(positions[i : i + pipeline.chunk], generator)[0] for i in pieces])


def make_record(
    pipeline: Pipeline,
    chunk: Chunk,
    aligned: NDArray[np.floating[Any]],
    held: NDArray[np.bool_],
    history: dict[str, NDArray[Any]],
) -> Record:
    """Encode all frames of a trained pipeline, and measure how it fared on those it held out."""
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
        **_use_of_latent(pipeline, chunk, held, encoded),
        "curvatures": pipeline.vae.latent.curvatures(),
        "geometry": pipeline.vae.latent.geometry(),
        "diagnostics": pipeline.vae.latent.diagnostics(),
    }


def _use_of_latent(pipeline: Pipeline, chunk: Chunk, held: NDArray[np.bool_], encoded: Encoded) -> dict[str, Any]:
    """What the latent space says of frames, with a warning where that is nothing."""
    active = active_units(pipeline, encoded.latent, encoded.kl)
    if not active:
        warnings.warn(
            f"the latent space has collapsed: none of its {pipeline.config.latent_dim} dimensions says anything of a "
            f"frame (KL {encoded.kl[held].sum(axis=1).mean():.3f} nats); --free-bits 4, --beta below 1, --likelihood "
            "isotropic, --torsions independent, more epochs or more frames are ways out",
            TrajvaeWarning,
            stacklevel=2,
        )
    n = len(chunk.positions)
    some = np.unique(np.linspace(0, n - 1, min(n, _TOLD)).astype(np.int64))
    frames = chunk.positions[some]
    return {
        "kl": dict(zip(pipeline.vae.latent.parts, encoded.kl[held].mean(axis=0).tolist(), strict=True)),
        "active_units": active,
        "collapsed": active == 0,
        "mutual_information": mutual_information(pipeline, frames),
        "prior_gap": prior_gap(pipeline, frames),
    }


def jumps(aligned: NDArray[np.floating[Any]], file: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """The largest RMSD in Å between neighbours of one file, as aligned and as optimally superposed."""
    next_to = np.flatnonzero(follows(file))
    if not len(next_to):
        return None, None
    jump = frame_jump(aligned)[next_to]
    least = pairwise_rmsd(aligned[next_to], aligned[next_to - 1], np.ones(aligned.shape[1]))
    return float(jump.max()), float(least.max())
