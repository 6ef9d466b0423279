"""Means, quantiles and samples of values that do not all count alike, such as frames of a biased simulation.

Everywhere `None` stands for weights that are all equal: what is computed then is the plain mean or quantile, to the
last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trajvae.typing import Float64, Floats, Int64


def relative_weights(weights: Float64) -> Float64 | None:
    """Return weights (n,) scaled to a mean of 1, or None where all are equal."""
    if not len(weights) or (weights == weights[0]).all():
        return None
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def effective_size(weights: Float64) -> float:
    """Return the number of values of equal weight that these weights (n,) are worth: (sum w)² / sum w².

    References
    ----------
    L. Kish, Survey Sampling (1965), sec. 11.7.
    """
    largest = float(weights.max(initial=0.0))
    if largest <= 0.0:
        return 0.0
    scaled = weights / largest  # squares of numbers near the largest float are infinite
    return float(scaled.sum() ** 2 / np.square(scaled).sum())


def weighted_mean(values: Floats, weights: Float64 | None) -> Float64:
    """Return the mean over the first axis of values (n, ...) with weights (n,)."""
    if weights is None:
        return np.asarray(values.mean(axis=0))
    return np.asarray(np.tensordot(weights, values, axes=1) / weights.sum())


def weighted_quantiles(values: Float64, shares: Sequence[float], weights: Float64 | None) -> Float64:
    """Return quantiles of values (n,) with weights (n,): numpy's, or with weights the inverse of the distribution.

    With weights a quantile is the smallest value that, with all smaller ones, has at least that share of the weight.
    """
    if weights is None:
        return np.asarray(np.quantile(values, shares))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    wanted = np.asarray(shares) * reached[-1] * (1.0 - 1e-12)  # sums of equal weights have rounding errors
    return np.asarray(values[order][np.searchsorted(reached, wanted).clip(max=len(values) - 1)])


def equivalent_rows(weights: Float64 | None, n: int, size: int | None = None) -> Int64:
    """Return rows of a table of `n` rows that stand for it without weights: each as often as its weight asks for.

    Parameters
    ----------
    weights : ndarray, shape (n,), optional
        Without weights all rows are returned.
    n : int
    size : int, optional
        Number of rows returned; by default the effective number of values, rounded.

    Returns
    -------
    ndarray of int64
        Ascending.

    Notes
    -----
    Rows are taken at equal steps of the sum of weights, without randomness: a row of a share s of the weight occurs
    `size` s times, rounded up or down.

    References
    ----------
    G. Kitagawa, J. Comput. Graph. Stat. 5, 1 (1996), appendix: systematic resampling.
    """
    if weights is None:
        return np.arange(n)
    size = max(1, round(effective_size(weights))) if size is None else size
    reached = np.cumsum(weights)
    places = (np.arange(size) + 0.5) / size * reached[-1]
    return np.asarray(np.searchsorted(reached, places, side="right").clip(max=n - 1), dtype=np.int64)
