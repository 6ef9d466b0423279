"""VAMP-2 scores: deeptime's by hand, on blocks left out, of pairs that stay within their block."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from trajvae.errors import MissingPackageError, OptionError, ReadError
from trajvae.free_energies.blocks import Blocks
from trajvae.kinetic_analysis.blocks import BlockedPairs, check_lag, make_blocks
from trajvae.kinetic_analysis.deeptime_library import LaggedPairs, Tica, check_deeptime
from trajvae.kinetic_analysis.moments import BlockMoments
from trajvae.kinetic_analysis.scores import FOLDS, score
from trajvae.lagged_pairs import FrameTimes, Lag

from markov_chains import EIGENVALUES, PLACES, chain, frame_times, places

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")
LAG = Lag.parse("3")


def by_hand(x: np.ndarray, y: np.ndarray, lag: int) -> object:
    """Deeptime's covariances of pairs, as its user calls them."""
    from deeptime.covariance import Covariance

    estimator = Covariance(
        lagtime=lag, compute_c0t=True, remove_data_mean=True, reversible=True, bessels_correction=False
    )
    return estimator.partial_fit((x, y)).fetch_model()


def test_a_score_is_the_mean_of_deeptime_s_over_folds() -> None:
    """Blocks are dealt out in turn, functions are found on four folds of five, and scored on the fifth."""
    from deeptime.decomposition import TICA

    x, times = places(chain(4000, 0), 0), frame_times(2500, 1500)
    x = np.concatenate([x, np.random.default_rng(0).normal(size=(4000, 3))], axis=1)
    blocks = make_blocks(x, times, 3)
    found = score("tica", x, times, LAG, dim=2, blocks=blocks)
    number = blocks.of_frames(4000)
    pairs = [(t, t + 3) for t in range(3997) if number[t] == number[t + 3] and times.file[t] == times.file[t + 3]]
    first, second = np.array(pairs).T
    expected = []
    for fold in range(FOLDS):
        held = number[first] % FOLDS == fold
        model = TICA(lagtime=3, scaling=None).fit(by_hand(x[first[~held]], x[second[~held]], 3)).fetch_model()
        test = TICA(lagtime=3, scaling=None).fit(by_hand(x[first[held]], x[second[held]], 3)).fetch_model()
        expected.append(model.score(2, test_model=test, dim=2))
    assert found.vamp2 == pytest.approx(np.mean(expected), abs=1e-8)
    assert found.name == "tica" and 0.0 < found.error < 0.1


def test_a_score_does_not_depend_on_units_or_axes() -> None:
    """Slow functions are linear: turned, shifted and scaled coordinates have the same."""
    x, times = places(chain(2000, 1), 1), frame_times(2000)
    moved = 1e-4 * x @ np.array([[0.6, 0.8], [-8.0, 6.0]]) + 300.0
    blocks = make_blocks(x, times, 3)
    same = [score("latent", z, times, LAG, blocks=blocks).vamp2 for z in (x, moved)]
    assert same[0] == pytest.approx(same[1], abs=1e-6)


def test_a_score_of_the_states_themselves_is_that_of_the_chain() -> None:
    """1 and the squares of both eigenvalues after the lag, within four standard errors; of noise it is 1."""
    n, times = 20_000, frame_times(20_000)
    found = score("states", PLACES[chain(n, 2)], times, LAG)
    assert abs(found.vamp2 - 1.0 - (EIGENVALUES ** (2 * 3)).sum()) < 4.0 * found.error
    noise = score("noise", np.random.default_rng(2).normal(size=(n, 2)), times, LAG)
    assert noise.vamp2 == pytest.approx(1.0, abs=4.0 * noise.error + 1e-3)
    assert score("still", np.zeros((n, 2)), times, LAG).vamp2 == 1.0


def test_errors_are_the_spread_of_scores_of_other_runs() -> None:
    """Within what 20 runs tell: a standard deviation of z from 0.6 to 1.6."""
    exact = 1.0 + (EIGENVALUES ** (2 * 3)).sum()
    found = [score("states", PLACES[chain(3000, k)], frame_times(3000), LAG) for k in range(100, 120)]
    z = [(s.vamp2 - np.mean([s.vamp2 for s in found])) / s.error for s in found]
    assert 0.6 < np.std(z, ddof=1) < 1.6
    assert np.mean([s.vamp2 for s in found]) == pytest.approx(exact, abs=0.05)


