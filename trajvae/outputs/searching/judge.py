"""Structures at the ends of descents, with what their order depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import Observable, evaluate
from trajvae.outputs.drawing.local_geometry import GeometryRestorer
from trajvae.outputs.drawing.projection import project
from trajvae.outputs.searching.objectives import Goal
from trajvae.outputs.searching.ranking import Candidates, familiar
from trajvae.outputs.searching.support import Support
from trajvae.typing import Float64, Int64

AT_ONCE = 2**22  # coordinates that are decoded at once
_FEWEST = 8  # draws at each optimum
_RESTORED = 2000  # draws that are given local geometry, at most


@dataclass(frozen=True, eq=False)
class StructureJudge:
    """Measure structures: their objective, and whether they are valid, familiar and in support."""

    pipeline: Pipeline
    record: TrainingRecord
    objective: Observable
    goal: Goal
    support: Support
    restorer: GeometryRestorer

    def __call__(self, latent: Float64, positions: Float64, start: Int64, *, projected: bool = False) -> Candidates:
        """Return structures with their measures.

        Parameters
        ----------
        latent : ndarray, shape (n, ambient)
        positions : ndarray, shape (n, N, D)
            In Å.
        start : ndarray of int64, shape (n,)
            The start that each came from; structures of one start have one latent point, which is looked at once.
        projected : bool
            Whether they were moved into the allowed ranges.
        """
        value = evaluate(self.objective, positions)
        points, place = np.unique(start, return_index=True, return_inverse=True)[1:]
        inside = self.support.inside(latent[points])[place]
        moved = np.full(len(latent), projected)
        known = familiar(positions, self.record)
        reasons = self.record.validity.reasons(positions)
        return Candidates(latent, positions, start, value, self.goal.cost(value, 1.0), reasons, inside, known, moved)

    def decoded(self, z: Tensor, draws: int, generator: torch.Generator | None) -> Candidates:
        """Return structures at optima (B, ambient): draws of each, or without a generator the decoded means.

        Of many draws only those that come nearest to the goal are given local geometry, and are returned.
        """
        points, size = z.double().cpu().numpy(), self.pipeline.vae.features.size
        copies = 1 if generator is None else int(np.clip(AT_ONCE // (len(points) * size), _FEWEST, draws))
        latent, start = np.repeat(points, copies, axis=0), np.repeat(np.arange(len(points)), copies)
        positions = self.restorer.decode(latent, generator)
        if self.restorer.local_geometry is not None and len(positions) > _RESTORED:
            cost = self.goal.cost(evaluate(self.objective, positions), 1.0)
            best = np.sort(np.argsort(cost)[:_RESTORED])
            latent, positions, start = latent[best], positions[best], start[best]
        workers = torch.get_num_threads()
        return self(latent, self.restorer(positions, mean=generator is None, workers=workers), start)

    def with_projected(self, found: Candidates, wanted: float, keep: int) -> Candidates:
        """Add the best draws moved into the allowed ranges, if no valid one comes as far as the expectation did.

        Without them a structure from the middle of the range might come first, only because draws there are valid.

        Parameters
        ----------
        found : Candidates
        wanted : float
            The cost of the expectation at the best optimum.
        keep : int
            How many are moved at most.
        """
        if (found.good & (found.cost <= wanted)).any():
            return found
        order = np.argsort(found.cost)
        some = order[found.inside[order] & ~found.valid[order]][:keep]
        if not len(some):
            return found
        placed = project(self.record.validity, found.positions[some])
        moved = self(found.latent[some], placed, found.start[some], projected=True)
        return found.join(moved.take(np.flatnonzero(moved.valid)))
