"""Predicted and actual outcomes, on chains whose committors are known."""

from __future__ import annotations

import numpy as np
import pytest
from made_kinetics import one_run, walk
from test_kinetic_analysis_committor_equations import birth_death

from trajvae.kinetic_analysis.committor_equations import StoppedPairs
from trajvae.kinetic_analysis.first_hits import first_hits
from trajvae.kinetic_analysis.outcomes import BLOCKS, FOLDS, Outcomes
from trajvae.lagged_pairs import Lag
from trajvae.typing import Float64, Int64

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")


def outcomes_of(states: Int64, lag: int = 1) -> Outcomes:
    """Between the first and the last state."""
    a, b, times = states == 0, states == states.max(), one_run(len(states))
    hits = first_hits(a, b, times)
    return Outcomes.of(hits, StoppedPairs.of(times, Lag(float(lag), True), hits), a, b)


@pytest.fixture(scope="module")
def chain() -> tuple[Int64, Float64]:
    """A walk on seven states, and their committors."""
    transition = np.diag(np.full(6, 0.25), 1) + np.diag(np.full(6, 0.25), -1)
    transition += np.diag(1.0 - transition.sum(axis=1))
    return walk(transition, 40_000, 6), np.arange(7) / 6.0


@pytest.mark.parametrize("lag", [1, 4])
def test_what_a_true_committor_explains(chain: tuple[Int64, Float64], lag: int) -> None:
    """The variance of q over that of the outcomes, m (1 - m), within three errors of the simulation's own."""
    states, q = chain
    found = outcomes_of(states, lag)
    value, error = found.explained(found.predicted(states))
    known = q[states[found.block >= 0]]
    expected = known.var() / (known.mean() * (1.0 - known.mean()))
    assert 0.2 < expected < 0.9 and error < 0.06
    assert abs(value - expected) < 3.0 * error


def test_errors_are_those_of_repeats() -> None:
    """Over 40 runs, the spread is what the jackknife says, within the error of so few."""
    transition, _ = birth_death(5, 8)
    each = []
    for seed in range(40):
        states = walk(transition, 4000, seed)
        found = outcomes_of(states)
        each.append(found.explained(found.predicted(states)))
    values, errors = np.array(each).T
    assert 0.7 < errors.mean() / values.std(ddof=1) < 1.5


def test_states_that_say_nothing_explain_nothing(chain: tuple[Int64, Float64]) -> None:
    """One state for all, random states, or no state; never more than the truth does."""
    states, _ = chain
    found = outcomes_of(states)
    best = found.explained(found.predicted(states))[0]
    for other in (np.zeros_like(states), np.random.default_rng(0).permutation(states), np.full_like(states, -1)):
        value, error = found.explained(found.predicted(other))
        assert value < 4.0 * error + 1e-9 and value < best - 0.1


def test_predictions_know_nothing_of_their_own_block(chain: tuple[Int64, Float64]) -> None:
    """Outcomes that are exchanged in one fold change the predictions of the others alone."""
    states, _ = chain
    found = outcomes_of(states)
    own = (found.block >= 0) & (found.block % FOLDS == 2)
    first = found.predicted(states)
    turned = np.where(own & (states == 1), 5, states)  # the frames of one fold, in other states
    turned_first = Outcomes(found.hits, found.pairs, found.source, found.target, found.block).predicted(turned)
    same = first[own] == np.where(states == 1, np.nan, turned_first)[own]
    assert same[states[own] != 1].all()
    rest = (found.block >= 0) & ~own
    assert not np.array_equal(first[rest], turned_first[rest])


def test_blocks_are_of_whole_excursions(chain: tuple[Int64, Float64]) -> None:
    """With about as many frames each."""
    found = outcomes_of(chain[0])
    outside = found.block >= 0
    pairs = np.unique(np.stack([found.hits.excursion[outside], found.block[outside]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]
    size = np.bincount(found.block[outside], minlength=BLOCKS)
    assert size.min() > 0.5 * size.mean()


def test_calibration(chain: tuple[Int64, Float64]) -> None:
    """Shares of outcomes are the committors, within four errors; all frames are counted once."""
    states, _ = chain
    found = outcomes_of(states)
    made = found.calibration(found.predicted(states))
    assert (np.abs(made.committor - made.outcome) < 4.0 * made.error).all() and len(made.frames) >= 3
    assert made.frames.sum() == (found.block >= 0).sum() and (made.excursions <= made.frames).all()
    wrong = found.calibration(np.where(found.block >= 0, 0.95, np.nan))
    assert wrong.committor == pytest.approx([0.95]) and wrong.outcome[0] < 0.95 - 5.0 * wrong.error[0]


def test_outcomes_that_are_all_alike_have_no_share() -> None:
    """There is no variance to explain."""
    found = outcomes_of(np.array([0, 1, 0, 1, 0, 1, 0, 2]))
    value, error = found.explained(np.where(found.block >= 0, 0.1, np.nan))
    assert np.isnan(value) and (np.isnan(error) or error >= 0.0)
