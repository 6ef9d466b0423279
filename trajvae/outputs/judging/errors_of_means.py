"""Standard errors of means over frames whose neighbours in time are alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

from trajvae.typing import Float64, Int64
from trajvae.weighted_samples import effective_size, weighted_mean


class MeanError(NamedTuple):
    """Hold the standard error of a mean.

    Attributes
    ----------
    value : float
        Standard error; NaN where there is one frame.
    correlation_time : float
        Of the values, in frames that were read: integrated, 1/2 where they are independent of each other. It is
        underestimated where blocks of frames are shorter than it; `independent` and the error are not affected.
    independent : float
        How many independent values the mean is worth.
    """

    value: float
    correlation_time: float
    independent: float

    @property
    def half_width(self) -> float:
        """Half width of the 95 % interval, by Student's t for as many independent values."""
        return self.value * student(self.independent)


def student(n: float) -> float:
    """Return the ratio of the half width of a mean's 95 % interval to its standard error, for n independent values."""
    return float(scipy.stats.t.ppf(0.975, max(n - 1.0, 1.0)))


def mean_error(values: Float64, rows: Int64, weights: Float64 | None = None) -> MeanError:
    """Return the standard error of a mean of correlated values at known frames.

    The variance of the mean is the sum of autocovariances over all pairs of frames / n^2. Lags count up to the first
    of windows, each twice as wide as the last, that does not exceed the noise. The sample mean's bias is corrected.

    Parameters
    ----------
    values : ndarray, shape (n,)
    rows : ndarray of int64, shape (n,)
        The number of each frame, ascending; between them may be gaps.
    weights : ndarray, shape (n,), optional
        Of mean 1: then the error is that of the weighted mean, a ratio of two means, to first order; and values are
        worth no more than their effective number.

    References
    ----------
    C. J. Geyer, Statist. Sci. 7, 473 (1992): initial positive sequences.
    H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989): the bias of the sample's own mean.
    """
    if weights is not None:
        found = mean_error(influences(values, weights), rows)
        return found._replace(independent=min(found.independent, effective_size(weights)))
    n = len(values)
    if n < 2:
        return MeanError(float("nan"), float("nan"), float(n))
    off = values - values.mean()
    spread = float(np.mean(off**2))
    if spread <= 1e-24 * max(1.0, float(np.mean(values**2))):
        return MeanError(0.0, 0.5, float(n))
    products, pairs = _by_lag(off, rows)
    variance = _variance(products, pairs, n)
    # no less than for independent values: noise must not make neighbours repel
    variance = max(variance, spread / (n - 1))
    independent = float(np.clip((spread + variance) / variance, 1.0, n))
    return MeanError(variance**0.5, _correlation_time(products, pairs, n), independent)


def influences(values: Float64, weights: Float64 | None) -> Float64:
    """Return values (n,) whose plain mean is the weighted mean, and has its standard error; weights are of mean 1.

    References
    ----------
    W. G. Cochran, Sampling Techniques (1977), sec. 6.4: the linearised ratio.
    """
    if weights is None:
        return values
    mean = float(weighted_mean(values, weights))
    return np.asarray(mean + weights * (values - mean))


def _by_lag(off: Float64, rows: Int64) -> tuple[Float64, Float64]:
    """Sums over pairs of frames of products of values, and how many pairs, by lag from 0."""
    step = max(1, int(np.gcd.reduce(np.diff(rows))))
    place = (rows - rows[0]) // step
    size = scipy.fft.next_fast_len(2 * int(place[-1]) + 1)
    out = []
    for content in (off, np.ones(len(off))):
        line = np.zeros(int(place[-1]) + 1)
        line[place] = content
        power = np.abs(scipy.fft.rfft(line, size)) ** 2
        out.append(scipy.fft.irfft(power, size)[: len(line)])
    return np.asarray(out[0], dtype=np.float64), np.asarray(np.round(out[1]), dtype=np.float64)


def _last(products: Float64, pairs: Float64) -> int:
    """The number of lags, from 0, up to the first window, of doubling widths, whose mean product is below the noise."""
    start = 1
    while start < len(products):
        stop = min(2 * start, len(products))
        seen = pairs[start:stop].sum()
        noise = products[0] / pairs[0] / max(seen, 1.0) ** 0.5
        if seen and products[start:stop].sum() / seen < noise:
            return start
        start = stop
    return len(products)


def _variance(products: Float64, pairs: Float64, n: int) -> float:
    """Variance of the mean from sums by lag."""
    last = _last(products, pairs)
    summed = products[0] + 2.0 * products[1:last].sum()
    share = (pairs[0] + 2.0 * pairs[1:last].sum()) / n**2
    # every product lacks the variance of the mean; where all lags count, nothing is left to tell it from
    return float(summed / n**2 / max(1.0 - share, 1.0 / n))


def _correlation_time(products: Float64, pairs: Float64, n: int) -> float:
    """In the step of the frames' numbers."""
    last = _last(products, pairs)
    known = pairs[1:last] > 0
    shares = products[1:last][known] / pairs[1:last][known] / (products[0] / n)
    return float(max(0.5 + shares.sum(), 0.5))
