"""Divergences between two samples, compared with scipy and with known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from trajvae.molecule.histogram_divergence import BINS, bin_edges, histogram, histogram_divergence
from trajvae.typing import Float64


def _sample(n: int, shift: float = 0.0, seed: int = 0) -> Float64:
    return np.random.default_rng(seed).normal(loc=shift, size=n)


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_it_is_scipy_s_squared_distance(shift: float) -> None:
    """The square of scipy's distance, in bits, of histograms over the joint range; samples may differ in size."""
    a, b = _sample(3000), _sample(700, shift, seed=1)
    edges = np.linspace(min(a.min(), b.min()), max(a.max(), b.max()), 51)
    p, q = np.histogram(a, edges)[0], np.histogram(b, edges)[0]
    assert (p.sum(), q.sum()) == (3000, 700)
    assert histogram_divergence(a, b) == pytest.approx(float(jensenshannon(p, q, base=2)) ** 2, rel=1e-6)


@pytest.mark.parametrize("period", [0.0, 360.0])
def test_it_is_the_entropy_of_the_mixture_less_the_mean_entropy(period: float) -> None:
    """The definition by hand: H((p + q) / 2) - (H(p) + H(q)) / 2 in bits."""
    a, b = 40.0 * _sample(2000), 40.0 * _sample(2000, 1.0, seed=1)
    a, b = (np.clip(x, -180.0, 180.0) for x in (a, b))
    edges = bin_edges([a, b], period)
    p, q = (np.histogram(x, edges)[0] / len(x) for x in (a, b))

    def entropy(share: Float64) -> float:
        some = share[share > 0]
        return -float((some * np.log2(some)).sum())

    expected = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    assert histogram_divergence(a, b, period) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("period", [0.0, 2.0 * math.pi])
def test_identical_samples_do_not_differ(period: float) -> None:
    """0 for a sample and itself, in any order and any number of copies."""
    a = np.clip(_sample(500), -math.pi, math.pi)
    assert histogram_divergence(a, a, period) == 0.0
    assert histogram_divergence(a, a[::-1], period) == 0.0
    assert histogram_divergence(a, np.tile(a, 3), period) == pytest.approx(0.0, abs=1e-12)


def test_disjoint_samples_differ_by_one_bit() -> None:
    """1 where no bin holds values of both, however far they are apart; one value each is enough."""
    a = _sample(500)
    assert histogram_divergence(a, a + 20.0) == pytest.approx(1.0, abs=1e-12)
    assert histogram_divergence(a, a + 2e4) == pytest.approx(1.0, abs=1e-12)
    assert histogram_divergence(np.array([1.0]), np.array([2.0])) == pytest.approx(1.0, abs=1e-12)


def test_it_has_no_direction_and_no_unit() -> None:
    """Exchanging the samples, or another unit of both, changes nothing."""
    a, b = _sample(500), _sample(400, 0.7, seed=1)
    value = histogram_divergence(a, b)
    assert 0.0 < value < 1.0
    assert histogram_divergence(b, a) == pytest.approx(value, rel=1e-12)
    assert histogram_divergence(1024.0 * a, 1024.0 * b) == pytest.approx(value, rel=1e-12)


def test_edges_span_all_samples() -> None:
    """Without a period 50 equal bins run from the smallest value of all samples to the largest, which are inside."""
    samples = [np.array([1.0, 2.0]), np.array([-3.0]), np.array([0.0, 7.0])]
    edges = bin_edges(samples)
    np.testing.assert_allclose(edges, -3.0 + 0.2 * np.arange(BINS + 1), atol=1e-7)
    assert edges[0] < -3.0 and edges[-1] > 7.0


@pytest.mark.parametrize("far", [30.0, -1e6])
def test_far_values_widen_bins_but_little(far: float) -> None:
    """A few far values lie in an open bin; the bins go no further than half the span of the others beyond these."""
    a = _sample(2000)
    with_far = np.concatenate([a, np.full(5, far)])
    edges, ordered = bin_edges([with_far]), np.sort(a)
    assert edges[-1] - edges[0] < 2.0 * (ordered[-1] - ordered[0])
    assert edges[0] <= ordered[0] and edges[-1] >= ordered[-1]
    shares = histogram(with_far, edges)
    assert shares.sum() == pytest.approx(1.0) and shares[0 if far < 0 else -1] == pytest.approx(5 / 2005)


@pytest.mark.parametrize("far", [5.0, 1e4, -1e7])
def test_a_far_value_hides_no_shift(far: float) -> None:
    """Replacing a draw by a far one changes the divergence from a reference by no more than the draw's weight."""
    a, b = _sample(1000), _sample(1000, 0.7, seed=1)
    edges = bin_edges([a])
    plain = histogram_divergence(a, b, edges=edges)
    hit = b.copy()
    hit[3] = far
    assert plain > 0.06
    assert abs(histogram_divergence(a, hit, edges=edges) - plain) <= 1e-3
    assert abs(histogram_divergence(a, hit) - plain) < 0.02  # bins over both sets


@pytest.mark.parametrize("period", [360.0, 2.0 * math.pi])
def test_edges_of_angles_span_one_period(period: float) -> None:
    """With a period 50 equal bins cover it once, whatever the samples; both ends are inside."""
    edges = bin_edges([np.array([0.1])], period)
    assert len(edges) == BINS + 1
    assert (edges[0], edges[-1]) == (-period / 2, period / 2)
    np.testing.assert_allclose(np.diff(edges), period / BINS)
    ends = np.array([-period / 2, period / 2])
    assert np.histogram(ends, edges)[0].sum() == 2


def test_a_period_fixes_the_bins() -> None:
    """Two narrow peaks within one bin of the circle are alike, although their joint range tells them apart."""
    a, b = 1.0 + 0.01 * np.random.default_rng(0).random((2, 300)) + np.array([[0.0], [0.02]])
    assert histogram_divergence(a, b) == pytest.approx(1.0, abs=1e-12)
    assert histogram_divergence(a, b, 360.0) == 0.0


@pytest.mark.parametrize("value", [0.0, 1.53, -1e6])
def test_values_that_never_vary(value: float) -> None:
    """Equal constants, such as a constrained bond, do not differ; bins keep a width."""
    a = np.full(10, value)
    assert bool((np.diff(bin_edges([a])) > 0).all())
    assert histogram_divergence(a, a[:3]) == 0.0
