"""The summary of a training: latents, observables and figures of all frames, for the record that a model keeps."""

from __future__ import annotations

import warnings
from dataclasses import asdict

import numpy as np
import torch

from trajvae.alignment.align import mean_structure
from trajvae.alignment.distances import jumps
from trajvae.errors import TrajvaeWarning
from trajvae.figures.frame_findings import UnlikeBlock
from trajvae.figures.training import TrainingFigures
from trajvae.frame_weights.weights import FrameWeights, equivalent_of, equivalent_places, relative_of
from trajvae.local_geometry import LocalGeometry
from trajvae.models.draws.geometry_fit import GeometryFrames, fit_local_geometry
from trajvae.models.encoded import ColumnBuffer
from trajvae.models.judgement import SampleMeasures, TrainingEvidence, judge_training
from trajvae.models.latent_figures import LatentFigures, latent_figures
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
from trajvae.training.lagged.held_out import LaggedFigures, lagged_figures
from trajvae.training.outcome import TrainingOutcome
from trajvae.training.unlike_blocks import describe_unlike, unlike_blocks
from trajvae.typing import AnyArray, Bool, Floats, Int64
from trajvae.weighted_samples import weighted_mean

SAMPLE_FRAMES, SAMPLE_BYTES = 2000, 64e6
_MANY = 100_000  # frames that decide which latent dimensions are in use, at most
_SOME = 1000  # frames of which mutual information is estimated


class _Summary:
    """Accumulates latents, observables and held-out quality over chunks of frames."""

    def __init__(self, pipeline: Pipeline, validity: Validity, parts: Partition, weights: FrameWeights | None) -> None:
        self.pipeline, self.validity, self.parts, self.weights = pipeline, validity, parts, weights
        self.held_weights = relative_of(weights, parts.held_out, "held-out")
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
        return float(weighted_mean(self.frames["elbo"][self.held], self.held_weights))

    def held_out_mean(self, name: str) -> float:
        """Mean over the held-out frames of what is measured of these alone."""
        return float(weighted_mean(self.judged[name], self.held_weights))

    def _jumps(self, aligned: Floats, has_predecessor: Bool) -> None:
        """Update the largest jumps; a chunk's first frame may follow the last one of the chunk before."""
        if self._last is not None:
            aligned, has_predecessor = np.concatenate([self._last, aligned]), np.concatenate([[False], has_predecessor])
        jump, least = jumps(aligned, has_predecessor)
        if jump is not None and least is not None:
            self.jump, self.least = max(jump, self.jump or 0.0), max(least, self.least or 0.0)
        self._last = aligned[-1:]


def make_record(
    pipeline: Pipeline,
    frame_source: FrameSource,
    parts: Partition,
    outcome: TrainingOutcome,
    weights: FrameWeights | None = None,
) -> TrainingRecord:
    """Encode all frames of a trained pipeline, and measure how it fared on those it held out.

    Means over frames are weighted; what takes a set of frames takes one that stands for them with their weights. What
    a molecule can look like (validity, drift, neighbours in time) is taken from all frames alike.
    """
    (index, some), held = frame_source.fitting_frames(), parts.held_out
    validity = Validity.fit(pipeline.alignment.apply(some)[~held[index]], pipeline.topology)
    summary = _Summary(pipeline, validity, parts, weights)
    for chunk in frame_source.chunks(pipeline.chunk):
        summary.add(chunk)
    if summary.degenerate:
        warnings.warn(
            f"{summary.degenerate} of {len(held)} frames have principal axes that are nearly degenerate: "
            "their orientation is arbitrary; --align superpose has no such frames",
            TrajvaeWarning,
            stacklevel=2,
        )
    known, new = (some[equivalent_places(weights, index, use[index])] for use in (parts.training, held))
    warn_of_unsound_elbo(summary.held_out_elbo, pipeline, known, new)
    shape, latent = _shape_elbo(summary, known, new), _latent_figures(summary, index, some)
    sample, points, gap = summary.sample["sample"], summary.frames["latent"], latent.prior_gap
    lagged = lagged_figures(pipeline, frame_source, parts, points, weights)
    blocks = []
    if relative_of(weights) is None:  # with weights the ELBO of whole blocks is low since they count for little
        blocks = unlike_blocks(summary.frames["elbo"], ~parts.training, sample.astype(np.float64), summary.index)
    geometry = _local_geometry(summary, known, gap)
    measures = measure(
        pipeline, validity, sample, summary.index, frame_source.file, parts, points, gap, geometry, weights
    )
    unlike = describe_unlike(blocks, frame_source.file, frame_source.frame, outcome.names)
    return TrainingRecord(
        summary.frames["latent"],
        parts.part,
        frame_source.file,
        frame_source.frame,
        _kept_observables(summary),
        sample,
        summary.index,
        outcome.history,
        validity,
        _figures(summary, outcome, shape, latent, unlike, measures, lagged),
        geometry,
        weights,
    )


