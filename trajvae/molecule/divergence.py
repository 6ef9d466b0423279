"""How two samples of a number differ."""

from __future__ import annotations

import numpy as np
import scipy

from trajvae.typing import Float64

BINS = 50
_FAR = 0.005  # share of a sample at each end that bins may leave out
_MARGIN = 0.5  # of what the rest of the sample spans: how far beyond it bins reach
_TWO = 4  # values of which one at each end can be left out


def bin_edges(samples: list[Float64], period: float = 0.0) -> Float64:
    """Return edges of 50 equal bins over the samples, the outer two open; for angles, one period from -period/2.

    The bins cover every sample but for its far values: half a percent at each end, or one value where that is less, can
    widen the bins by no more than half of what the rest of that sample spans. Few far values so hide nothing; they are
    counted in the open bins. See `histogram`.

    Parameters
    ----------
    samples : list of ndarray
        Each of one dimension.
    period : float

    Returns
    -------
    ndarray, shape (51,)
    """
    if period:
        return np.linspace(-period / 2, period / 2, BINS + 1)
    ranges = [_range(s) for s in samples]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    room = 1e-9 * (high - low if high > low else 1.0 + max(abs(low), abs(high)))
    return np.linspace(low - room, high + room, BINS + 1)


def _range(sample: Float64) -> tuple[float, float]:
    """Least and largest value of a sample that its far values widen but little."""
    if len(sample) < _TWO:
        return float(sample.min()), float(sample.max())
    far = max(1, int(_FAR * len(sample)))
    ordered = np.partition(sample, [0, far, len(sample) - 1 - far, len(sample) - 1])
    low, high = ordered[far], ordered[len(sample) - 1 - far]
    margin = _MARGIN * (high - low)
    return float(max(ordered[0], low - margin)), float(min(ordered[-1], high + margin))


def histogram(sample: Float64, edges: Float64) -> Float64:
    """Return the share of a sample in each bin; what lies beyond the edges counts in the outermost bins."""
    return np.asarray(np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / len(sample))


def jensen_shannon(p: Float64, q: Float64) -> Float64:
    """Return the Jensen-Shannon divergence of histograms along the last axis, in bits."""
    return np.asarray(scipy.spatial.distance.jensenshannon(p, q, base=2, axis=-1) ** 2)


def histogram_divergence(a: Float64, b: Float64, period: float = 0.0, edges: Float64 | None = None) -> float:
    """Return the Jensen-Shannon divergence of two samples' histograms, in bits, of 50 bins or those given."""
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
