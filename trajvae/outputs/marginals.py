"""Simulation against model, observable by observable, beside the noise floor of the simulation itself.

Three sets of equal size n are compared: two disjoint sets A and B of interleaved blocks of the simulation, and n
conformations of the model. The divergence is that of A and the model, the floor that of A and B: the same estimators
on equally many frames, so that a perfect model would reach the floor.

Beside it stand, always of sets of equal size: two random halves; the held-out blocks and training frames; the model and
each of those two; and what other models would give: PCA of the latent's dimension with an isotropic residual, and
simulated frames drawn once more, which is learning by heart.

With weights of frames the histograms of A, of B and of the random halves are weighted, and as many conformations are
drawn as B has frames of equal weight. Held-out and training frames are then sets that stand for them without weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trajvae.cluster import WorkPlace
from trajvae.errors import ReadError
from trajvae.figures import MarginalFigures, NoveltyFigures
from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.histogram_divergence import bin_edges, histogram, histogram_divergence
from trajvae.molecule.observables import PAIR_PREFIX, Observable, catalogue, evaluate_all, pair_observables
from trajvae.outputs.drawing.novelty import novelty
from trajvae.outputs.drawing.positions import draw_positions
from trajvae.outputs.drawing.samplers import resolve_sampler
from trajvae.outputs.judging.baselines import evenly, known_frames, principal_draws, resampled
from trajvae.outputs.judging.errors_of_means import mean_error
from trajvae.outputs.judging.histograms import compare, outside
from trajvae.outputs.judging.observable_kinds import atoms_of, divisions, floors, judge
from trajvae.results.marginals import Kind, Marginal, Marginals, Wide
from trajvae.runtime.progress import count_items
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Float64, Floats, Int64
from trajvae.weighted_samples import effective_size

Counts = Mapping[str, Float64 | None]  # weights by the name of a set; None where all frames count alike

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
_FEWEST = 10  # conformations that are drawn, where frames of a few large weights are worth less
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
    weights: FrameWeights | None = None,
    cluster: WorkPlace | None = None,
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
    weights : FrameWeights, optional
        Of the simulated frames; by default those of the training, where these are its frames.
    cluster : WorkPlace, optional
        Where conformations are drawn.

    Raises
    ------
    ReadError
        Fewer than 10 frames, or a half of them whose weights are all 0.
    """
    simulated = record.sample if positions is None else positions
    a, b = halves(len(simulated))
    known = known_frames(pipeline, record, positions, weights)
    weights = known.weights if known.positions is simulated else weights
    counts = _weights_of_sets(weights, a, b, seed)
    draws = len(a) if counts["b"] is None else max(_FEWEST, round(effective_size(counts["b"])))
    sampler = resolve_sampler(record, "auto")
    drawn = draw_positions(pipeline, record, draws, seed=seed, sampler=sampler, geometry=geometry, cluster=cluster)
    held, train = known.standing_for(known.held_out), known.standing_for(known.training)
    sets = {"a": simulated[a], "b": simulated[b], "model": drawn}
    sets |= _further(pipeline, sets, simulated, evenly(held, MOST), train, seed)
    items = [*catalogue(pipeline.topology, pipeline.dimension), *pair_observables(pipeline.n_atoms)]
    told = count_items(sets.items(), "measuring", "set", len(sets))
    values = {name: evaluate_all(items, x) for name, x in told}
    each = count_items(items, "comparing histograms", "observable", len(items))
    table = {o.name: _marginal(o, {name: v[o.name] for name, v in values.items()}, counts) for o in each}
    frames = np.concatenate([a, b])
    own = relative_of(weights, frames)
    kinds = _kinds(pipeline.topology, items, table, values, frames, _blocks(len(simulated))[frames], seed, own)
    pairs = [m for name, m in table.items() if name.startswith(PAIR_PREFIX)]
    new = novelty(evenly(drawn, _NOVEL), evenly(held, _NOVEL), evenly(train, _NOVEL))
    figures = _figures(pairs, len(sets["held"]), sampler, new)
    source = None
    if weights is not None:
        source = weights.source
        figures = replace(figures, draws=draws, effective_sample_size=source.effective_sample_size)
    return Marginals(table, len(a), seed, f"Model.marginals(seed={seed})", figures, kinds, source)


