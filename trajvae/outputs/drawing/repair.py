"""One batch of draws: judged, and repaired where it is not valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.choices import GEOMETRIES
from trajvae.cluster import WorkPlace
from trajvae.errors import OptionError
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.drawing.local_geometry import GeometryRestorer
from trajvae.outputs.drawing.projection import project
from trajvae.typing import Bool, Float64, Floats, Int64


class RepairKeywords(TypedDict, total=False):
    """Hold what to do about draws that are not valid, as `RepairOptions` explains."""

    redraws: int
    project: bool
    valid_only: bool
    budget: int
    relax: bool
    geometry: str


@dataclass(frozen=True)
class RepairOptions:
    """Set what to do about draws that are not valid.

    Attributes
    ----------
    redraws : int
        Times that x is drawn again at the same z, at most. None where means are decoded.
    project : bool
        Move draws into the allowed ranges of bonds, angles and contacts.
    valid_only : bool
        Go on until all that are given are valid, before they are relaxed.
    budget : int
        Draws at most for each that is wanted, where only valid ones are.
    relax : bool
        Minimise what is kept in a force field, with OpenMM.
    geometry : {"simulated", "none"}
        Give draws of Cartesian models the simulation's bonds, angles and torsions before they are tested, or none.
    """

    redraws: int = 2
    project: bool = False
    valid_only: bool = False
    budget: int = 50
    relax: bool = False
    geometry: str = "simulated"

    def __post_init__(self) -> None:
        for name, low in (("redraws", 0), ("budget", 1)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} must be {low} or more, got {getattr(self, name)}")
        check_choice(self.geometry, GEOMETRIES, "geometry")


class DrawingKeywords(RepairKeywords, total=False):
    """Hold how conformations are drawn, as `trajvae.outputs.generate.ConformationStream` explains."""

    seed: int
    mean: bool
    sampler: str
    novelty: bool
    at: Floats | None
    progress: Callable[[int, int], None] | None
    cluster: WorkPlace | None


REPAIR_DEFAULTS: dict[str, object] = {f.name: f.default for f in fields(RepairOptions)}
DRAWING_DEFAULTS = {**REPAIR_DEFAULTS, "seed": 0, "mean": False, "sampler": "auto", "novelty": False}


@dataclass
class DrawCounts:
    """Count draws, those that were valid as drawn, and those that were drawn again."""

    drawn: int = 0
    valid_raw: int = 0
    redrawn: int = 0

    def add(self, other: DrawCounts) -> None:
        """Add the counts of other draws."""
        self.drawn += other.drawn
        self.valid_raw += other.valid_raw
        self.redrawn += other.redrawn


class Batch(NamedTuple):
    """Hold conformations with their failures, as drawn and after repair, the number of draws, and how far x moved."""

    latent: Float64
    positions: Float64
    reasons_as_drawn: Int64
    reasons: Int64
    redraws: Int64
    displacement: Float64

    def take(self, rows: Bool | Int64 | slice) -> Batch:
        """Return some of the conformations."""
        return Batch(
            self.latent[rows],
            self.positions[rows],
            self.reasons_as_drawn[rows],
            self.reasons[rows],
            self.redraws[rows],
            self.displacement[rows],
        )

    def counts(self) -> DrawCounts:
        """Return how many draws there were."""
        valid, redrawn = self.reasons_as_drawn == 0, self.redraws > 0
        return DrawCounts(len(self.reasons_as_drawn), int(valid.sum()), int(redrawn.sum()))


class Drawer:
    """Draw conformations, give them local geometry, and repair those that are not valid; several threads may call it.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    repair : RepairOptions
    workers : int
        Threads that restore the local geometry of one batch.
    """

    def __init__(self, pipeline: Pipeline, record: TrainingRecord, repair: RepairOptions, workers: int = 1) -> None:
        self.pipeline, self.record, self.repair, self.workers = pipeline, record, repair, workers
        self.restorer = GeometryRestorer(pipeline, record, repair.geometry)

    def __call__(self, z: Float64, generator: torch.Generator | None) -> Batch:
        """Draw x from p(x|z) at some latent points (n, ambient), or decode its mean without a generator, and repair it.

        The decoder is asked once: what is drawn again is drawn from the parameters that it gave.
        """
        params, n = self.pipeline.parameters(z), len(z)
        positions, moved = self._placed(params, generator), np.zeros(n)
        raw = self.record.validity.reasons(positions)
        reasons = raw.copy()
        if self.repair.project:
            positions, moved = _projected(self.record, positions)
            reasons = self.record.validity.reasons(positions)
        made = Batch(z, positions, raw, reasons, np.zeros(n, dtype=np.int64), moved)
        for _ in range(self.repair.redraws if generator is not None else 0):
            bad = np.flatnonzero(made.reasons)
            if not len(bad):
                break
            rows = torch.from_numpy(bad).to(self.pipeline.device)
            self._draw_again(made, bad, {k: v[rows] for k, v in params.items()}, generator)
        return made

    def _placed(self, params: dict[str, Tensor], generator: torch.Generator | None) -> Float64:
        """Return positions (n, N, D) in Å with local geometry: draws, or means without a generator."""
        return self.restorer(self.restorer.place(params, generator), mean=generator is None, workers=self.workers)

    def _draw_again(
        self, made: Batch, bad: Int64, params: dict[str, Tensor], generator: torch.Generator | None
    ) -> None:
        """Draw some conformations of a batch again, and keep those that are valid now."""
        again, moved = self._placed(params, generator), np.zeros(len(bad))
        if self.repair.project:
            again, moved = _projected(self.record, again)
        good = self.record.validity.test(again)
        made.redraws[bad] += 1
        made.positions[bad[good]], made.displacement[bad[good]], made.reasons[bad[good]] = again[good], moved[good], 0


def _projected(record: TrainingRecord, positions: Float64) -> tuple[Float64, Float64]:
    """Positions in the allowed ranges, and how far they were moved in Å."""
    placed = project(record.validity, positions)
    return placed, np.sqrt(np.square(placed - positions).sum(axis=-1).mean(axis=-1))
