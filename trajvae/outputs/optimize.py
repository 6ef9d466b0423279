"""Optimisation of an observable in latent space that does not leave the simulation's support.

A decoder's mean is an average of conformations, and averages are compact: descending on an observable of the mean
finds structures that are no molecules. By default the expectation under p(x|z) is followed instead, with noise drawn
once and kept (common random numbers), from many starts at once, with a penalty where training frames grow sparse;
what is returned are draws at the optimum that pass the validity test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.figures import OptimizationFigures
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.bonded_terms import bond_lengths
from trajvae.molecule.observables import Observable
from trajvae.outputs.drawing.local_geometry import GeometryRestorer
from trajvae.outputs.judging.verdicts import judge_optimum
from trajvae.outputs.provenance import Provenance
from trajvae.outputs.searching.best_frame import Observed
from trajvae.outputs.searching.circular_statistics import quantiles, spread
from trajvae.outputs.searching.descent import Descended, LatentDescent
from trajvae.outputs.searching.failures import explain
from trajvae.outputs.searching.judge import AT_ONCE, StructureJudge
from trajvae.outputs.searching.objectives import Goal
from trajvae.outputs.searching.ranking import Ranked, familiar, rank
from trajvae.outputs.searching.support import Support
from trajvae.results.conformation_pieces import Piece
from trajvae.results.conformations import Conformations
from trajvae.runtime.threads import small_work
from trajvae.store import Quantity
from trajvae.store.schema import Tree
from trajvae.typing import Float64

__all__ = ["Observed", "Search", "familiar", "optimize"]

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
    geometry: str = "simulated",
    search: Search | None = None,
    observed: Observed | None = None,
    files: list[str] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Conformations[OptimizationFigures]:
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
    geometry : {"simulated", "none"}
        Give structures of Cartesian models the simulation's bonds, angles and torsions, as `generate` does, or none.
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
        Best first; `extra` holds the way from the best start.
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
        done = descent.run(z0, noise, search.steps, progress)
    with torch.no_grad():
        reached = float(aim.cost(descent.expected(done.best, noise).double().cpu().numpy(), 1.0).min())
    judge = StructureJudge(pipeline, record, objective, aim, support, GeometryRestorer(pipeline, record, geometry))
    candidates = judge.decoded(done.best, search.draws, None if of == "mean" else generator)
    candidates = candidates if of == "mean" else judge.with_projected(candidates, reached, search.keep)
    ranked = rank(candidates, record, pipeline.topology, reached, search.keep)
    fresh = _noise(pipeline, replace(search, starts=1, noise=_REPORTED), of, generator)  # not those descended on
    return _conformations(judge, _Found.of_descent(ranked, of, descent, done, fresh), simulated, seed)


def _work(pipeline: Pipeline, search: Search, noise: int) -> float:
    """Multiplications of a step, roughly."""
    weights = sum(p.numel() for p in pipeline.vae.decoder.parameters())
    return 3.0 * search.starts * (weights + noise * pipeline.vae.features.size * 20)


def _noise(pipeline: Pipeline, search: Search, of: str, generator: torch.Generator) -> Tensor | None:
    size = pipeline.vae.features.size
    if of == "mean":
        return None
    most = max(4, AT_ONCE // (search.starts * size))
    return pipeline.vae.likelihood.noise(min(search.noise, most), generator, pipeline.device).float()


@dataclass(frozen=True, eq=False)
class _Found:
    """Hold what a search found.

    Attributes
    ----------
    ranked : Ranked
    of : str
    initial, expected : float
        Expectation of the objective at the best start, and at the optimum reached from there.
    latent : ndarray, shape (steps + 1, ambient)
        The way from the best start.
    values : ndarray, shape (steps + 1,)
        Expectation of the objective on that way.
    """

    ranked: Ranked
    of: str
    initial: float
    expected: float
    latent: Float64
    values: Float64

    @classmethod
    def of_descent(
        cls, ranked: Ranked, of: str, descent: LatentDescent, done: Descended, noise: Tensor | None
    ) -> _Found:
        """Return what a descent led to; `noise` are other draws than those it followed."""
        best = int(ranked.kept.start[0])
        with torch.no_grad():
            expected = float(descent.expected(done.best[best : best + 1], noise)[0])
        values = done.values[:, best].double().cpu().numpy()
        return cls(ranked, of, float(values[0]), expected, done.path[:, best].double().cpu().numpy(), values)


def _conformations(
    judge: StructureJudge, found: _Found, simulated: Observed, seed: int
) -> Conformations[OptimizationFigures]:
    """Return the structures, best first, with the way from the best start."""
    kept, quantity = found.ranked.kept, judge.objective.quantity
    observables = {
        "objective": quantity(kept.value),
        "in_support": Quantity(kept.inside.astype(np.int8)),
        "projected": Quantity(kept.projected.astype(np.int8)),
        "merged": Quantity(found.ranked.merged),
    }
    extra: Tree = {"path": {"latent": Quantity(found.latent), "expected": quantity(found.values)}}
    command = f"Model.optimize({judge.objective.name!r}, goal={judge.goal.text!r}, of={found.of!r}, seed={seed})"
    rows = Piece(kept.positions, kept.latent, kept.valid, observables)
    figures = _figures(judge, found, simulated)
    return Provenance.of(judge.pipeline, seed, command).conformations(rows, figures, extra)


def _figures(judge: StructureJudge, found: _Found, simulated: Observed) -> OptimizationFigures:
    kept, record, period = found.ranked.kept, judge.record, judge.objective.period
    optimum, best = float(kept.value[0]), simulated.best(judge.goal)
    cost = judge.goal.cost(np.array([optimum, best.value]), 1.0)
    low, high = quantiles(simulated.value, [0.01, 0.99], period, simulated.weights)
    figures = OptimizationFigures(
        objective=judge.objective.name,
        goal=judge.goal.text,
        of=found.of,
        unit=judge.objective.unit,
        period=period,
        initial=found.initial,
        expected=found.expected,
        steps=len(found.latent) - 1,
        optimum=optimum,
        away=judge.goal.away(optimum),
        best_observed=best.value,
        best_observed_frame=best.number,
        best_observed_file=best.file,
        best_observed_file_frame=best.frame,
        better_than_observed=bool(cost[0] < cost[1] and kept.good[0]),
        ratio=optimum / best.value if best.value and not period else None,
        quantiles=(low, high),
        in_support=bool(kept.inside[0]),
        valid=bool(kept.valid[0]),
        failure=explain(record.validity, judge.pipeline.topology, kept.positions[0]),
        projected=bool(kept.projected[0]),
        structures=len(kept.value),
        merged=int(found.ranked.merged.sum()) - len(kept.value),
        merge_radius=found.ranked.radius,
        better_rejected=found.ranked.rejected,
        bonds=_range(bond_lengths(kept.positions[:1], record.validity.bonds)),
        simulated_bonds=_range(bond_lengths(record.sample, record.validity.bonds)),
    )
    return replace(figures, judgement=judge_optimum(record.figures, figures))


def _range(values: Float64) -> tuple[float, float]:
    return float(values.min()), float(values.max())
