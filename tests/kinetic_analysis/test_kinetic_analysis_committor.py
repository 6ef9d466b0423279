"""The committor of every frame: a known chain, what is refused, and the file."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_kinetics import CHAIN, committor_of, made_kinetics, one_run, positions_of, walk

import trajvae
from trajvae.errors import OptionError, ReadError
from trajvae.figures import CommittorFigures
from trajvae.kinetic_analysis.committor import find_committor
from trajvae.kinetic_analysis.regions import Region
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results import Kinetics
from trajvae.typing import Int64

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")


def test_a_chain_of_three_states() -> None:
    """Every frame has its state's committor, 0 and 1 in the regions; outcomes and passages are those of the walk."""
    states = walk(CHAIN, 30_000, 1)
    found = committor_of(states)
    assert np.abs(found.value - np.array([0.0, 0.6, 1.0])[states]).max() < 0.03
    assert (found.inside == states - 1).all() and found.states.shape == (3,)
    middle = states == 1
    assert abs(found.outcome[found.outside].mean() - 0.6) < 0.03 and (found.outside <= middle).all()
    visits = states[states != 1]
    there, back = ((np.diff(visits) == step).sum() for step in (2, -2))
    assert found.passages == (there, back)
    assert found.figures["from"] == "z0=..-0.5" and found.figures.frames == found.outside.sum()
    assert abs(found.explained["latent"][0]) < 0.02  # one state: no more than the mean outcome
    assert len(found.calibration.frames) == 1 and found.calibration.outcome[0] == pytest.approx(0.6, abs=0.03)


def test_a_chain_of_three_states_from_its_positions() -> None:
    """By `trajvae.kinetics` alone: states by k-means, whatever the lag that it takes, beside other coordinates."""
    states = walk(CHAIN, 30_000, 1)
    points = positions_of(states)
    features = np.stack([points[:, 0], np.random.default_rng(5).normal(size=len(points))], axis=1)
    found = trajvae.kinetics(
        points, lags=[1, 3], states=10, between=("z0=..-0.5", "z0=0.5.."), features=features
    ).committor
    assert found is not None
    assert np.abs(found.value[states == 1] - 0.6).mean() < 0.03
    assert np.abs(np.median(found.value[states == 1]) - 0.6) < 0.03
    assert set(found.explained) == {"latent", "tica", "pca"}
    assert all(abs(value) < 4.0 * error + 0.01 for value, error in found.explained.values())


def test_coordinates_without_the_slow_direction_explain_less() -> None:
    """A walk along a line of nine sites; the latent space sees it, or noise alone, and the features see it."""
    transition = np.diag(np.full(8, 0.3), 1) + np.diag(np.full(8, 0.3), -1)
    states = walk(transition + np.diag(1.0 - transition.sum(axis=1)), 20_000, 3)
    random = np.random.default_rng(0)
    line = np.stack([states + 0.1 * random.normal(size=len(states)), random.normal(size=len(states))], axis=1)
    ends = (states == 0, states == 8)
    shares = {}
    for name, latent in (("line", line[:, :1]), ("noise", line[:, 1:])):
        found = trajvae.kinetics(latent, lags=2, states=12, between=ends, features=line)
        assert found.committor is not None
        shares[name] = found.committor.explained
    q = states / 8.0
    known = (states > 0) & (states < 8)
    expected = q[known].var() / (q[known].mean() * (1.0 - q[known].mean()))
    value, error = shares["line"]["latent"]
    assert abs(value - expected) < 4.0 * error
    value, error = shares["noise"]["latent"]
    assert value < 4.0 * error and shares["noise"]["tica"][0] > expected - 0.1


def test_transition_states() -> None:
    """The frames in neither region with a committor from 0.45 to 0.55."""
    even = np.array([[0.9, 0.1, 0.0], [0.15, 0.7, 0.15], [0.0, 0.1, 0.9]])
    states = walk(even, 30_000, 4)
    found = committor_of(states)
    assert np.array_equal(found.transition_states, np.flatnonzero(states == 1))
    assert not len(committor_of(walk(CHAIN, 30_000, 1)).transition_states)


@pytest.mark.parametrize("committor", [True, False])
def test_the_file_holds_it(tmp_path: Path, *, committor: bool) -> None:
    """All of it, under the names of the contract; a file without one loads too."""
    made = made_kinetics(committor=committor)
    made.save(tmp_path / "kinetics.h5")
    again = Kinetics.load(tmp_path / "kinetics.h5")
    texts = [json.dumps(k.figures.to_json(), sort_keys=True) for k in (again, made)]
    assert texts[0] == texts[1]
    if made.committor is None or again.committor is None:
        assert made.committor is again.committor is None and "committor" not in made.figures
        return
    for name in ("value", "step", "time", "inside", "outcome", "states"):
        np.testing.assert_array_equal(getattr(again.committor, name), getattr(made.committor, name))
    for name, array in vars(made.committor.calibration).items():
        np.testing.assert_array_equal(getattr(again.committor.calibration, name), array)
    assert again.committor.explained == made.committor.explained
    assert CommittorFigures.from_json(made.figures.to_json()["committor"]).source == "0"
    with h5py.File(tmp_path / "kinetics.h5") as file:
        assert {"value", "step", "time"} <= set(file["committor"])
        assert dict(file["committor"].attrs)["from"] == "0"
        assert file["transition_states/row"][:].tolist() == made.committor.transition_states.tolist()


def find(source: Int64, target: Int64, states: Int64, times: FrameTimes | None = None) -> object:
    """The committor between frames of some states."""
    a, b = Region("left", np.isin(states, source)), Region("right", np.isin(states, target))
    return find_committor(states, times or one_run(len(states)), Lag(1.0, True), a, b)


def test_what_is_refused() -> None:
    """With one line: regions that overlap, that trajectories do not link, or that leave no frame outside."""
    states = np.array([0, 1, 0, 1, 0, 1, 2, 1, 0])
    with pytest.raises(OptionError, match="'left' and --to 'right' must not overlap, and 5 frames"):
        find(np.array([0, 1]), np.array([1]), np.array([0, 1, 1, 1, 1, 1]))
    with pytest.raises(ReadError, match="no frame lies outside 'left' and 'right'"):
        find(np.array([0, 1]), np.array([2]), states)
    apart = FrameTimes(np.array([0, 0, 0, 1, 1, 1]), np.tile(np.arange(3), 2))
    with pytest.raises(ReadError, match="are disconnected: no trajectory enters 'right'"):
        find(np.array([0]), np.array([2]), np.array([0, 1, 0, 2, 2, 2]), apart)
    with pytest.raises(ReadError, match="no trajectory enters 'left'"):
        find(np.array([0]), np.array([2]), np.array([0, 0, 0, 2, 1, 2]), apart)


def test_frames_of_no_state_have_none() -> None:
    """But those in a region do."""
    states = np.array([0, -1, 0, 1, 2, 1, 0, 1, 2])
    a, b = Region("a", states == 0), Region("b", states == 2)
    found = find_committor(states, one_run(9), Lag(1.0, True), a, b)
    assert np.isnan(found.value).tolist() == (states == -1).tolist()
