"""One observable's histograms, of the simulation and of the model, and how they differ."""

from __future__ import annotations

import numpy as np

from trajvae.molecule.histogram_divergence import (
    bin_edges,
    circular_wasserstein,
    histogram,
    jensen_shannon,
    kolmogorov_smirnov,
)
from trajvae.results.marginals import Marginal
from trajvae.typing import Float64

__all__ = ["Marginal", "compare", "outside"]


Pair = tuple[Float64 | None, Float64 | None]


def compare(
    a: Float64, b: Float64, model: Float64, unit: str, period: float = 0.0, weights: Pair = (None, None)
) -> Marginal:
    """Compare samples of one observable.

    Parameters
    ----------
    a, b : ndarray
        Two sets of the simulation.
    model : ndarray
    unit : str
    period : float
        Of an angle, 0 if none; its histogram covers one period from -period/2, and W1 goes the shorter way round.
        Without one the bins are chosen by the simulation alone, see `divergence.bin_edges`: however far a draw is, it
        changes the divergence by no more than its own weight.
    weights : tuple of ndarray or None
        Of the values of a and of b, of one scale.
    """
    first, second = weights
    joined = None if first is None or second is None else np.concatenate([first, second])
    edges = bin_edges([np.concatenate([a, b])], period, [joined])
    pa, pb, pm = (histogram(v, edges, w) for v, w in ((a, weights[0]), (b, weights[1]), (model, None)))
    figures = (*_figures(pa, pm, a, model, period, (weights[0], None)), *_figures(pa, pb, a, b, period, weights))
    return Marginal(unit, edges, pa, pm, *figures, beyond=outside(model, edges))


def outside(sample: Float64, edges: Float64) -> float:
    """Return the share of a sample beyond the edges."""
    return float(((sample < edges[0]) | (sample > edges[-1])).mean())


def _figures(
    p: Float64, q: Float64, a: Float64, b: Float64, period: float, weights: Pair
) -> tuple[float, float, float]:
    """Jensen-Shannon divergence of the histograms; Wasserstein-1 and Kolmogorov-Smirnov of the samples."""
    from scipy.stats import ks_2samp, wasserstein_distance  # half a second that no other output waits for

    w1 = circular_wasserstein(a, b, period, weights) if period else wasserstein_distance(a, b, *weights)
    ks = ks_2samp(a, b).statistic if weights[0] is None and weights[1] is None else kolmogorov_smirnov(a, b, weights)
    return float(jensen_shannon(p, q)), float(w1), float(ks)
