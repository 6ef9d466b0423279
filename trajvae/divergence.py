"""How two samples of a number differ."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

BINS = 50


def bin_edges(samples: list[Float64], period: float = 0.0) -> Float64:
    """Edges of 50 bins over all samples; over one period from -period/2 where there is one."""
    low, high = -period / 2, period / 2
    if not period:
        low, high = min(float(s.min()) for s in samples), max(float(s.max()) for s in samples)
    return np.linspace(low, high if high > low else low + 1e-9 + abs(low) * 1e-9, BINS + 1)


def histogram_divergence(a: Float64, b: Float64, period: float = 0.0, edges: Float64 | None = None) -> float:
    """Jensen-Shannon divergence of two samples' histograms in bits: of 50 bins over both, or of the bins given.

    What lies beyond given edges counts in the outermost bins.
    """
    edges = bin_edges([a, b], period) if edges is None else edges
    p, q = (np.histogram(np.clip(s, edges[0], edges[-1]), edges)[0] / len(s) for s in (a, b))
    return float(scipy.spatial.distance.jensenshannon(p, q, base=2) ** 2)
