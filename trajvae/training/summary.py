"""The summary of a training: latents, observables and figures of all frames, for the record that a model keeps."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from trajvae.alignment.align import frame_jump, mean_structure, pairwise_rmsd
from trajvae.errors import TrajvaeWarning
from trajvae.models.encoded import ColumnBuffer
from trajvae.models.evidence import active_units, mutual_information, prior_gap
from trajvae.models.judgement import Evidence, judge_training
from trajvae.models.observed import measure
from trajvae.models.partition import Partition
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.models.shape_evidence import shape_bound
from trajvae.molecule.observables import built_in, evaluate_all
from trajvae.molecule.validity import Validity
from trajvae.readers.data_set import Chunk
from trajvae.store import Quantity
from trajvae.training.frame_source import FrameSource
from trajvae.training.outcome import TrainingOutcome
from trajvae.training.unlike_blocks import describe_unlike, unlike_blocks
from trajvae.typing import Bool, Floats, Int64

SAMPLE_FRAMES, SAMPLE_BYTES = 2000, 64e6
_MANY = 100_000  # frames that the spread of latent points is told from, at most
_TOLD = 1000  # frames of which mutual information is estimated


class _Summary:
    """What frames say, added up chunk by chunk."""

    def __init__(self, pipeline: Pipeline, validity: Validity, parts: Partition) -> None:
        self.pipeline, self.validity, self.parts = pipeline, validity, parts
        self.observables = built_in(pipeline.topology)
        self.held = held = parts.held_out
        per_frame = 4 * pipeline.alignment.reference.size
        most = int(max(2, min(SAMPLE_FRAMES, SAMPLE_BYTES // per_frame, len(held))))
        self.index = np.unique(np.linspace(0, len(held) - 1, most).astype(np.int64))
        self.frames, self.judged = ColumnBuffer(len(held)), ColumnBuffer(int(held.sum()))
        self.sample = ColumnBuffer(len(self.index))
        self.degenerate = 0
        self.jump: float | None = None
        self.least: float | None = None
        self.generator = torch.Generator(pipeline.device).manual_seed(0)
        self._last: Floats | None = None

    def add(self, chunk: Chunk) -> None:
        """Encode and measure some frames."""
        posterior, reconstruction, aligned = self.pipeline.reconstruct(chunk.positions, self.generator)
        done = self.frames.done
        held = self.held[done : done + len(aligned)]
        first, last = np.searchsorted(self.index, [done, done + len(aligned)])
        if held.any():
            judged = aligned[held]
            own: dict[str, Any] = {"rmsd": reconstruction.rmsd[held], "pca_rmsd": reconstruction.pca_rmsd[held]}
            own |= {"valid": self.validity.test(judged), "log_jacobian": self.pipeline.log_jacobian(judged)}
            self.judged.add(own)
        if first < last:
            self.sample.add({"sample": aligned[self.index[first:last] - done].astype(np.float32)})
        measured = evaluate_all(list(self.observables.values()), aligned)
        own = {"latent": posterior.latent, "elbo": reconstruction.elbo, "rmsd": reconstruction.rmsd}
        self.frames.add({**own, "kl": reconstruction.kl.astype(np.float32), **measured})
        self.degenerate += self.pipeline.alignment.degenerate(chunk.positions)
        self._jumps(aligned, chunk.follows)

    def _jumps(self, aligned: Floats, follows: Bool) -> None:
        """Update the largest jumps; a chunk's first frame may follow the last one of the chunk before."""
        if self._last is not None:
            aligned, follows = np.concatenate([self._last, aligned]), np.concatenate([[False], follows])
        jump, least = jumps(aligned, follows)
        if jump is not None and least is not None:
            self.jump, self.least = max(jump, self.jump or 0.0), max(least, self.least or 0.0)
        self._last = aligned[-1:]


def make_record(
    pipeline: Pipeline, frame_source: FrameSource, parts: Partition, outcome: TrainingOutcome
) -> TrainingRecord:
    """Encode all frames of a trained pipeline, and measure how it fared on those it held out."""
    (index, some), held = frame_source.fitting_frames(), parts.held_out
    validity = Validity.fit(pipeline.alignment.apply(some)[~held[index]], pipeline.topology)
    summary = _Summary(pipeline, validity, parts)
    for chunk in frame_source.chunks(pipeline.chunk):
        summary.add(chunk)
    if summary.degenerate:
        warnings.warn(
            f"{summary.degenerate} of {len(held)} frames have principal axes that are nearly degenerate: "
            "their orientation is arbitrary; --align superpose has no such frames",
            TrajvaeWarning,
            stacklevel=2,
        )
    figures = _figures(pipeline, summary, index, some)
    figures |= _judged(pipeline, validity, summary, figures, frame_source.file)
    observables = _kept_observables(summary)
    unlike = describe_unlike(figures["unlike_blocks"], frame_source.file, frame_source.frame, outcome.names)
    figures |= {**outcome.figures(), "likelihood": pipeline.sizes.likelihood, **outcome.found, "unlike_blocks": unlike}
    return TrainingRecord(
        summary.frames["latent"],
        parts.part,
        frame_source.file,
        frame_source.frame,
        observables,
        summary.sample["sample"],
        summary.index,
        outcome.history,
        validity,
        figures,
    )


