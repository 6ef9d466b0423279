"""Simulation against model, observable by observable, beside the noise floor of the simulation itself.

Three sets of equal size n are compared: two disjoint sets A and B of interleaved blocks of the simulation, and n
conformations of the model. The divergence is that of A and the model, the floor that of A and B: the same estimators
on equally many frames, so that a perfect model would reach the floor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from trajvae.errors import ReadError
from trajvae.models.fit import Record
from trajvae.models.pipeline import Pipeline
from trajvae.observables import PAIR_PREFIX, catalogue, evaluate_all, pair_observables
from trajvae.outputs.generate import draw
from trajvae.store import Header, Quantity, write_table
from trajvae.store.schema import Tree

Float64 = NDArray[np.float64]

BINS = 50
BLOCKS = 20  # of the simulation, every other one in A
MOST = 20_000  # frames in A, and in B


@dataclass(frozen=True, eq=False)
class Marginal:
    """One observable's histograms and figures.

    Attributes
    ----------
    unit : str
    edges : ndarray, shape (51,)
    simulation, model : ndarray, shape (50,)
        Probability of each bin, of A and of the model.
    jsd, w1, ks : float
        Jensen-Shannon divergence in bits, Wasserstein-1 distance in the unit, Kolmogorov-Smirnov statistic.
    noise_floor, w1_floor, ks_floor : float
        The same between A and B.
    """

    unit: str
    edges: Float64
    simulation: Float64
    model: Float64
    jsd: float
    w1: float
    ks: float
    noise_floor: float
    w1_floor: float
    ks_floor: float


@dataclass(frozen=True, eq=False)
class Marginals:
    """All marginals.

    Attributes
    ----------
    table : dict of Marginal
    n : int
        Frames in each of the three sets.
    """

    table: dict[str, Marginal]
    n: int
    seed: int = 0
    command: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `/marginals/<name>/{edges,simulation,model}` with the figures as attributes."""
        groups: dict[str, tuple[Tree, dict[str, Any]]] = {}
        for name, m in self.table.items():
            tree: Tree = {
                "edges": Quantity(m.edges, m.unit),
                "simulation": Quantity(m.simulation),
                "model": Quantity(m.model),
            }
            marks = {k: v for k, v in vars(m).items() if not isinstance(v, np.ndarray)}
            groups[f"marginals/{name}"] = (tree, marks)
        header = Header("marginals", self.command or "Marginals.save", self.seed)
        attributes = {"n": self.n, **{k: v for k, v in self.figures.items() if isinstance(v, float)}}
        write_table(Path(path), header, groups=groups, attributes=attributes, force=force)


def compare(a: Float64, b: Float64, model: Float64, unit: str, period: float = 0.0) -> Marginal:
    """Compare samples of one observable.

    Parameters
    ----------
    a, b : ndarray
        Two sets of the simulation.
    model : ndarray
    unit : str
    period : float
        Of an angle, 0 if none; its histogram covers one period from -period/2, and W1 goes the shorter way round.
    """
    everything = np.concatenate([a, b, model])
    low, high = (-period / 2, period / 2) if period else (everything.min(), everything.max())
    edges = np.linspace(low, high if high > low else low + 1e-9 + abs(low) * 1e-9, BINS + 1)
    pa, pb, pm = (np.histogram(v, edges)[0] / len(v) for v in (a, b, model))
    return Marginal(unit, edges, pa, pm, *_figures(pa, pm, a, model, period), *_figures(pa, pb, a, b, period))


def _figures(p: Float64, q: Float64, a: Float64, b: Float64, period: float) -> tuple[float, float, float]:
    """Jensen-Shannon divergence of the histograms; Wasserstein-1 and Kolmogorov-Smirnov of the samples."""
    w1 = circular_wasserstein(a, b, period) if period else wasserstein_distance(a, b)
    return float(jensenshannon(p, q, base=2) ** 2), float(w1), float(ks_2samp(a, b).statistic)


def circular_wasserstein(a: Float64, b: Float64, period: float) -> float:
    """Wasserstein-1 distance of two samples on a circle.

    References
    ----------
    J. Rabin, J. Delon, Y. Gousseau, J. Math. Imaging Vis. 41, 147 (2011): the integral of |F - G - median(F - G)|.
    """
    points = np.sort(np.concatenate([a, b]) % period)
    gaps = np.diff(points, append=points[:1] + period)
    difference = np.searchsorted(np.sort(a % period), points, side="right") / len(a) - np.searchsorted(
        np.sort(b % period), points, side="right"
    ) / len(b)
    order = np.argsort(difference)
    half = int(np.searchsorted(np.cumsum(gaps[order]), 0.5 * period))
    middle = difference[order][min(half, len(order) - 1)]
    return float(np.sum(np.abs(difference - middle) * gaps))


def halves(n: int, most: int = MOST) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two disjoint, equally large sets of interleaved blocks of n frames.

    Raises
    ------
    ReadError
        Fewer than 10 frames.
    """
    if n < 10:
        raise ReadError(f"marginals need at least 10 simulated frames, got {n}")
    blocks = np.arange(n) * min(BLOCKS, n // 2) // n
    a, b = np.flatnonzero(blocks % 2 == 0), np.flatnonzero(blocks % 2 == 1)
    size = min(len(a), len(b), most)
    pick = np.arange(size)
    return a[pick * len(a) // size], b[pick * len(b) // size]


def marginals(
    pipeline: Pipeline, record: Record, positions: NDArray[np.floating[Any]] | None = None, *, seed: int = 0
) -> Marginals:
    """Compare simulated frames with as many drawn from the model.

    Parameters
    ----------
    pipeline : Pipeline
    record : Record
    positions : ndarray, shape (T, N, D), optional
        Of the simulation; by default the sample that the model keeps.
    seed : int
        Of the model's draws.
    """
    simulated = record.sample if positions is None else positions
    a, b = halves(len(simulated))
    _, drawn, _ = draw(pipeline, record, len(a), seed=seed)
    sets = (simulated[a], simulated[b], drawn)
    items = [*catalogue(pipeline.topology, pipeline.dimension), *pair_observables(pipeline.n_atoms)]
    of_a, of_b, of_model = (evaluate_all(items, x) for x in sets)
    table = {o.name: compare(of_a[o.name], of_b[o.name], of_model[o.name], o.unit, o.period) for o in items}
    pairs = [m for name, m in table.items() if name.startswith(PAIR_PREFIX)]
    figures = {
        "mean_jsd": float(np.mean([m.jsd for m in pairs])),
        "mean_noise_floor": float(np.mean([m.noise_floor for m in pairs])),
    }
    return Marginals(table, len(a), seed, f"Model.marginals(seed={seed})", figures)
