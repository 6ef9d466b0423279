"""Which processes are more than noise, and Chapman and Kolmogorov's test."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.kinetic_analysis.blocks import BlockedPairs, make_blocks
from trajvae.kinetic_analysis.markov import Transitions
from trajvae.kinetic_analysis.states import States, find_states
from trajvae.kinetic_analysis.validation import chapman_kolmogorov, slow_processes
from trajvae.lagged_pairs import Lag
from trajvae.results.kinetics_parts import ChapmanKolmogorov

from markov_chains import EIGENVALUES, PLACES, TRANSITION, chain, frame_times, places

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")
LAG = Lag.parse("2")


def transitions_of(x: np.ndarray, states: States) -> Transitions:
    """Counts of one trajectory."""
    times = frame_times(len(x))
    return Transitions(states, BlockedPairs.of(times, LAG, make_blocks(x, times, 2)))


def test_slow_processes_are_counted() -> None:
    """Two of the chain, whatever the number of states; none of frames that have nothing to do with each other."""
    x = places(chain(4000, 0), 0)
    found = [slow_processes(transitions_of(x, find_states(x, "e2", n, 0)), 0) for n in (4, 30)]
    assert [f.number for f in found] == [2, 2] and 0.0 < found[0].noise < found[1].noise < 0.3
    noise = np.random.default_rng(1).normal(size=(1000, 2))
    alone = slow_processes(transitions_of(noise, find_states(noise, "e2", 30, 0)), 0)
    assert alone.number == 0 and alone.noise > 0.2


def test_noise_grows_with_the_correlation_of_frames() -> None:
    """Few independent frames look more related than many."""
    slow = np.repeat(np.random.default_rng(2).normal(size=(200, 1)), 10, axis=0)
    fast = np.random.default_rng(2).normal(size=(2000, 1))
    levels = [slow_processes(transitions_of(x, find_states(x, "e1", 8, 0)), 0).noise for x in (slow, fast)]
    assert levels[0] > 2.0 * levels[1]


def test_a_chain_passes_the_test() -> None:
    """Sets are its states, predictions are powers of its matrix, and what is counted agrees."""
    n = 20_000
    states = States(PLACES, chain(n, 3))
    found = validated(states, n)
    order = found.sets
    for row, power in enumerate((4, 6, 8, 10)):
        exact = np.diag(np.linalg.matrix_power(TRANSITION, power))
        np.testing.assert_allclose(found.predicted[row][order], exact, atol=0.03)
    assert found.lag.tolist() == [8.0, 12.0, 16.0, 20.0] and found.deviation < 4.0
    assert found.population.sum() == pytest.approx(1.0)


def test_states_that_mix_up_places_fail_it() -> None:
    """A set that a molecule stays in, and that is left and entered at random beside, has a memory."""
    n = 20_000
    hidden, coin = chain(n, 4), np.random.default_rng(4).random(n) < 0.25
    seen = np.where(coin, 1 - (hidden > 0), hidden > 0)
    assert validated(States(PLACES[:2], seen.astype(np.int64)), n).deviation > 8.0


def validated(states: States, n: int) -> ChapmanKolmogorov:
    """The test of one trajectory at two to five lags."""
    times = frame_times(n)
    blocks = make_blocks(states.centers[states.states], times, 10)
    transitions = Transitions(states, BlockedPairs.of(times, LAG, blocks))
    lags = [Lag(float(2 * k), True) for k in (2, 3, 4, 5)]
    return chapman_kolmogorov(states, transitions, times, lags, blocks, n_sets=len(states.centers))


def test_the_exact_eigenvalues_are_those_of_the_chain() -> None:
    """What the other tests rest on: detailed balance, and the roots of the characteristic polynomial."""
    np.testing.assert_allclose(EIGENVALUES, (1.87 + np.array([1.0, -1.0]) * (1.87**2 - 4 * 0.8734) ** 0.5) / 2.0)
