"""Optimisation of an observable in latent space that does not leave the simulation's support.

A decoder's mean is an average of conformations, and averages are compact: descending on an observable of the mean
finds structures that are no molecules. By default the expectation under p(x|z) is followed instead, with noise drawn
once and kept (common random numbers), from many starts at once, with a penalty where training frames grow sparse;
what is returned are draws at the optimum that pass the validity test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.bonded_terms import bond_lengths
from trajvae.molecule.observables import Observable, evaluate
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.drawing.projection import project
from trajvae.outputs.judging.verdicts import judge_optimum
from trajvae.outputs.searching.best_frame import Observed
from trajvae.outputs.searching.circular_statistics import quantiles, spread
from trajvae.outputs.searching.descent import LatentDescent
from trajvae.outputs.searching.failures import explain
from trajvae.outputs.searching.objectives import Goal
from trajvae.outputs.searching.ranking import Candidates, Ranked, familiar, rank
from trajvae.outputs.searching.support import Support
from trajvae.runtime.threads import small_work
from trajvae.store import Quantity
from trajvae.typing import Float64, Int64

__all__ = ["Observed", "Search", "familiar", "optimize"]

_NUMBERS = 2**22  # coordinates that are decoded at once
_REPORTED = 4096  # draws in the expectation that is reported


@dataclass(frozen=True)
class Search:
    """Set how `Model.optimize` searches.

    Attributes
    ----------
    starts : int
        Latent points that descend side by side.
    steps : int
    noise : int
        Draws of p(x|z) over which the expectation is taken.
    draws : int
        Draws at the optimum of each start, from which structures are chosen.
    keep : int
        Structures that are returned.
    """

    starts: int = 32
    steps: int = 200
    noise: int = 32
    draws: int = 1024
    keep: int = 10


def _starts(record: TrainingRecord, known: Observed, goal: Goal, search: Search) -> Float64:
    """Latents of training frames: half the best by the objective, half spread over the run."""
    order = known.number[np.argsort(goal.cost(known.value, 1.0))]
    best = order[~record.held_out[order]][: search.starts // 2]
    train = np.flatnonzero(~record.held_out)
    spread = train[np.linspace(0, len(train) - 1, search.starts - len(best)).astype(np.int64)]
    return np.asarray(record.latent[np.concatenate([best, spread])])


def optimize(
    pipeline: Pipeline,
    record: TrainingRecord,
    objective: Observable,
    *,
    goal: str = "min",
    of: str = "sample",
    seed: int = 0,
    search: Search | None = None,
    observed: Observed | None = None,
    files: list[str] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Conformations:
    """Find structures that optimise an observable.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    objective : Observable
    goal : str
        `min`, `max`, or a number to come near to, which alone a periodic objective can have; see `Goal`.
    of : {"sample", "mean"}
        Follow the expectation under p(x|z) and return valid draws, or follow the decoded mean and return it.
    seed : int
    search : Search, optional
    observed : Observed, optional
        The objective over all simulated frames; by default over those that the model keeps.
    files : list of str, optional
        Those that the model was trained on.
    progress : callable, optional
        Called with (step, steps, mean objective).

    Returns
    -------
    Conformations
        Best first; `figures` are those of the command line's JSON, `extra` the way of the best start.
    """
    if of not in ("sample", "mean"):
        raise OptionError(f"of must be sample or mean, got '{of}'")
    aim, search = Goal(goal, objective.period), search or Search()
    known = Observed.of_record(record, objective, files or [])
    simulated = known if observed is None else observed
    scale = spread(simulated.value, objective.period) or 1.0
    support = Support.of(pipeline, record)
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    descent = LatentDescent(pipeline, objective, aim, scale, support)
    z0 = torch.from_numpy(_starts(record, known, aim, search).astype(np.float32)).to(pipeline.device)
    noise = _noise(pipeline, search, of, generator)
    with small_work(_work(pipeline, search, 1 if noise is None else len(noise))):
        z, path, values = descent.run(z0, noise, search.steps, progress)
    with torch.no_grad():
        reached = aim.cost(descent.expected(z, noise).double().cpu().numpy(), 1.0)
    judge = _Judge(pipeline, record, objective, aim, support)
    found = _candidates(judge, z, of, search, generator)
    found = found if of == "mean" else _mended(judge, found, float(reached.min()), search.keep)
    ranked = rank(found, record, pipeline.topology, float(reached.min()), search.keep)
    fresh = _noise(pipeline, replace(search, starts=1, noise=_REPORTED), of, generator)  # not those descended on
    result = _Result(judge, of, seed, ranked, (z, path, values), simulated)
    return result.conformations(descent, fresh)


def _work(pipeline: Pipeline, search: Search, noise: int) -> float:
    """Multiplications of a step, roughly."""
    weights = sum(p.numel() for p in pipeline.vae.decoder.parameters())
    return 3.0 * search.starts * (weights + noise * pipeline.vae.features.size * 20)


def _noise(pipeline: Pipeline, search: Search, of: str, generator: torch.Generator) -> Tensor | None:
    size = pipeline.vae.features.size
    if of == "mean":
        return None
    most = max(4, _NUMBERS // (search.starts * size))
    return pipeline.vae.likelihood.noise(min(search.noise, most), generator, pipeline.device).float()


@dataclass(frozen=True, eq=False)
class _Judge:
    """What structures are judged by."""

    pipeline: Pipeline
    record: TrainingRecord
    objective: Observable
    goal: Goal
    support: Support

    def __call__(self, latent: Float64, positions: Float64, start: Int64, *, projected: bool = False) -> Candidates:
        """Structures with all that their order depends on; latent points that repeat are looked at once."""
        value = evaluate(self.objective, positions)
        points, place = np.unique(start, return_index=True, return_inverse=True)[1:]
        inside = self.support.inside(latent[points])[place]
        moved = np.full(len(latent), projected)
        known = familiar(positions, self.record)
        reasons = self.record.validity.reasons(positions)
        return Candidates(latent, positions, start, value, self.goal.cost(value, 1.0), reasons, inside, known, moved)


def _candidates(judge: _Judge, z: Tensor, of: str, search: Search, generator: torch.Generator) -> Candidates:
    """Structures at the optima: draws, or the decoded means."""
    points, size = z.double().cpu().numpy(), judge.pipeline.vae.features.size
    copies = 1 if of == "mean" else int(np.clip(_NUMBERS // (len(points) * size), 8, search.draws))
    latent, start = np.repeat(points, copies, axis=0), np.repeat(np.arange(len(points)), copies)
    return judge(latent, judge.pipeline.decode(latent, None if of == "mean" else generator), start)


def _mended(judge: _Judge, found: Candidates, wanted: float, keep: int) -> Candidates:
    """With the best draws moved into the allowed ranges, where no valid one comes as far as the expectation did.

    Without them a structure from the middle of the range might come first, only because draws there are valid.
    """
    if (found.good & (found.cost <= wanted)).any():
        return found
    order = np.argsort(found.cost)
    some = order[found.inside[order] & ~found.valid[order]][:keep]
    if not len(some):
        return found
    placed = project(judge.record.validity, found.positions[some])
    moved = judge(found.latent[some], placed, found.start[some], projected=True)
    return found.join(moved.take(np.flatnonzero(moved.valid)))


@dataclass(frozen=True, eq=False)
class _Result:
    """What was found, as it is given back."""

    judge: _Judge
    of: str
    seed: int
    ranked: Ranked
    descended: tuple[Tensor, Tensor, Tensor]
    simulated: Observed

    def conformations(self, descent: LatentDescent, noise: Tensor | None) -> Conformations:
        """The structures, best first, with the way of the best start."""
        judge, kept = self.judge, self.ranked.kept
        z, path, way = self.descended
        best, quantity = int(kept.start[0]), judge.objective.quantity
        with torch.no_grad():
            expected = float(descent.expected(z[best : best + 1], noise)[0])
        found = {"initial": float(way[0, best]), "expected": expected, "steps": len(path) - 1}
        observables = {
            "objective": quantity(kept.value),
            "in_support": Quantity(kept.inside.astype(np.int8)),
            "projected": Quantity(kept.projected.astype(np.int8)),
            "merged": Quantity(self.ranked.merged),
        }
        extra = {
            "path": {
                "latent": Quantity(path[:, best].double().cpu().numpy()),
                "expected": quantity(way[:, best].double().cpu().numpy()),
            }
        }
        command = (
            f"Model.optimize({judge.objective.name!r}, goal={judge.goal.text!r}, of={self.of!r}, seed={self.seed})"
        )
        rows = (kept.positions, kept.latent, kept.valid, judge.pipeline.topology)
        of_model = (judge.pipeline.vae.latent.geometry(), hash_of(judge.pipeline))
        return Conformations(*rows, observables, self.seed, command, self._figures(found), extra, *of_model)

    def _figures(self, found: dict[str, Any]) -> dict[str, Any]:
        """The command line's JSON."""
        judge, kept, simulated = self.judge, self.ranked.kept, self.simulated
        observed, optimum = simulated.figures(judge.goal), float(kept.value[0])
        best, record = observed["best_observed"], judge.record
        lengths = bond_lengths(kept.positions[:1], record.validity.bonds)
        usual = bond_lengths(record.sample, record.validity.bonds)
        cost = judge.goal.cost(np.array([optimum, best]), 1.0)
        figures = {
            "objective": judge.objective.name,
            "goal": judge.goal.text,
            "of": self.of,
            "unit": judge.objective.unit,
            "period": judge.objective.period,
            **found,
            "optimum": optimum,
            "away": judge.goal.away(optimum),
            **observed,
            "better_than_observed": bool(cost[0] < cost[1] and kept.good[0]),
            "ratio": optimum / best if best and not judge.objective.period else None,
            "quantiles": quantiles(simulated.value, [0.01, 0.99], judge.objective.period),
            "in_support": bool(kept.inside[0]),
            "valid": bool(kept.valid[0]),
            "failure": explain(record.validity, judge.pipeline.topology, kept.positions[0]),
            "projected": bool(kept.projected[0]),
            "structures": len(kept.value),
            "merged": int(self.ranked.merged.sum()) - len(kept.value),
            "merge_radius": self.ranked.radius,
            "better_rejected": self.ranked.rejected,
            "bonds": [float(lengths.min()), float(lengths.max())],
            "simulated_bonds": [float(usual.min()), float(usual.max())],
        }
        return {**figures, **judge_optimum(record.figures, figures).to_json()}
