"""Committors of Markov states: closed forms, a known chain at several lag times, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from made_kinetics import CENTERS, CHAIN, one_run, positions_of, walk

from trajvae.errors import OptionError
from trajvae.kinetic_analysis.committor_equations import (
    StoppedPairs,
    committor_of_pairs,
    committor_of_states,
    leading_to,
)
from trajvae.kinetic_analysis.first_hits import first_hits
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.typing import Float64

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")


def birth_death(n: int, seed: int) -> tuple[Float64, Float64]:
    """A chain that steps to neighbours alone, and its committor from the first state to the last.

    Its harmonic functions have steps h, with h_i (up_i) = h_(i-1) (down_i): sums of products of ratios down / up.
    """
    up, down = np.random.default_rng(seed).uniform(0.05, 0.45, (2, n))
    chain = np.diag(up[:-1], 1) + np.diag(down[1:], -1)
    chain += np.diag(1.0 - chain.sum(axis=1))
    steps = np.cumprod(np.concatenate([[1.0], down[1:-1] / up[1:-1]]))
    return chain, np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])


@pytest.mark.parametrize("n", [3, 12, 60])
def test_birth_and_death(n: int) -> None:
    """The closed form, to 1e-10."""
    chain, expected = birth_death(n, n)
    np.testing.assert_allclose(committor_of_states(chain, np.array([0]), np.array([n - 1])), expected, atol=1e-10)


def test_it_is_harmonic() -> None:
    """Of a chain that may step anywhere: q = T q outside the two sets, whose order exchanges q and 1 - q."""
    chain = np.random.default_rng(0).dirichlet(np.ones(20), 20)
    a, b = np.array([2, 7]), np.array([11, 3, 5])
    q = committor_of_states(chain, a, b)
    free = np.setdiff1d(np.arange(20), np.concatenate([a, b]))
    np.testing.assert_allclose((chain @ q)[free], q[free], atol=1e-12)
    assert (q[a] == 0.0).all() and (q[b] == 1.0).all()
    np.testing.assert_allclose(committor_of_states(chain, b, a), 1.0 - q, atol=1e-12)


@pytest.mark.parametrize(
    ("chain", "source", "target", "message"),
    [
        (CHAIN, [0], [0, 2], "must not overlap"),
        (CHAIN, [], [2], "the source must have states"),
        (CHAIN, [0], [3], "from 0 to 2"),
        (CHAIN[:2], [0], [1], "square"),
        (CHAIN * 0.9, [0], [2], "sum 1"),
        (np.eye(4), [0], [2], "2 of 4 lead to neither .the first is state 1."),
    ],
)
def test_what_is_refused(chain: Float64, source: list[int], target: list[int], message: str) -> None:
    """With one line."""
    with pytest.raises(OptionError, match=message):
        committor_of_states(chain, np.array(source, dtype=np.int64), np.array(target, dtype=np.int64))


def test_states_that_lead_somewhere() -> None:
    """By any number of steps, in the direction of the transitions."""
    steps = np.zeros((5, 5))
    steps[0, 1] = steps[1, 2] = steps[3, 4] = steps[2, 3] = 1.0
    assert leading_to(steps, np.array([2])).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("lag", [1, 2, 5, 20])
def test_a_chain_of_three_states_at_any_lag(lag: int) -> None:
    """Drawn as positions; a lag that is longer than visits changes nothing, as trajectories stop at the first."""
    states = walk(CHAIN, 30_000, 1)
    positions = positions_of(states)
    found = np.linalg.norm(positions[:, None] - CENTERS, axis=-1).argmin(axis=1)
    a, b, times = positions[:, 0] < -0.5, positions[:, 0] > 0.5, one_run(len(states))
    hits = first_hits(a, b, times)
    q = committor_of_pairs(found, StoppedPairs.of(times, Lag(float(lag), True), hits), a, b)
    assert abs(q[1] - 0.6) < 0.03 and np.isnan(q[[0, 2]]).all()


def test_a_region_may_be_a_part_of_a_state() -> None:
    """The state's value is that of its other frames."""
    chain, expected = birth_death(6, 3)
    states = walk(chain, 40_000, 4)
    a, b, times = states == 0, states == 5, one_run(len(states))
    hits, lag = first_hits(a, b, times), Lag(1.0, True)
    pairs = StoppedPairs.of(times, lag, hits)
    apart = committor_of_pairs(states, pairs, a, b)
    mixed = committor_of_pairs(np.clip(states, 1, 4), pairs, a, b)  # the ends are parts of their neighbours
    np.testing.assert_allclose(mixed[1:], apart[1:5], atol=1e-12)
    np.testing.assert_allclose(mixed[1:], expected[1:5], atol=0.03)


def test_a_state_that_leads_nowhere_has_none() -> None:
    """Nor has one without pairs; the others are as if it were not there."""
    states = np.array([1, 0, 1, 2, 1, 0, 1, 2, 1, 3, 3, 3, 3])
    a, b, times = states == 0, states == 2, one_run(len(states))
    hits = first_hits(a, b, times)
    q = committor_of_pairs(states, StoppedPairs.of(times, Lag(1.0, True), hits), a, b)
    assert np.isnan(q[[0, 2, 3]]).all() and q[1] == pytest.approx(0.5)
    assert not np.isfinite(hits.outcome[-5:]).any()


def test_pairs_end_at_the_first_visit() -> None:
    """None begins in a region, and none begins where its run is shorter than the lag."""
    states = np.array([1, 1, 0, 1, 1, 1, 1, 2, 1, 1])
    times = FrameTimes(np.repeat([0, 1], 5), np.tile(np.arange(5), 2))
    pairs = StoppedPairs.of(times, Lag(3.0, True), first_hits(states == 0, states == 2, times))
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 2), (1, 2), (5, 7), (6, 7)]
    kept = pairs.of_frames(np.arange(10) >= 5)
    assert kept.first.tolist() == [5, 6]
