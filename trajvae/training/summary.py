"""The summary of a training: latents, observables and figures of all frames, for the record that a model keeps."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.alignment.align import frame_jump, mean_structure, pairwise_rmsd
from trajvae.errors import TrajvaeWarning
from trajvae.models.encoded import Columns
from trajvae.models.evidence import active_units, mutual_information, prior_gap
from trajvae.models.judgement import Evidence, judge_training
from trajvae.models.observed import measure
from trajvae.models.partition import Partition
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import Record
from trajvae.models.shape_evidence import shape_bound
from trajvae.molecule.observables import built_in, evaluate_all
from trajvae.molecule.validity import Validity
from trajvae.readers.data_set import Chunk
from trajvae.store import Quantity
from trajvae.training.frame_source import Supply
from trajvae.training.unlike_blocks import unlike_blocks

SAMPLE_FRAMES, SAMPLE_BYTES = 2000, 64e6
_MANY = 100_000  # frames that the spread of latent points is told from, at most
_TOLD = 1000  # frames of which mutual information is estimated


class _Tally:
    """What frames say, added up chunk by chunk."""

    def __init__(self, pipeline: Pipeline, validity: Validity, parts: Partition) -> None:
        self.pipeline, self.validity, self.parts = pipeline, validity, parts
        self.observables = built_in(pipeline.topology)
        self.held = held = parts.held_out
        per_frame = 4 * pipeline.alignment.reference.size
        most = int(max(2, min(SAMPLE_FRAMES, SAMPLE_BYTES // per_frame, len(held))))
        self.index = np.unique(np.linspace(0, len(held) - 1, most).astype(np.int64))
        self.frames, self.judged = Columns(len(held)), Columns(int(held.sum()))
        self.sample = Columns(len(self.index))
        self.degenerate = 0
        self.jump: float | None = None
        self.least: float | None = None
        self.generator = torch.Generator(pipeline.device).manual_seed(0)
        self._last: NDArray[np.floating[Any]] | None = None

    def add(self, chunk: Chunk) -> None:
        """Encode and measure some frames."""
        encoded, aligned = self.pipeline.encode(chunk.positions, self.generator)
        done = self.frames.done
        held = self.held[done : done + len(aligned)]
        first, last = np.searchsorted(self.index, [done, done + len(aligned)])
        if held.any():
            judged = aligned[held]
            own: dict[str, Any] = {name: getattr(encoded, name)[held] for name in ("rmsd", "pca_rmsd")}
            own |= {"valid": self.validity.test(judged), "log_jacobian": self.pipeline.log_jacobian(judged)}
            self.judged.add(own)
        if first < last:
            self.sample.add({"sample": aligned[self.index[first:last] - done].astype(np.float32)})
        measured = evaluate_all(list(self.observables.values()), aligned)
        told: dict[str, Any] = {"latent": encoded.latent, "elbo": encoded.elbo, "kl": encoded.kl.astype(np.float32)}
        told["rmsd"] = encoded.rmsd
        self.frames.add({**told, **measured})
        self.degenerate += self.pipeline.alignment.degenerate(chunk.positions)
        self._jumps(aligned, chunk.follows)

    def _jumps(self, aligned: NDArray[np.floating[Any]], follows: NDArray[np.bool_]) -> None:
        """Update the largest jumps; a chunk's first frame may follow the last one of the chunk before."""
        if self._last is not None:
            aligned, follows = np.concatenate([self._last, aligned]), np.concatenate([[False], follows])
        jump, least = jumps(aligned, follows)
        if jump is not None and least is not None:
            self.jump, self.least = max(jump, self.jump or 0.0), max(least, self.least or 0.0)
        self._last = aligned[-1:]


def make_record(pipeline: Pipeline, supply: Supply, parts: Partition, history: dict[str, NDArray[Any]]) -> Record:
    """Encode all frames of a trained pipeline, and measure how it fared on those it held out."""
    (index, some), held = supply.some(), parts.held_out
    validity = Validity.fit(pipeline.alignment.apply(some)[~held[index]], pipeline.topology)
    tally = _Tally(pipeline, validity, parts)
    for chunk in supply.chunks(pipeline.chunk):
        tally.add(chunk)
    if tally.degenerate:
        warnings.warn(
            f"{tally.degenerate} of {len(held)} frames have principal axes that are nearly degenerate: "
            "their orientation is arbitrary; --align superpose has no such frames",
            TrajvaeWarning,
            stacklevel=2,
        )
    figures = _figures(pipeline, tally, index, some)
    figures |= _judged(pipeline, validity, tally, figures, supply.file)
    return Record(
        tally.frames["latent"],
        parts.part,
        supply.file,
        supply.frame,
        _kept_observables(tally),
        tally.sample["sample"],
        tally.index,
        history,
        validity,
        figures,
    )


