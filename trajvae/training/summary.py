"""The summary of a training: latents, observables and figures of all frames, for the record that a model keeps."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import torch

from trajvae.alignment.align import frame_jump, mean_structure, pairwise_rmsd
from trajvae.errors import TrajvaeWarning
from trajvae.figures.frame_findings import UnlikeBlock
from trajvae.figures.training import TrainingFigures
from trajvae.models.draws.geometry_fit import GeometryFrames, fit_local_geometry
from trajvae.models.encoded import ColumnBuffer
from trajvae.models.evidence import active_units, mutual_information, prior_gap
from trajvae.models.judgement import SampleMeasures, TrainingEvidence, judge_training
from trajvae.models.partition import Partition
from trajvae.models.pipeline import Pipeline
from trajvae.models.plain_normal import warn_of_unsound_elbo
from trajvae.models.record import TrainingRecord
from trajvae.models.sample_measures import measure
from trajvae.models.shape_evidence import shape_bound
from trajvae.molecule.observables import built_in, evaluate_all
from trajvae.molecule.validity import Validity
from trajvae.readers.data_set import Chunk
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.store import Quantity
from trajvae.training.frame_source import FrameSource
from trajvae.training.outcome import TrainingOutcome
from trajvae.training.unlike_blocks import describe_unlike, unlike_blocks
from trajvae.typing import AnyArray, Bool, Floats, Int64

SAMPLE_FRAMES, SAMPLE_BYTES = 2000, 64e6
_MANY = 100_000  # frames that decide which latent dimensions are in use, at most
_SOME = 1000  # frames of which mutual information is estimated


class _Summary:
    """Accumulates latents, observables and held-out quality over chunks of frames."""

    def __init__(self, pipeline: Pipeline, validity: Validity, parts: Partition) -> None:
        self.pipeline, self.validity, self.parts = pipeline, validity, parts
        self.observables = built_in(pipeline.topology)
        self.held = held = parts.held_out
        per_frame = 4 * pipeline.alignment.reference.size
        most = int(max(2, min(SAMPLE_FRAMES, SAMPLE_BYTES // per_frame, len(held))))
        self.index = evenly_spaced(len(held), most)
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
            self.judged.add(
                {
                    "rmsd": reconstruction.rmsd[held],
                    "pca_rmsd": reconstruction.pca_rmsd[held],
                    "valid": self.validity.test(judged),
                    "log_jacobian": self.pipeline.log_jacobian(judged),
                }
            )
        if first < last:
            self.sample.add({"sample": aligned[self.index[first:last] - done].astype(np.float32)})
        measured = evaluate_all(list(self.observables.values()), aligned)
        own: dict[str, AnyArray] = {"latent": posterior.latent, "elbo": reconstruction.elbo}
        own |= {"rmsd": reconstruction.rmsd, "kl": reconstruction.kl.astype(np.float32)}
        self.frames.add({**own, **measured})
        self.degenerate += self.pipeline.alignment.degenerate(chunk.positions)
        self._jumps(aligned, chunk.has_predecessor)

    @property
    def held_out_elbo(self) -> float:
        """Mean ELBO of the held-out frames, in nats a frame."""
        return float(self.frames["elbo"][self.held].mean())

    def _jumps(self, aligned: Floats, has_predecessor: Bool) -> None:
        """Update the largest jumps; a chunk's first frame may follow the last one of the chunk before."""
        if self._last is not None:
            aligned, has_predecessor = np.concatenate([self._last, aligned]), np.concatenate([[False], has_predecessor])
        jump, least = jumps(aligned, has_predecessor)
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
    warn_of_unsound_elbo(summary.held_out_elbo, pipeline, some[parts.training[index]], some[held[index]])
    shape, latent, sample = _shape_elbo(summary, index, some), _latent_figures(summary, some), summary.sample["sample"]
    blocks = unlike_blocks(summary.frames["elbo"], ~parts.training, sample.astype(np.float64), summary.index)
    known, points, gap = some[parts.training[index]], summary.frames["latent"], latent.prior_gap
    kept = (sample[use[summary.index]] for use in (parts.training, parts.validation))
    frames = GeometryFrames(pipeline.alignment.apply(known), *kept)
    geometry = fit_local_geometry(pipeline, validity, frames, points[parts.validation], gap)
    measures = measure(pipeline, validity, sample, summary.index, frame_source.file, parts, points, gap, geometry)
    observables = _kept_observables(summary)
    unlike = describe_unlike(blocks, frame_source.file, frame_source.frame, outcome.names)
    return TrainingRecord(
        summary.frames["latent"],
        parts.part,
        frame_source.file,
        frame_source.frame,
        observables,
        sample,
        summary.index,
        outcome.history,
        validity,
        _figures(summary, outcome, shape, latent, unlike, measures),
        geometry,
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


def _shape_elbo(summary: _Summary, index: Int64, some: Floats) -> tuple[float | None, str | None]:
    """The held-out ELBO as a density of shapes; None, with the reason, where it is not known."""
    pipeline = summary.pipeline
    if pipeline.alignment.kind == "superpose" or pipeline.config.features != "cartesian":
        return summary.held_out_elbo - float(summary.judged["log_jacobian"].mean()), None
    training, held = some[summary.parts.training[index]], some[summary.held[index]]
    if not len(training) or not len(held):
        return None, "none of the frames that are kept in memory is held out"
    bound = shape_bound(pipeline, training, held, mean_structure(training, pipeline.alignment.weights))
    if bound is None:
        return None, "atoms lie on one line, about which no rotation is defined"
    return float(bound.mean()), None


class _LatentFigures(NamedTuple):
    """Figures of the latent space; see `TrainingFigures`."""

    kl: dict[str, float]
    active_units: int
    mutual_information: float
    prior_gap: float
    curvatures: dict[str, float]
    geometry: str
    diagnostics: dict[str, float]


def _latent_figures(summary: _Summary, some: Floats) -> _LatentFigures:
    """Figures of the latent space, with a warning where it has collapsed."""
    pipeline, latent, kl = summary.pipeline, summary.pipeline.vae.latent, summary.frames["kl"]
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
    frames = some[evenly_spaced(len(some), _SOME)]
    return _LatentFigures(
        kl=dict(zip(latent.parts, kl.mean(axis=0).tolist(), strict=True)),
        active_units=active,
        mutual_information=mutual_information(pipeline, frames),
        prior_gap=prior_gap(pipeline, frames),
        curvatures=latent.curvatures(),
        geometry=latent.manifold.geometry(),
        diagnostics=latent.diagnostics(),  # before anything is drawn for the verdict, which some latents would count
    )


def _evidence(
    summary: _Summary, latent: _LatentFigures, unlike: tuple[UnlikeBlock, ...], measures: SampleMeasures
) -> TrainingEvidence:
    """The figures that decide the verdict on the training."""
    return TrainingEvidence(
        trained=int(summary.parts.training.sum()),
        rmsd=float(summary.judged["rmsd"].mean()),
        train_rmsd=float(summary.frames["rmsd"][summary.parts.training].mean()),
        pca_rmsd=float(summary.judged["pca_rmsd"].mean()),
        collapsed=latent.active_units == 0,
        unlike=len(unlike),
        jump=summary.jump,
        least=summary.least,
        atoms=summary.pipeline.n_atoms,
        feature_kind=summary.pipeline.config.features,
        sample=measures,
    )


def _figures(
    summary: _Summary,
    outcome: TrainingOutcome,
    shape: tuple[float | None, str | None],
    latent: _LatentFigures,
    unlike: tuple[UnlikeBlock, ...],
    measures: SampleMeasures,
) -> TrainingFigures:
    """The figures of a training, with the verdict that they decide."""
    pipeline, evidence = summary.pipeline, _evidence(summary, latent, unlike, measures)
    verdict = judge_training(evidence)
    return TrainingFigures(
        frames=len(summary.held),
        trained=evidence.trained,
        validation=int(summary.parts.validation.sum()),
        held_out=int(summary.held.sum()),
        atoms=evidence.atoms,
        features=pipeline.vae.features.size,
        feature_kind=evidence.feature_kind,
        backend=pipeline.config.backend,
        latent_dim=pipeline.config.latent_dim,
        elbo=summary.held_out_elbo,
        elbo_shape=shape[0],
        elbo_shape_note=shape[1],
        rmsd=evidence.rmsd,
        train_rmsd=evidence.train_rmsd,
        pca_rmsd=evidence.pca_rmsd,
        held_out_valid=float(summary.judged["valid"].mean()),
        frame_jump=evidence.jump,
        frame_jump_optimal=evidence.least,
        degenerate=summary.degenerate,
        collapsed=evidence.collapsed,
        unlike_blocks=unlike,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        epochs=outcome.epochs,
        kept_epoch=outcome.kept_epoch,
        seconds=outcome.seconds(),
        batch_size=outcome.batch_size,
        likelihood=pipeline.sizes.likelihood,
        **vars(outcome.found),
        **latent._asdict(),
        **asdict(measures),
    )


def jumps(aligned: Floats, has_predecessor: Bool) -> tuple[float | None, float | None]:
    """Return the largest RMSD in Å between frames and their predecessors, as aligned and as optimally superposed."""
    next_to = np.flatnonzero(has_predecessor)
    if not len(next_to):
        return None, None
    jump = frame_jump(aligned)[next_to]
    least = pairwise_rmsd(aligned[next_to], aligned[next_to - 1], np.ones(aligned.shape[1]))
    return float(jump.max()), float(least.max())