def _kept_observables(summary: _Summary) -> dict[str, Quantity]:
    """The observables of all frames; one that is not finite in all of them is left out with a warning."""
    out = {}
    for name, observable in summary.observables.items():
        values = np.asarray(summary.frames[name], dtype=np.float64)
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
    pipeline: Pipeline, validity: Validity, summary: _Summary, figures: dict[str, Any], file: Int64
) -> dict[str, Any]:
    """The verdict on a training, and the figures that it was found from."""
    sample = summary.sample["sample"]
    found = measure(pipeline, validity, sample, summary.index, file, summary.parts, figures["prior_gap"])
    train_rmsd = float(summary.frames["rmsd"][summary.parts.training].mean())
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


def _shape_figures(pipeline: Pipeline, summary: _Summary, elbo: float, index: Int64, some: Floats) -> dict[str, Any]:
    """The ELBO as a density of shapes: None with the reason where it is not known."""
    if pipeline.alignment.kind == "superpose" or pipeline.config.features != "cartesian":
        return {"elbo_shape": elbo - float(summary.judged["log_jacobian"].mean()), "elbo_shape_note": None}
    training, held = some[summary.parts.training[index]], some[summary.held[index]]
    if not len(training) or not len(held):
        return {"elbo_shape": None, "elbo_shape_note": "none of the frames that are kept in memory is held out"}
    bound = shape_bound(pipeline, training, held, mean_structure(training, pipeline.alignment.weights))
    if bound is None:
        return {"elbo_shape": None, "elbo_shape_note": "atoms lie on one line, about which no rotation is defined"}
    return {"elbo_shape": float(bound.mean()), "elbo_shape_note": None}


def _figures(pipeline: Pipeline, summary: _Summary, index: Int64, some: Floats) -> dict[str, Any]:
    elbo = float(summary.frames["elbo"][summary.held].mean())
    sample = summary.sample["sample"].astype(np.float64)
    return {
        "frames": len(summary.held),
        "trained": int(summary.parts.training.sum()),
        "validation": int(summary.parts.validation.sum()),
        "held_out": int(summary.held.sum()),
        "atoms": pipeline.n_atoms,
        "features": pipeline.vae.features.size,
        "feature_kind": pipeline.config.features,
        "backend": pipeline.config.backend,
        "latent_dim": pipeline.config.latent_dim,
        "elbo": elbo,
        **_shape_figures(pipeline, summary, elbo, index, some),
        "rmsd": float(summary.judged["rmsd"].mean()),
        "pca_rmsd": float(summary.judged["pca_rmsd"].mean()),
        "held_out_valid": float(summary.judged["valid"].mean()),
        "frame_jump": summary.jump,
        "frame_jump_optimal": summary.least,
        "degenerate": summary.degenerate,
        **_use_of_latent(pipeline, summary, some),
        "unlike_blocks": unlike_blocks(summary.frames["elbo"], ~summary.parts.training, sample, summary.index),
        "curvatures": pipeline.vae.latent.curvatures(),
        "geometry": pipeline.vae.latent.geometry(),
        "diagnostics": pipeline.vae.latent.diagnostics(),
    }


def _use_of_latent(pipeline: Pipeline, summary: _Summary, some: Floats) -> dict[str, Any]:
    """What the latent space says of frames, with a warning where that is nothing."""
    kl = summary.frames["kl"]
    step = -(-len(kl) // _MANY)
    active = active_units(pipeline, summary.frames["latent"][::step], kl[::step])
    kl = kl[summary.held]
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


def jumps(aligned: Floats, follows: Bool) -> tuple[float | None, float | None]:
    """Return the largest RMSD in Å between frames and their predecessors, as aligned and as optimally superposed."""
    next_to = np.flatnonzero(follows)
    if not len(next_to):
        return None, None
    jump = frame_jump(aligned)[next_to]
    least = pairwise_rmsd(aligned[next_to], aligned[next_to - 1], np.ones(aligned.shape[1]))
    return float(jump.max()), float(least.max())