def _weights_of_sets(weights: FrameWeights | None, a: Int64, b: Int64, seed: int) -> Counts:
    """Weights of the frames in A and B, and of the random halves; None where all frames count alike."""
    if weights is None or weights.relative() is None:
        return dict.fromkeys(("a", "b", "first", "second"))
    for part, what in ((a, "even"), (b, "odd")):
        weights.relative(part, f"(every {what} twentieth of the simulation) compared")
    order = _order(len(weights), seed)
    rows = {"a": a, "b": b, "first": order[: len(a)], "second": order[len(a) : 2 * len(a)]}
    own = {name: weights.values[part] for name, part in rows.items()}
    return {name: w if w.any() else None for name, w in own.items()}  # a random half may have none of the weight


def _order(n: int, seed: int) -> Int64:
    """Frames in a random order, of which random halves are the first."""
    return np.random.default_rng(seed).permutation(n)


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
    weights: Float64 | None,
) -> tuple[Kind, ...]:
    """Judge every kind of observables by itself, from A and B together: number, block and weight of each frame."""
    order = np.argsort(frames)
    first = divisions(int(block.max()) + 1, seed)
    both = {o.name: np.concatenate([values["a"][o.name], values["b"][o.name]]) for o in items}
    floor = {name: floors(v, block, table[name].edges, first, weights) for name, v in both.items()}
    atoms = {o.name: atoms_of(o, topology) for o in items}
    own = None if weights is None else weights[order]
    return judge(table, floor, atoms, lambda name: mean_error(both[name][order], frames[order], own).independent)


def _further(
    pipeline: Pipeline,
    sets: dict[str, AnyArray],
    simulated: AnyArray,
    held: AnyArray,
    train: AnyArray,
    seed: int,
) -> dict[str, AnyArray]:
    """The sets that stand beside A, B and the model."""
    n, order = len(sets["a"]), _order(len(simulated), seed)
    few = min(len(held), len(train), len(sets["model"]))
    return {
        "first": simulated[order[:n]],
        "second": simulated[order[n : 2 * n]],
        "held": evenly(held, few),
        "train": evenly(train, few),
        "few": sets["model"][:few],
        "pca": principal_draws(pipeline, evenly(train, MOST), n, seed),
        "resampled": resampled(train, n, seed),
    }


def _marginal(observable: Observable, values: dict[str, Float64], counts: Counts) -> Marginal:
    """One observable in all sets, of which some have weights."""
    period = observable.period
    found = compare(values["a"], values["b"], values["model"], observable.unit, period, (counts["a"], counts["b"]))
    others = {
        name: histogram_divergence(values[p], values[q], period, found.edges, (counts.get(p), counts.get(q)))
        for name, (p, q) in COMPARED.items()
    }
    second, pca = (histogram(values[name], found.edges, counts.get(name)) for name in ("b", "pca"))
    found = replace(found, others=others, second=second, pca=pca)
    far = max(outside(values[name], found.edges) for name in ("model", "pca"))
    if far < _FAR:
        return found
    wide = _wide(values, counts)
    # bins that cover all values have the same edges, and add nothing
    return found if np.array_equal(wide.edges, found.edges) else replace(found, wide=wide)


def _wide(values: dict[str, Float64], counts: Counts) -> Wide:
    """Histograms in bins over the simulation and the model; what PCA has beyond them is left out."""
    own = None if counts["a"] is None or counts["b"] is None else np.concatenate([counts["a"], counts["b"]])
    edges = bin_edges([np.concatenate([values["a"], values["b"]]), values["model"]], 0.0, [own, None])
    return Wide(edges, *(_shares(values[k], edges, counts.get(k)) for k in ("a", "model", "b", "pca")))


def _shares(values: Float64, edges: Float64, weights: Float64 | None) -> Float64:
    """Share of all values, or of their weight, in each bin."""
    total = len(values) if weights is None else weights.sum()
    return np.asarray(np.histogram(values, edges, weights=weights)[0] / total)
