"""One observable's histograms, of the simulation and of the model, and how they differ."""

from __future__ import annotations

import numpy as np

from trajvae.molecule.histogram_divergence import bin_edges, circular_wasserstein, histogram, jensen_shannon
from trajvae.results.marginals import Marginal
from trajvae.typing import Float64

__all__ = ["Marginal", "compare", "outside"]


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
        Without one the bins are chosen by the simulation alone, see `divergence.bin_edges`: however far a draw is, it
        changes the divergence by no more than its own weight.
    """
    edges = bin_edges([np.concatenate([a, b])], period)
    pa, pb, pm = (histogram(v, edges) for v in (a, b, model))
    figures = (*_figures(pa, pm, a, model, period), *_figures(pa, pb, a, b, period))
    return Marginal(unit, edges, pa, pm, *figures, beyond=outside(model, edges))


def outside(sample: Float64, edges: Float64) -> float:
    """Return the share of a sample beyond the edges."""
    return float(((sample < edges[0]) | (sample > edges[-1])).mean())


def _figures(p: Float64, q: Float64, a: Float64, b: Float64, period: float) -> tuple[float, float, float]:
    """Jensen-Shannon divergence of the histograms; Wasserstein-1 and Kolmogorov-Smirnov of the samples."""
    from scipy.stats import ks_2samp, wasserstein_distance  # half a second that no other output waits for

    w1 = circular_wasserstein(a, b, period) if period else wasserstein_distance(a, b)
    return float(jensen_shannon(p, q)), float(w1), float(ks_2samp(a, b).statistic)
