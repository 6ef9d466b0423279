"""Time scales and Markov models: deeptime's by hand, and those of a chain that is known."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.errors import OptionError, ReadError
from trajvae.kinetic_analysis.blocks import BlockedPairs, make_blocks
from trajvae.kinetic_analysis.markov import Transitions, estimate_markov_model
from trajvae.kinetic_analysis.states import States, find_states
from trajvae.kinetic_analysis.timescales import Eigenvalues, markov_timescales, tica_timescales, time_scales_of
from trajvae.lagged_pairs import FrameTimes, Lag

from markov_chains import PLACES, TIME_SCALES, TRANSITION, chain, frame_times, latent_points, places

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")
LAGS = [Lag.parse("2"), Lag.parse("5")]


def test_tica_is_deeptime_s_by_hand() -> None:
    """Time scales of trajectories that are not joined, in ps."""
    from deeptime.decomposition import TICA

    x, times = places(chain(3000, 0), 0), frame_times(1800, 1200)
    found = tica_timescales(x, times, LAGS)
    parts = [x[:1800], x[1800:]]
    for row, lag in enumerate((2, 5)):
        estimator = TICA.covariance_estimator(lagtime=lag).fit(parts)
        by_hand = TICA(lagtime=lag).fit(estimator.fetch_model()).fetch_model()
        np.testing.assert_allclose(found.value[row], 2.0 * by_hand.timescales(), rtol=1e-8)
    assert found.lag.tolist() == [4.0, 10.0]


def test_a_markov_model_is_deeptime_s_by_hand() -> None:
    """Counts of a sliding window over trajectories, the largest connected set, and the reversible maximum."""
    from deeptime.markov import TransitionCountEstimator
    from deeptime.markov.msm import MaximumLikelihoodMSM

    x, times = places(chain(3000, 1), 1), frame_times(1800, 1200)
    model = estimate_markov_model(x, "e2", times, LAGS[0], n_states=8, seed=1)
    assert (model.states >= 0).all()
    counts = TransitionCountEstimator(2, "sliding").fit([model.states[:1800], model.states[1800:]]).fetch_model()
    by_hand = MaximumLikelihoodMSM(reversible=True).fit(counts.submodel_largest()).fetch_model()
    np.testing.assert_allclose(model.transition, by_hand.transition_matrix, atol=1e-8)
    np.testing.assert_allclose(model.stationary, by_hand.stationary_distribution, atol=1e-8)
    blocks = make_blocks(x, times, 2)
    states = States(model.centers, model.states)
    scales = markov_timescales(states, times, LAGS[:1], n=2, blocks=blocks)
    np.testing.assert_allclose(scales.value[0], 2.0 * by_hand.timescales(2), rtol=1e-8)
    assert model.lag == 4.0 and model.lag_frames == 2 and model.n_states == 8


def test_time_scales_of_the_chain_are_found_with_errors_that_hold() -> None:
    """Of sixteen runs: means within what their number tells, and z-scores of deviation one within it."""
    z = []
    for k in range(16):
        x, times = places(chain(3000, 200 + k), k), frame_times(3000)
        found = markov_timescales(find_states(x, "e2", 8, k), times, [LAGS[0]], n=2)
        z.append((found.value[0] - 2.0 * TIME_SCALES) / found.error[0])
    assert (np.abs(np.mean(z, axis=0)) < 4.0 / 16**0.5).all()
    assert (np.std(z, axis=0) > 0.55).all() and (np.std(z, axis=0) < 1.65).all()


def test_the_model_of_states_is_the_chain() -> None:
    """Its transition matrix to the power of the lag, of points too near to their places to be mixed up."""
    n = 40_000
    x = places(chain(n, 5), 5, spread=0.01)
    model = estimate_markov_model(x, "e2", frame_times(n), LAGS[0], n_states=3)
    order = [int(np.linalg.norm(model.centers - place, axis=1).argmin()) for place in PLACES]
    expected = TRANSITION @ TRANSITION
    np.testing.assert_allclose(model.transition[np.ix_(order, order)], expected, atol=0.012)
    np.testing.assert_allclose(model.stationary @ model.transition, model.stationary, atol=1e-10)


@pytest.mark.parametrize("geometry", ["s1", "s2", "h2", "s1,e1"])
def test_states_of_curved_spaces_are_told_apart_by_their_distances(geometry: str) -> None:
    """Three places in each space, on both sides of a circle's seam too: the same time scales as in the plane."""
    states = chain(4000, 6)
    latent = latent_points(states, geometry, 6)
    found = find_states(latent, geometry, 12, 0)
    assert len(found.centers) == 12 and all((found.states == k).any() for k in range(12))
    times = frame_times(4000)
    curved = markov_timescales(found, times, [LAGS[0]], n=2).value[0]
    exact = States(PLACES, states)
    np.testing.assert_allclose(curved, markov_timescales(exact, times, [LAGS[0]], n=2).value[0], rtol=0.02)


def test_what_is_not_resolved_is_not_a_number() -> None:
    """Autocorrelations of 0 or less, and of 1."""
    value, error = time_scales_of(Eigenvalues(np.array([1.0, np.exp(-0.5), 0.0, np.nan]), np.full(4, 0.1)), 3.0)
    assert np.isnan(value[[0, 2, 3]]).all() and np.isnan(error[[0, 2, 3]]).all()
    assert value[1] == pytest.approx(6.0) and error[1] == pytest.approx(0.1 * 3.0 / (np.exp(-0.5) * 0.25))


def test_frames_outside_the_connected_set_have_no_state() -> None:
    """A state that is left for good is none of the model's."""
    x = np.concatenate([np.full((30, 2), 9.0), places(chain(2000, 7), 7)])
    model = estimate_markov_model(x, "e2", frame_times(2030), LAGS[0], n_states=10)
    assert (model.states[:30] == -1).all() and model.states[30:].max() == model.n_states - 1
    with pytest.raises(ReadError, match="no two of 2 states are connected both ways"):
        once = np.repeat([[0.0], [1.0]], 100, axis=0) + 0.0
        estimate_markov_model(once, "e1", frame_times(200), LAGS[0], n_states=2)


def test_weights_count_transitions() -> None:
    """Trajectories of weight 2 are those trajectories twice."""
    x = places(chain(2000, 8), 8)
    weights = np.repeat([2.0, 1.0], 1000)
    states = find_states(x, "e2", 6, 0)
    times = frame_times(1000, 1000)
    twice = FrameTimes(np.repeat([0, 1, 2], 1000), np.tile(np.arange(1000), 3), None, ["a", "b", "c"])
    repeated = States(states.centers, np.concatenate([states.states[:1000], states.states]))
    blocks = make_blocks(x, times, 2)
    weighted = Transitions(states, BlockedPairs.of(times, LAGS[0], blocks), weights)
    again = Transitions(repeated, BlockedPairs.of(twice, LAGS[0], make_blocks(PLACES[repeated.states % 3], twice, 2)))
    np.testing.assert_array_equal(weighted.counts(), again.counts())


@pytest.mark.parametrize("n", [1, 201])
def test_a_number_of_states_out_of_range_is_refused(n: int) -> None:
    """At most one for ten frames."""
    with pytest.raises(OptionError, match="from 2 to 200"):
        estimate_markov_model(np.zeros((2000, 1)), "e1", frame_times(2000), LAGS[0], n_states=n)
