"""Simulation against model, observable by observable, beside the noise floor of the simulation itself.

Three sets of equal size n are compared: two disjoint sets A and B of interleaved blocks of the simulation, and n
conformations of the model. The divergence is that of A and the model, the floor that of A and B: the same estimators
on equally many frames, so that a perfect model would reach the floor.

Beside it stand, always of sets of equal size: two random halves; the held-out blocks and training frames; the model and
each of those two; and what other models would give: PCA of the latent's dimension with an isotropic residual, and
simulated frames drawn once more, which is learning by heart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trajvae.errors import ReadError
from trajvae.figures import MarginalFigures, NoveltyFigures
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.histogram_divergence import bin_edges, histogram, histogram_divergence
from trajvae.molecule.observables import PAIR_PREFIX, Observable, catalogue, evaluate_all, pair_observables
from trajvae.outputs.drawing.novelty import novelty
from trajvae.outputs.drawing.samplers import draw_positions, resolve_sampler
from trajvae.outputs.judging.baselines import evenly, known_frames, principal_draws, resampled
from trajvae.outputs.judging.errors_of_means import mean_error
from trajvae.outputs.judging.histograms import compare, outside
from trajvae.outputs.judging.observable_kinds import atoms_of, divisions, floors, judge
from trajvae.results.marginals import Kind, Marginal, Marginals, Wide
from trajvae.runtime.progress import count_items
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Float64, Floats, Int64

BLOCKS = 20  # of the simulation, every other one in A
MOST = 20_000  # frames in A, and in B
COMPARED = {
    "random_floor": ("first", "second"),
    "held_out_floor": ("held", "train"),
    "jsd_train": ("few", "train"),
    "jsd_held_out": ("few", "held"),
    "jsd_pca": ("pca", "a"),
    "jsd_resampled": ("resampled", "a"),
}
_FAR = 0.005  # share of the model and of PCA beyond the bins from which on others are drawn
_NOVEL = 1000  # conformations whose nearest frames are looked for, and frames that are looked at


def halves(n: int, most: int = MOST) -> tuple[Int64, Int64]:
    """Return two disjoint, equally large sets of interleaved blocks of n frames.

    Raises
    ------
    ReadError
        Fewer than 10 frames.
    """
    if n < 10:
        raise ReadError(f"marginals need at least 10 simulated frames, got {n}")
    blocks = _blocks(n)
    a, b = np.flatnonzero(blocks % 2 == 0), np.flatnonzero(blocks % 2 == 1)
    size = min(len(a), len(b), most)
    pick = np.arange(size)
    return a[pick * len(a) // size], b[pick * len(b) // size]


def _blocks(n: int) -> Int64:
    """The block that each of n frames is in."""
    return np.asarray(np.arange(n) * min(BLOCKS, n // 2) // n)


def marginals(
    pipeline: Pipeline,
    record: TrainingRecord,
    positions: Floats | None = None,
    *,
    seed: int = 0,
    geometry: str = "simulated",
) -> Marginals:
    """Compare simulated frames with as many drawn from the model.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    positions : ndarray, shape (T, N, D), optional
        Of the simulation; by default the sample that the model keeps.
    seed : int
        Of the model's draws.
    geometry : {"simulated", "none"}
        Give draws of Cartesian models the simulation's bonds, angles and torsions, as `generate` does; `none` judges
        p(x|z) itself.
    """
    simulated = record.sample if positions is None else positions
    a, b = halves(len(simulated))
    sampler = resolve_sampler(record, "auto")
    drawn = draw_positions(pipeline, record, len(a), seed=seed, sampler=sampler, geometry=geometry)
    known = known_frames(pipeline, record, positions)
    held, train = known.positions[known.held_out], known.positions[known.training]
    sets = {"a": simulated[a], "b": simulated[b], "model": drawn}
    sets |= _further(pipeline, sets, simulated, evenly(held, MOST), train, seed)
    items = [*catalogue(pipeline.topology, pipeline.dimension), *pair_observables(pipeline.n_atoms)]
    told = count_items(sets.items(), "measuring", "set", len(sets))
    values = {name: evaluate_all(items, x) for name, x in told}
    each = count_items(items, "comparing histograms", "observable", len(items))
    table = {o.name: _marginal(o, {name: v[o.name] for name, v in values.items()}) for o in each}
    frames = np.concatenate([a, b])
    kinds = _kinds(pipeline.topology, items, table, values, frames, _blocks(len(simulated))[frames], seed)
    pairs = [m for name, m in table.items() if name.startswith(PAIR_PREFIX)]
    new = novelty(evenly(drawn, _NOVEL), evenly(held, _NOVEL), evenly(train, _NOVEL))
    figures = _figures(pairs, len(sets["held"]), sampler, new)
    return Marginals(table, len(a), seed, f"Model.marginals(seed={seed})", figures, kinds)


def _figures(pairs: list[Marginal], held_out: int, sampler: str, new: NoveltyFigures) -> MarginalFigures:
    """Return means over the pair distances, and how new the draws are."""
    others = {name: float(np.mean([m.others[name] for m in pairs])) for name in COMPARED}
    return MarginalFigures(
        mean_jsd=float(np.mean([m.jsd for m in pairs])),
        mean_noise_floor=float(np.mean([m.noise_floor for m in pairs])),
        mean_random_floor=others["random_floor"],
        mean_held_out_floor=others["held_out_floor"],
        mean_jsd_train=others["jsd_train"],
        mean_jsd_held_out=others["jsd_held_out"],
        mean_jsd_pca=others["jsd_pca"],
        mean_jsd_resampled=others["jsd_resampled"],
        held_out=held_out,
        sampler=sampler,
        nearest=new.nearest,
        nearest_held_out=new.nearest_held_out,
        coverage=new.coverage,
        coverage_train=new.coverage_train,
    )


def _kinds(
    topology: Topology,
    items: list[Observable],
    table: dict[str, Marginal],
    values: dict[str, dict[str, Float64]],
    frames: Int64,
    block: Int64,
    seed: int,
) -> tuple[Kind, ...]:
    """Judge every kind of observables by itself, from A and B together: the number and the block of each frame."""
    order = np.argsort(frames)
    first = divisions(int(block.max()) + 1, seed)
    both = {o.name: np.concatenate([values["a"][o.name], values["b"][o.name]]) for o in items}
    floor = {name: floors(v, block, table[name].edges, first) for name, v in both.items()}
    atoms = {o.name: atoms_of(o, topology) for o in items}
    return judge(table, floor, atoms, lambda name: mean_error(both[name][order], frames[order]).independent)


def _further(
    pipeline: Pipeline,
    sets: dict[str, AnyArray],
    simulated: AnyArray,
    held: AnyArray,
    train: AnyArray,
    seed: int,
) -> dict[str, AnyArray]:
    """The sets that stand beside A, B and the model."""
    n, order = len(sets["a"]), np.random.default_rng(seed).permutation(len(simulated))
    few = min(len(held), len(train), n)
    return {
        "first": simulated[order[:n]],
        "second": simulated[order[n : 2 * n]],
        "held": evenly(held, few),
        "train": evenly(train, few),
        "few": sets["model"][:few],
        "pca": principal_draws(pipeline, evenly(train, MOST), n, seed),
        "resampled": resampled(train, n, seed),
    }


def _marginal(observable: Observable, values: dict[str, Float64]) -> Marginal:
    """One observable in all sets."""
    period = observable.period
    found = compare(values["a"], values["b"], values["model"], observable.unit, period)
    others = {
        name: histogram_divergence(values[p], values[q], period, found.edges) for name, (p, q) in COMPARED.items()
    }
    second, pca = (histogram(values[name], found.edges) for name in ("b", "pca"))
    found = replace(found, others=others, second=second, pca=pca)
    far = max(outside(values[name], found.edges) for name in ("model", "pca"))
    if far < _FAR:
        return found
    wide = _wide(values)
    # bins that cover all values have the same edges, and add nothing
    return found if np.array_equal(wide.edges, found.edges) else replace(found, wide=wide)


def _wide(values: dict[str, Float64]) -> Wide:
    """Histograms in bins over the simulation and the model; what PCA has beyond them is left out."""
    edges = bin_edges([np.concatenate([values["a"], values["b"]]), values["model"]])
    return Wide(edges, *(np.histogram(values[k], edges)[0] / len(values[k]) for k in ("a", "model", "b", "pca")))
