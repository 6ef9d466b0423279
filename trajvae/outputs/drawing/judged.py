"""Draw a batch of conformations, judge, repair and measure it; batches may be made in several threads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import built_in, evaluate_all
from trajvae.molecule.validity import REASONS
from trajvae.outputs.drawing.novelty import nearest
from trajvae.outputs.drawing.repair import Batch, DrawCounts, Drawer, RepairOptions
from trajvae.outputs.drawing.samplers import LatentBatch
from trajvae.outputs.searching.support import Support
from trajvae.store import Quantity
from trajvae.typing import Bool


class JudgedBatch(NamedTuple):
    """Hold counts of all draws of a batch, the draws that are kept, and what was measured of these.

    Attributes
    ----------
    counts : DrawCounts
    kept : Batch
    inside : ndarray of bool, shape (n,)
        Whether the latent point of each that is kept lies where training frames are.
    observables : dict of Quantity
        Empty where relaxation, which follows, moves the conformations.
    """

    counts: DrawCounts
    kept: Batch
    inside: Bool
    observables: dict[str, Quantity]


class BatchJudge:
    """Draw conformations at latent points, judge and measure them; safe to call from several threads.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    repair : RepairOptions
    mean : bool
        Decode the mean of p(x|z) instead of drawing from it.
    novelty : bool
        Look for the nearest frame of those that the model keeps.
    workers : int
        Threads that restore the local geometry of one batch.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        record: TrainingRecord,
        repair: RepairOptions,
        *,
        mean: bool,
        novelty: bool,
        workers: int = 1,
    ) -> None:
        self.pipeline, self.record, self.repair, self.mean, self.novelty = pipeline, record, repair, mean, novelty
        self.draw = Drawer(pipeline, record, repair, workers)
        self.support = Support.of(pipeline, record)
        self.built_in = built_in(pipeline.topology)

    def __call__(self, batch: LatentBatch) -> JudgedBatch:
        """Draw and judge the conformations of a batch."""
        made = self.draw(batch.points, None if self.mean else batch.generator(self.pipeline.device))
        kept = made.take(made.reasons == 0) if self.repair.valid_only else made
        measured = self.measure(kept) if not self.repair.relax else {}
        return JudgedBatch(made.counts(), kept, self.support.inside(kept.latent), measured)

    def measure(self, kept: Batch) -> dict[str, Quantity]:
        """Return observables of conformations, the part of the validity test that each fails, and what was asked."""
        values = evaluate_all(list(self.built_in.values()), kept.positions)
        out = {name: o.quantity(values[name]) for name, o in self.built_in.items()}
        out["invalid_reason"] = Quantity(kept.reasons.astype(np.int8), attributes={"meaning": ", ".join(REASONS)})
        out["redraws"] = Quantity(kept.redraws.astype(np.int32))
        if self.novelty:
            frame, rmsd = nearest(kept.positions, self.record.sample)
            out["nearest_frame"] = Quantity(self.record.sample_index[frame])
            out["nearest_rmsd"] = Quantity(rmsd, "Angstrom")
        return out
