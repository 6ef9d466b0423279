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
from numpy.typing import NDArray
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import Record
from trajvae.models.threads import small_work
from trajvae.observables import Observable, evaluate
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.descent import Descent
from trajvae.outputs.objectives import Goal
from trajvae.outputs.support import Support
from trajvae.store import Quantity
from trajvae.terms import bond_angles, bond_lengths

Float64 = NDArray[np.float64]

_NUMBERS = 2**22  # coordinates that are decoded at once
_REPORTED = 4096  # draws in the expectation that is reported


@dataclass(frozen=True)
class Search:
    """How `Model.optimize` searches.

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


def _starts(record: Record, values: Float64, index: NDArray[np.int64], goal: Goal, search: Search) -> Float64:
    """Latents of training frames: half the best by the observable, half spread over the run."""
    order = index[np.argsort(goal.cost(values, 1.0))]
    best = order[: search.starts // 2]
    spread = np.linspace(0, len(record.latent) - 1, search.starts - len(best)).astype(np.int64)
    return np.asarray(record.latent[np.concatenate([best, spread])])


def optimize(
    pipeline: Pipeline,
    record: Record,
    objective: Observable,
    *,
    goal: str = "min",
    of: str = "sample",
    seed: int = 0,
    search: Search | None = None,
    observed: Float64 | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Conformations:
    """Find structures that optimise an observable.

    Parameters
    ----------
    pipeline : Pipeline
    record : Record
    objective : Observable
    goal : str
        `min`, `max`, or a number to come near to.
    of : {"sample", "mean"}
        Follow the expectation under p(x|z) and return valid draws, or follow the decoded mean and return it.
    seed : int
    search : Search, optional
    observed : ndarray, optional
        The objective over all simulated frames; by default over those that the model keeps.
    progress : callable, optional
        Called with (step, steps, mean objective).

    Returns
    -------
    Conformations
        Best first; `figures` are those of the command line's JSON, `extra` the way of the best start.
    """
    if of not in ("sample", "mean"):
        raise OptionError(f"of must be sample or mean, got '{of}'")
    aim, search = Goal(goal), search or Search()
    stored, index = _stored(record, objective)
    simulated = stored if observed is None else observed
    scale = float(np.std(simulated)) or 1.0
    support = Support.fit(pipeline.vae.latent, record.latent, pipeline.device)
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    descent = Descent(pipeline, objective, aim, scale, support)
    z0 = torch.from_numpy(_starts(record, stored, index, aim, search).astype(np.float32)).to(pipeline.device)
    noise = _noise(pipeline, search, of, generator)
    with small_work(_work(pipeline, search, 1 if noise is None else len(noise))):
        z, path, values = descent.run(z0, noise, search.steps, progress)
    candidates = _candidates(pipeline, record, z, of, search, generator)
    chosen = _choose(candidates, record, objective, aim, support, search)
    fresh = _noise(pipeline, replace(search, starts=1, noise=_REPORTED), of, generator)  # not those descended on
    return _result(pipeline, record, objective, aim, of, seed, chosen, (z, path, values), simulated, descent, fresh)


def _stored(record: Record, objective: Observable) -> tuple[Float64, NDArray[np.int64]]:
    """The objective over the frames that the model keeps, and their numbers among the training frames."""
    kept = objective.name.replace("-", "_")
    if kept in record.observables:
        return record.observables[kept], np.arange(len(record.latent))
    return evaluate(objective, record.sample), record.sample_index


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
class _Candidates:
    latent: Float64
    positions: Float64
    start: NDArray[np.int64]
    valid: NDArray[np.bool_]


def _candidates(
    pipeline: Pipeline, record: Record, z: Tensor, of: str, search: Search, generator: torch.Generator
) -> _Candidates:
    """Structures at the optima: draws, or the decoded means."""
    points = z.double().cpu().numpy()
    copies = (
        1 if of == "mean" else int(np.clip(_NUMBERS // (len(points) * pipeline.vae.features.size), 8, search.draws))
    )
    latent, start = np.repeat(points, copies, axis=0), np.repeat(np.arange(len(points)), copies)
    positions = pipeline.decode(latent, None if of == "mean" else generator)
    return _Candidates(latent, positions, start, record.validity.test(positions))


def _choose(
    found: _Candidates, record: Record, objective: Observable, goal: Goal, support: Support, search: Search
) -> tuple[_Candidates, Float64, NDArray[np.bool_]]:
    """The best candidates: valid and in support before others, then with familiar bonds, then by the objective.

    The best of many draws is best partly because its noise shrank bonds as far as the validity test lets it; among
    valid draws those come first whose every bond and angle the kept frames have too.
    """
    values = evaluate(objective, found.positions)
    inside = support.inside(found.latent)
    cost = goal.cost(values, 1.0)
    order = np.lexsort((cost, ~familiar(found.positions, record), ~(found.valid & inside), ~inside))
    order = order[: search.keep]
    kept = _Candidates(found.latent[order], found.positions[order], found.start[order], found.valid[order])
    return kept, values[order], inside[order]


def familiar(positions: Float64, record: Record) -> NDArray[np.bool_]:
    """Whether every bond and angle lies in the range of the frames that the model keeps, not widened, (n,)."""
    out = np.ones(len(positions), dtype=bool)
    for terms, atoms in ((bond_lengths, record.validity.bonds), (bond_angles, record.validity.angles)):
        known, mine = terms(record.sample, atoms), terms(positions, atoms)
        out &= ((mine >= known.min(axis=0)) & (mine <= known.max(axis=0))).all(axis=1)
    return out


def _result(
    pipeline: Pipeline,
    record: Record,
    objective: Observable,
    goal: Goal,
    of: str,
    seed: int,
    chosen: tuple[_Candidates, Float64, NDArray[np.bool_]],
    descended: tuple[Tensor, Tensor, Tensor],
    simulated: Float64,
    descent: Descent,
    noise: Tensor | None,
) -> Conformations:
    found, values, inside = chosen
    z, path, way = descended
    best = int(found.start[0])
    with torch.no_grad():
        expected = float(descent.expected(z[best : best + 1], noise)[0])
    best_observed = float(simulated[np.argmin(goal.cost(simulated, 1.0))])
    lengths = bond_lengths(found.positions[:1], record.validity.bonds)
    usual = bond_lengths(record.sample, record.validity.bonds)
    figures: dict[str, Any] = {
        "objective": objective.name,
        "goal": goal.text,
        "of": of,
        "initial": float(way[0, best]),
        "optimum": float(values[0]),
        "expected": expected,
        "best_observed": best_observed,
        "ratio": float(values[0]) / best_observed if best_observed else None,
        "quantiles": [float(q) for q in np.quantile(simulated, [0.01, 0.99])],
        "in_support": bool(inside[0]),
        "valid": bool(found.valid[0]),
        "steps": len(path) - 1,
        "bonds": [float(lengths.min()), float(lengths.max())],
        "simulated_bonds": [float(usual.min()), float(usual.max())],
    }
    observables = {
        "objective": Quantity(values, objective.unit),
        "in_support": Quantity(inside.astype(np.int8)),
    }
    extra = {
        "path": {
            "latent": Quantity(path[:, best].double().cpu().numpy()),
            "expected": Quantity(way[:, best].double().cpu().numpy(), objective.unit),
        }
    }
    command = f"Model.optimize({objective.name!r}, goal={goal.text!r}, of={of!r}, seed={seed})"
    rows = (found.positions, found.latent, found.valid)
    geometry = pipeline.vae.latent.geometry()
    return Conformations(*rows, pipeline.topology, observables, seed, command, figures, extra, geometry)