def test_the_errors_moments_give_deeptime_s_score() -> None:
    """Sums over blocks with weights of one are covariances of all pairs."""
    x = places(chain(1000, 3), 3)
    pairs, block = LaggedPairs(x[:-3], x[3:]), np.arange(997) // 100
    moments = BlockMoments.of(pairs, block, 10)
    slow = Tica.fit(pairs)
    assert moments.vamp2(np.ones((1, 10)))[0] == pytest.approx(slow.vamp2(pairs), abs=1e-8)
    np.testing.assert_allclose(moments.eigenvalues(np.ones((1, 10)))[0], slow.eigenvalues, atol=1e-10)
    twice = BlockMoments.of(LaggedPairs(*(np.concatenate([p, p[:200]]) for p in pairs[:2])),
                            np.concatenate([block, block[:200]]), 10)  # fmt: skip
    weights = np.where(np.arange(10) < 2, 2.0, 1.0)[None]
    np.testing.assert_allclose(moments.vamp2(weights), twice.vamp2(np.ones((1, 10))), atol=1e-12)


def test_weights_count_pairs() -> None:
    """A pair of weight 2 is the pair twice, and one of weight 0 none."""
    x, n = places(chain(1500, 4), 4), 1500
    weights = np.where(np.arange(n) < 500, 2.0, np.where(np.arange(n) < 1000, 1.0, 0.0))
    first = np.arange(n - 3)
    weighted = Tica.fit(LaggedPairs(x[first], x[first + 3], weights[first]))
    rows = np.repeat(first, weights[first].astype(int))
    repeated = Tica.fit(LaggedPairs(x[rows], x[rows + 3]))
    np.testing.assert_allclose(weighted.eigenvalues, repeated.eigenvalues, atol=1e-10)


def test_pairs_stay_within_trajectories_gaps_and_blocks() -> None:
    """Those that reach out of a block are marked; none reaches over a gap or into another file."""
    frame = np.concatenate([np.arange(100), np.arange(150, 250), np.arange(100)])
    file = np.repeat([0, 0, 1], 100)
    times = FrameTimes(file, frame, None, ["a", "b"])
    starts = np.arange(0, 300, 50)
    pairs = BlockedPairs.of(times, LAG, Blocks(starts, 1.0, False))
    assert (frame[pairs.second] - frame[pairs.first] == 3).all() and (file[pairs.first] == file[pairs.second]).all()
    assert (pairs.inside == (pairs.first // 50 == pairs.second // 50)).all() and 0 < (~pairs.inside).sum() == 9


@pytest.mark.parametrize(
    ("times", "lag", "kind", "said"),
    [
        (frame_times(200), "20", OptionError, r"a lag of 20 frames is too long .* up to 9 frames \(18ps\) would do"),
        (frame_times(200), "900ps", OptionError, r"a lag of 900 ps is too long .* up to 9 frames \(18ps\) would do"),
        (frame_times(200, interval=None), "10ps", ReadError, "needs frames with times, and the trajectories have none"),
        (frame_times(200), "3ps", OptionError, "must be a multiple of the time between frames"),
        (frame_times(30), "1", ReadError, "at least 50 frames, got 30"),
        (frame_times(*[1] * 60), "1", ReadError, "many frames, and the longest has 1"),
        (frame_times(*[2] * 15, *[1] * 30), "1", ReadError, "pairs of frames that follow each other"),
    ],
)
def test_what_cannot_be_measured_is_one_line(times: FrameTimes, lag: str, kind: type, said: str) -> None:
    """It says how long a lag would do."""
    with pytest.raises(kind, match=said) as error:
        check_lag(times, Lag.parse(lag))
    assert "\n" not in str(error.value)


def test_trajectories_of_other_strides_are_refused() -> None:
    """A lag in frames would be another time in each."""
    one, two = frame_times(100, interval=2.0), frame_times(100, interval=5.0)
    times = FrameTimes(
        np.repeat([0, 1], 100), np.concatenate([one.frame, two.frame]), np.concatenate([one.time, two.time]), ["a", "b"]
    )
    for lag in ("2", "10ps"):
        with pytest.raises(ReadError, match=r"2 ps in 'a' and 5 ps in 'b'"):
            check_lag(times, Lag.parse(lag))


def test_without_deeptime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, before any work."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'trajvae\[kinetics\]'"):
        check_deeptime()
    monkeypatch.setitem(sys.modules, "deeptime.covariance", None)  # what Python leaves where an import has failed
    with pytest.raises(MissingPackageError, match=r"pip install 'trajvae\[kinetics\]'"):
        Tica.fit(LaggedPairs(places(chain(60, 0), 0), places(chain(60, 0), 0)))
