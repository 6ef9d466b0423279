"""Weighted means, quantiles and equivalent rows: whole-number weights are repeated values."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.weighted_samples import (
    effective_size,
    equivalent_rows,
    relative_weights,
    weighted_mean,
    weighted_quantiles,
)

TIMES = np.array([1, 2, 0, 3, 1, 5])


def test_weights_that_are_whole_numbers_are_repeated_values():
    random = np.random.default_rng(0)
    values = random.normal(size=(6, 3))
    repeated = np.repeat(values, TIMES, axis=0)
    np.testing.assert_allclose(weighted_mean(values, TIMES / 7.0), repeated.mean(axis=0), atol=1e-14)
    shares = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]
    expected = np.quantile(repeated[:, 0], shares, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(values[:, 0], shares, TIMES / 0.7), expected)
    np.testing.assert_array_equal(equivalent_rows(TIMES * 0.3, 6, TIMES.sum()), np.repeat(np.arange(6), TIMES))


def test_equal_weights_are_no_weights():
    values = np.random.default_rng(0).normal(size=7)
    assert relative_weights(np.full(7, 0.1)) is None
    assert weighted_mean(values, None) == values.mean()
    np.testing.assert_array_equal(weighted_quantiles(values, [0.3], None), np.quantile(values, [0.3]))
    np.testing.assert_array_equal(equivalent_rows(None, 7), np.arange(7))
    np.testing.assert_allclose(relative_weights(np.array([1.0, 3.0])), [0.5, 1.5])


def test_effective_size():
    assert effective_size(np.ones(9)) == pytest.approx(9.0)
    assert effective_size(np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx(2.0)
    assert effective_size(np.array([1.0, 2.0])) == pytest.approx(9.0 / 5.0)
    assert effective_size(np.array([1e300, 1e300])) == pytest.approx(2.0)
    assert effective_size(np.zeros(3)) == 0.0


def test_equivalent_rows_occur_as_often_as_weights_ask_for_to_within_one():
    weights = np.random.default_rng(1).exponential(size=200) ** 3
    for size in (10, 57, 1000):
        counts = np.bincount(equivalent_rows(weights, 200, size), minlength=200)
        assert np.abs(counts - size * weights / weights.sum()).max() < 1.0
        assert counts.sum() == size
    assert len(equivalent_rows(weights, 200)) == round(effective_size(weights))
