"""Measure how the distributions of two samples of numbers differ, by histograms or on a circle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from trajvae.typing import Float64

BINS = 50
_OUTLIERS = 0.005  # fraction of a sample at each end that bins need not cover
_MARGIN = 0.5  # width that bins reach beyond the other values, as a fraction of the range of these
_LEAST_VALUES = 4  # a smaller sample has no outliers


def bin_edges(samples: list[Float64], period: float = 0.0, weights: Sequence[Float64 | None] | None = None) -> Float64:
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
    weights : sequence of ndarray or None, optional
        Of the values of each sample: outliers are then half a percent of the weight.

    Returns
    -------
    ndarray, shape (51,)
    """
    if period:
        return np.linspace(-period / 2, period / 2, BINS + 1)
    each = [None] * len(samples) if weights is None else weights
    ranges = [_range_without_outliers(s, w) for s, w in zip(samples, each, strict=True)]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    margin = 1e-9 * (high - low if high > low else 1.0 + max(abs(low), abs(high)))
    return np.linspace(low - margin, high + margin, BINS + 1)


def _range_without_outliers(sample: Float64, weights: Float64 | None) -> tuple[float, float]:
    """Return the smallest and largest value of a sample, of which outliers count up to a margin only."""
    if weights is not None:
        sample, weights = sample[weights > 0.0], weights[weights > 0.0]
    last = len(sample) - 1
    if len(sample) < _LEAST_VALUES:
        return float(sample.min()), float(sample.max())
    if weights is None:
        below = above = max(1, int(_OUTLIERS * len(sample)))
        ordered = np.partition(sample, [0, below, last - above, last])
    else:
        order = np.argsort(sample)
        ordered = sample[order]
        below, above = _outliers(weights[order]), _outliers(weights[order[::-1]])
    low, high = sorted((ordered[below], ordered[last - above]))
    margin = _MARGIN * (high - low)
    return float(max(ordered[0], low - margin)), float(min(ordered[-1], high + margin))


def _outliers(weights: Float64) -> int:
    """How many of the first values have half a percent of the weight; one at least, and not all."""
    reached = np.cumsum(weights)
    count = int(np.searchsorted(reached, _OUTLIERS * reached[-1], side="right"))
    return min(max(1, count), len(weights) - 1)


def histogram(sample: Float64, edges: Float64, weights: Float64 | None = None) -> Float64:
    """Return the fraction of a sample in each bin; values beyond the edges count in the outermost bins.

    With weights (n,) it is the fraction of the weight.
    """
    inside = np.clip(sample, edges[0], edges[-1])
    if weights is None:
        return np.asarray(np.histogram(inside, edges)[0] / len(sample))
    return np.asarray(np.histogram(inside, edges, weights=weights)[0] / weights.sum())


def jensen_shannon(p: Float64, q: Float64) -> Float64:
    """Return the Jensen-Shannon divergence, in bits, between histograms along the last axis."""
    return np.asarray(scipy.spatial.distance.jensenshannon(p, q, base=2, axis=-1) ** 2)


def histogram_divergence(
    a: Float64,
    b: Float64,
    period: float = 0.0,
    edges: Float64 | None = None,
    weights: tuple[Float64 | None, Float64 | None] = (None, None),
) -> float:
    """Return the Jensen-Shannon divergence, in bits, between histograms of two samples.

    Parameters
    ----------
    a, b : ndarray, shape (n,) and (m,)
    period : float
        Period of an angle; 0 for other numbers.
    edges : ndarray, optional
        Edges of the bins; by default those of `bin_edges`.
    weights : tuple of ndarray or None
        Of the values of each sample.
    """
    edges = bin_edges([a, b], period, weights) if edges is None else edges
    return float(jensen_shannon(histogram(a, edges, weights[0]), histogram(b, edges, weights[1])))


def circular_wasserstein(
    a: Float64, b: Float64, period: float, weights: tuple[Float64 | None, Float64 | None] = (None, None)
) -> float:
    """Return the Wasserstein-1 distance of two samples on a circle, whose values may have weights.

    References
    ----------
    J. Rabin, J. Delon, Y. Gousseau, J. Math. Imaging Vis. 41, 147 (2011): the integral of |F - G - median(F - G)|.
    """
    points = np.sort(np.concatenate([a, b]) % period)
    gaps = np.diff(points, append=points[:1] + period)
    difference = distribution(a % period, points, weights[0]) - distribution(b % period, points, weights[1])
    order = np.argsort(difference)
    half = int(np.searchsorted(np.cumsum(gaps[order]), 0.5 * period))
    middle = difference[order][min(half, len(order) - 1)]
    return float(np.sum(np.abs(difference - middle) * gaps))


def kolmogorov_smirnov(a: Float64, b: Float64, weights: tuple[Float64 | None, Float64 | None]) -> float:
    """Return the largest difference between the distribution functions of two samples with weights, or None."""
    points = np.concatenate([a, b])
    return float(np.abs(distribution(a, points, weights[0]) - distribution(b, points, weights[1])).max())


def distribution(sample: Float64, points: Float64, weights: Float64 | None) -> Float64:
    """Return the share of a sample, or of its weight, at each point and below it."""
    if weights is None:
        return np.asarray(np.searchsorted(np.sort(sample), points, side="right") / len(sample))
    order = np.argsort(sample)
    reached = np.concatenate([[0.0], np.cumsum(weights[order])])
    return np.asarray(reached[np.searchsorted(sample[order], points, side="right")] / reached[-1])