def _local_geometry(summary: _Summary, known: Floats, gap: float) -> LocalGeometry | None:
    """What draws are given, fitted to frames that stand for the training frames, and judged by such of validation."""
    weights, parts, sample = summary.weights, summary.parts, summary.sample["sample"]
    places = equivalent_places(weights, summary.index, parts.validation[summary.index])
    frames = GeometryFrames(
        summary.pipeline.alignment.apply(known), sample[parts.training[summary.index]], sample[places]
    )
    judges = summary.frames["latent"][equivalent_of(weights, parts.validation)]
    return fit_local_geometry(summary.pipeline, summary.validity, frames, judges, gap)


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


def _shape_elbo(summary: _Summary, training: Floats, held: Floats) -> tuple[float | None, str | None]:
    """The held-out ELBO as a density of shapes; None, with the reason, where it is not known."""
    pipeline = summary.pipeline
    if pipeline.alignment.kind == "superpose" or pipeline.config.features != "cartesian":
        return summary.held_out_elbo - summary.held_out_mean("log_jacobian"), None
    if not len(training) or not len(held):
        return None, "none of the frames that are kept in memory is held out"
    bound = shape_bound(pipeline, training, held, mean_structure(training, pipeline.alignment.weights))
    if bound is None:
        return None, "atoms lie on one line, about which no rotation is defined"
    return float(bound.mean()), None


def _latent_figures(summary: _Summary, index: Int64, some: Floats) -> LatentFigures:
    """Figures of the latent space, of frames that stand for all."""
    frames, n = summary.frames, len(summary.held)
    rows = equivalent_of(summary.weights, np.arange(n))
    rows = rows[:: -(-len(rows) // _MANY)]
    places = equivalent_places(summary.weights, index)
    held = weighted_mean(frames["kl"][summary.held], summary.held_weights)
    seen = some[places[evenly_spaced(len(places), _SOME)]]
    return latent_figures(summary.pipeline, frames["latent"][rows], frames["kl"][rows], held, seen)


def _evidence(
    summary: _Summary, latent: LatentFigures, unlike: tuple[UnlikeBlock, ...], measures: SampleMeasures
) -> TrainingEvidence:
    """The figures that decide the verdict on the training."""
    training = summary.parts.training
    return TrainingEvidence(
        trained=summary.pipeline.sizes.n_train,
        rmsd=summary.held_out_mean("rmsd"),
        train_rmsd=float(weighted_mean(summary.frames["rmsd"][training], relative_of(summary.weights, training))),
        pca_rmsd=summary.held_out_mean("pca_rmsd"),
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
    latent: LatentFigures,
    unlike: tuple[UnlikeBlock, ...],
    measures: SampleMeasures,
    lagged: LaggedFigures,
) -> TrainingFigures:
    """The figures of a training, with the verdict that they decide."""
    pipeline, evidence = summary.pipeline, _evidence(summary, latent, unlike, measures)
    verdict = judge_training(evidence)
    return TrainingFigures(
        frames=len(summary.held),
        trained=int(summary.parts.training.sum()),
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
        effective_sample_size=None if summary.weights is None else summary.weights.effective_size,
        likelihood=pipeline.sizes.likelihood,
        **vars(outcome.found),
        **latent._asdict(),
        **asdict(measures),
        **asdict(lagged),
    )