def _kept_observables(tally: _Tally) -> dict[str, Quantity]:
    """The observables of all frames; one that is not finite in all of them is left out with a warning."""
    out = {}
    for name, observable in tally.observables.items():
        values = np.asarray(tally.frames[name], dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            warnings.warn(
                f"the model does not keep the observable '{name}': it is not finite in {len(bad)} of {len(values)} "
                f"frames, such as frame {bad[0]}; make it finite there, and train again",
                TrajvaeWarning,
                stacklevel=2,
            )
        else:
            out[name] = observable.quantity(values)
    return out


def _judged(
    pipeline: Pipeline, validity: Validity, tally: _Tally, figures: dict[str, Any], file: NDArray[np.int64]
) -> dict[str, Any]:
    """The verdict on a training, and the figures that it was found from."""
    sample = tally.sample["sample"]
    found = measure(pipeline, validity, sample, tally.index, file, tally.parts, figures["prior_gap"])
    train_rmsd = float(tally.frames["rmsd"][tally.parts.training].mean())
    verdict = judge_training(
        Evidence(
            trained=figures["trained"],
            rmsd=figures["rmsd"],
            train_rmsd=train_rmsd,
            pca_rmsd=figures["pca_rmsd"],
            collapsed=figures["collapsed"],
            unlike=len(figures["unlike_blocks"]),
            jump=figures["frame_jump"],
            least=figures["frame_jump_optimal"],
            atoms=figures["atoms"],
            feature_kind=figures["feature_kind"],
            valid=found.draws_valid,
            spread=found.spread,
            mean_rmsd=found.mean_rmsd,
            drift=found.drift,
            crossings=found.crossings,
            molecules=found.molecules,
            apart=found.apart,
            within=found.within,
            order=found.order,
        )
    )
    return {"train_rmsd": train_rmsd, **asdict(found), **verdict.to_json()}


def _shape_figures(
    pipeline: Pipeline, tally: _Tally, elbo: float, index: NDArray[np.int64], some: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """The ELBO as a density of shapes: None with the reason where it is not known."""
    if pipeline.alignment.kind == "superpose" or pipeline.config.features != "cartesian":
        return {"elbo_shape": elbo - float(tally.judged["log_jacobian"].mean()), "elbo_shape_note": None}
    training, held = some[tally.parts.training[index]], some[tally.held[index]]
    if not len(training) or not len(held):
        return {"elbo_shape": None, "elbo_shape_note": "none of the frames that are kept in memory is held out"}
    bound = shape_bound(pipeline, training, held, mean_structure(training, pipeline.alignment.weights))
    if bound is None:
        return {"elbo_shape": None, "elbo_shape_note": "atoms lie on one line, about which no rotation is defined"}
    return {"elbo_shape": float(bound.mean()), "elbo_shape_note": None}


def _figures(
    pipeline: Pipeline, tally: _Tally, index: NDArray[np.int64], some: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    elbo = float(tally.frames["elbo"][tally.held].mean())
    sample = tally.sample["sample"].astype(np.float64)
    return {
        "frames": len(tally.held),
        "trained": int(tally.parts.training.sum()),
        "validation": int(tally.parts.validation.sum()),
        "held_out": int(tally.held.sum()),
        "atoms": pipeline.n_atoms,
        "features": pipeline.vae.features.size,
        "feature_kind": pipeline.config.features,
        "backend": pipeline.config.backend,
        "latent_dim": pipeline.config.latent_dim,
        "elbo": elbo,
        **_shape_figures(pipeline, tally, elbo, index, some),
        "rmsd": float(tally.judged["rmsd"].mean()),
        "pca_rmsd": float(tally.judged["pca_rmsd"].mean()),
        "held_out_valid": float(tally.judged["valid"].mean()),
        "frame_jump": tally.jump,
        "frame_jump_optimal": tally.least,
        "degenerate": tally.degenerate,
        **_use_of_latent(pipeline, tally, some),
        "unlike_blocks": unlike_blocks(tally.frames["elbo"], ~tally.parts.training, sample, tally.index),
        "curvatures": pipeline.vae.latent.curvatures(),
        "geometry": pipeline.vae.latent.geometry(),
        "diagnostics": pipeline.vae.latent.diagnostics(),
    }


def _use_of_latent(pipeline: Pipeline, tally: _Tally, some: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """What the latent space says of frames, with a warning where that is nothing."""
    kl = tally.frames["kl"]
    step = -(-len(kl) // _MANY)
    active = active_units(pipeline, tally.frames["latent"][::step], kl[::step])
    kl = kl[tally.held]
    if not active:
        warnings.warn(
            f"the latent space has collapsed: none of its {pipeline.config.latent_dim} dimensions says anything of a "
            f"frame (KL {kl.sum(axis=1).mean():.3f} nats); --free-bits 4, --beta below 1, --likelihood "
            "isotropic, --torsions independent, more epochs or more frames are ways out",
            TrajvaeWarning,
            stacklevel=2,
        )
    frames = some[np.unique(np.linspace(0, len(some) - 1, min(len(some), _TOLD)).astype(np.int64))]
    return {
        "kl": dict(zip(pipeline.vae.latent.parts, kl.mean(axis=0).tolist(), strict=True)),
        "active_units": active,
        "collapsed": active == 0,
        "mutual_information": mutual_information(pipeline, frames),
        "prior_gap": prior_gap(pipeline, frames),
    }


def jumps(aligned: NDArray[np.floating[Any]], follows: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Return the largest RMSD in Å between frames and their predecessors, as aligned and as optimally superposed."""
    next_to = np.flatnonzero(follows)
    if not len(next_to):
        return None, None
    jump = frame_jump(aligned)[next_to]
    least = pairwise_rmsd(aligned[next_to], aligned[next_to - 1], np.ones(aligned.shape[1]))
    return float(jump.max()), float(least.max())
