"""Monotone tables: closed forms, circles, and what lies beyond them."""

from __future__ import annotations

import numpy as np
import scipy
import torch

from trajvae.local_geometry.quantile_tables import QuantileTables, probabilities


def column(values) -> torch.Tensor:
    """One term's values, (1, B)."""
    return torch.from_numpy(np.atleast_1d(values).astype(float))[None]


def test_probabilities_rise_from_0_to_1() -> None:
    """They are the quantiles' places."""
    p = probabilities()
    assert p[0] == 0.0 and p[-1] == 1.0 and (np.diff(p) > 0.0).all()


def test_equal_distributions_map_to_themselves() -> None:
    """Within the spacing of the quantiles."""
    values = np.random.default_rng(0).normal(size=(4000, 3))
    tables = QuantileTables.fit(values, values, 0)
    x = torch.from_numpy(np.clip(values[:500].T, values.min(axis=0)[:, None], None))
    torch.testing.assert_close(tables.matched(x), x)


def test_a_normal_term_becomes_another_by_its_closed_form() -> None:
    """Mean and deviation change: q* = m2 + (q - m1) s2 / s1."""
    rng = np.random.default_rng(1)
    tables = QuantileTables.fit(rng.normal(1.5, 0.3, (100_000, 1)), rng.normal(1.4, 0.02, (100_000, 1)), 0)
    q = np.linspace(0.9, 2.1, 41)  # two deviations
    expected = 1.4 + (q - 1.5) * 0.02 / 0.3
    np.testing.assert_allclose(tables.matched(column(q))[0].numpy(), expected, atol=0.04 * 0.02)


def test_fresh_draws_take_the_simulated_distribution() -> None:
    """The Kolmogorov-Smirnov test of a bimodal term."""
    rng = np.random.default_rng(2)

    def simulated(n: int):
        return np.where(rng.random(n) < 0.3, rng.normal(-1.0, 0.1, n), rng.normal(1.0, 0.2, n))

    tables = QuantileTables.fit(rng.normal(0.0, 2.0, (20_000, 1)), simulated(20_000)[:, None], 0)
    found = tables.matched(column(rng.normal(0.0, 2.0, 3000)))[0].numpy()
    assert scipy.stats.ks_2samp(found, simulated(20_000)).statistic < 0.035  # 1.36 sqrt(1 / 3000 + 1 / 20000) = 0.027


def test_maps_rise() -> None:
    """Ranks are kept, whatever the values."""
    rng = np.random.default_rng(3)
    tables = QuantileTables.fit(rng.normal(size=(300, 1)), rng.gamma(2.0, size=(50, 1)), 0)
    found = tables.matched(column(np.linspace(-6.0, 6.0, 500)))[0].numpy()
    assert (np.diff(found) >= 0.0).all()
    assert tables.simulated[0, 0] == found[0] and tables.simulated[0, -1] == found[-1]  # beyond: the ends


def test_angles_on_a_circle_are_cut_where_none_are() -> None:
    """Values about 180 degrees stay together, and whole turns do not count."""
    rng = np.random.default_rng(4)
    drawn, simulated = (np.mod(np.pi + rng.normal(0.0, s, (5000, 1)) + np.pi, 2 * np.pi) - np.pi for s in (0.4, 0.1))
    tables = QuantileTables.fit(drawn, simulated, 1)
    assert abs(tables.start[0]) < 1.5  # opposite to the values
    found = tables.matched(column([np.pi - 0.4, -np.pi + 0.4, np.pi - 0.4 + 2 * np.pi]))[0].numpy()
    off = np.mod(found - np.pi + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(off, [-0.1, 0.1, -0.1], atol=0.01)
    assert abs(tables.deviation[0] - 0.1) < 0.005


def test_usual_values_stay_and_others_move_to_the_nearest() -> None:
    """Between the quantiles of 10 and 90 %."""
    values = np.random.default_rng(5).normal(size=(50_000, 1))
    found = QuantileTables.fit(values, values, 0).nearest_usual(column([-3.0, 0.5, 3.0]), 0.1)[0].numpy()
    np.testing.assert_allclose(found, [-1.2816, 0.5, 1.2816], atol=0.05)


def test_arrays_make_the_same_tables() -> None:
    """As a file keeps them."""
    rng = np.random.default_rng(6)
    tables = QuantileTables.fit(rng.normal(size=(50, 3)), rng.normal(size=(40, 3)), 1)
    again = QuantileTables.from_arrays(tables.to_arrays())
    x = torch.from_numpy(rng.normal(size=(3, 20)))
    assert torch.equal(again.matched(x), tables.matched(x))
