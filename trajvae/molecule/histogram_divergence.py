"""Measure how the distributions of two samples of numbers differ, by histograms or on a circle."""

from __future__ import annotations

import numpy as np
import scipy

from trajvae.typing import Float64

BINS = 50
_OUTLIERS = 0.005  # fraction of a sample at each end that bins need not cover
_MARGIN = 0.5  # width that bins reach beyond the other values, as a fraction of the range of these
_LEAST_VALUES = 4  # a smaller sample has no outliers


def bin_edges(samples: list[Float64], period: float = 0.0) -> Float64:
    """Return edges of 50 equal bins over the samples, the outer two open; for angles, one period from -period/2.

    The outliers of a sample are half a percent of its values at each end, and one value at least. They widen the bins
    by no more than half the range of the other values, so that a few outliers do not put all others into one bin.
    Values beyond the edges are counted in the outermost bins, see `histogram`.

    Parameters
    ----------
    samples : list of ndarray
        Each of one dimension.
    period : float
        Period of an angle; 0 for other numbers.

    Returns
    -------
    ndarray, shape (51,)
    """
    if period:
        return np.linspace(-period / 2, period / 2, BINS + 1)
    ranges = [_range_without_outliers(s) for s in samples]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    margin = 1e-9 * (high - low if high > low else 1.0 + max(abs(low), abs(high)))
    return np.linspace(low - margin, high + margin, BINS + 1)


def _range_without_outliers(sample: Float64) -> tuple[float, float]:
    """Return the smallest and largest value of a sample, of which outliers count up to a margin only."""
    if len(sample) < _LEAST_VALUES:
        return float(sample.min()), float(sample.max())
    count = max(1, int(_OUTLIERS * len(sample)))
    ordered = np.partition(sample, [0, count, len(sample) - 1 - count, len(sample) - 1])
    low, high = ordered[count], ordered[len(sample) - 1 - count]
    margin = _MARGIN * (high - low)
    return float(max(ordered[0], low - margin)), float(min(ordered[-1], high + margin))


def histogram(sample: Float64, edges: Float64) -> Float64:
    """Return the fraction of a sample in each bin; values beyond the edges count in the outermost bins."""
    return np.asarray(np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / len(sample))


def jensen_shannon(p: Float64, q: Float64) -> Float64:
    """Return the Jensen-Shannon divergence, in bits, between histograms along the last axis."""
    return np.asarray(scipy.spatial.distance.jensenshannon(p, q, base=2, axis=-1) ** 2)


def histogram_divergence(a: Float64, b: Float64, period: float = 0.0, edges: Float64 | None = None) -> float:
    """Return the Jensen-Shannon divergence, in bits, between histograms of two samples.

    Parameters
    ----------
    a, b : ndarray, shape (n,) and (m,)
    period : float
        Period of an angle; 0 for other numbers.
    edges : ndarray, optional
        Edges of the bins; by default those of `bin_edges`.
    """
    edges = bin_edges([a, b], period) if edges is None else edges
    return float(jensen_shannon(histogram(a, edges), histogram(b, edges)))


def circular_wasserstein(a: Float64, b: Float64, period: float) -> float:
    """Return the Wasserstein-1 distance of two samples on a circle.

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
