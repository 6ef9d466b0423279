"""`trajvae.kinetics`: what its parts are of, beside features, with weights, and at which lag."""

from __future__ import annotations

import numpy as np
import pytest

import trajvae
from trajvae.errors import OptionError, ReadError
from trajvae.free_energies.frames import LatentFrames
from trajvae.kinetic_analysis.estimate import principal
from trajvae.kinetic_analysis.sources import source_of
from trajvae.lagged_pairs import Lag

from markov_chains import TIME_SCALES, chain, latent_points, places

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")
N = 6000


def two_runs(seed: int) -> LatentFrames:
    """Two trajectories in the plane, given in the wrong order, every 2 ps."""
    states = np.concatenate([chain(N // 2, seed), chain(N // 2, seed + 1)])
    file, frame = np.repeat([1, 0], N // 2), np.tile(np.arange(N // 2), 2)
    return LatentFrames(places(states, seed), "e2", file, frame, ["a.xtc", "b.xtc"], time=2.0 * frame)


def test_a_latent_space_stands_beside_tica_and_pca() -> None:
    """Of features in which what is large is fast: PCA misses the slow processes, and TICA has them."""
    slow = places(chain(N, 0), 0)
    fast = 20.0 * np.random.default_rng(0).normal(size=(N, 3))
    found = trajvae.kinetics(slow, lags=["2", "5 frames"], features=np.concatenate([slow, fast], axis=1))
    vamp2 = found.figures.vamp2
    assert list(vamp2) == ["latent", "tica", "pca"] and vamp2["pca"] < 1.05
    assert vamp2["tica"] == pytest.approx(vamp2["latent"], abs=0.02) and vamp2["latent"] > 1.8
    assert found.processes == 2 and found.lag == 2.0 and found.lag_unit == "frame" and found.files == []
    assert found.timescales["markov"].value.shape == (2, 5) and found.timescales["tica"].value.shape == (2, 2)
    np.testing.assert_array_less(
        np.abs(found.timescales["markov"].value[:, :2] - TIME_SCALES), 3.0 * found.timescales["markov"].error[:, :2]
    )


def test_frames_stand_in_the_order_of_their_trajectories() -> None:
    """With their times; features go with their frames."""
    frames = two_runs(1)
    features = np.concatenate([frames.latent, np.ones((N, 1))], axis=1)
    source = source_of(frames, features=features)
    assert (np.diff(source.frames.file) >= 0).all() and source.times.interval() == 2.0
    assert np.array_equal(source.features[:, :2], source.frames.latent) and source.dim == 2
    found = trajvae.kinetics(frames, lags="4ps", states=8)
    assert found.lag == 4.0 and found.lag_unit == "ps" and found.files == ["a.xtc", "b.xtc"]


@pytest.mark.parametrize(("geometry", "dim", "columns"), [("s1", 1, 2), ("s2", 2, 3), ("h2", 2, 2), ("s1,e1", 2, 3)])
def test_coordinates_have_no_seam(geometry: str, dim: int, columns: int) -> None:
    """Points near each other stay so; scores count as many functions as the space has dimensions."""
    points = latent_points(chain(N, 2), geometry, 2)
    source = source_of(points, geometry)
    assert source.coordinates.shape == (N, columns) and source.dim == dim
    near = np.linalg.norm(points[:, None] - points[:100], axis=-1) < 0.02
    apart = np.linalg.norm(source.coordinates[:, None] - source.coordinates[:100], axis=-1)
    assert near.sum() > 200 and apart[near].max() < 0.1


def test_weights_are_those_of_trajectories() -> None:
    """One for each changes what is found; equal ones are none; those that change within one are refused."""
    frames = two_runs(3)
    own = np.where(frames.file == 0, 3.0, 1.0)
    weighted = source_of(frames, weights=own)
    assert weighted.weights is not None and np.allclose(weighted.weights[weighted.times.file == 0], 1.5)
    assert source_of(frames, weights=np.full(N, 7.0)).weights is None
    few = {"lags": 2, "states": 8}
    plain, found = trajvae.kinetics(frames, **few), trajvae.kinetics(frames, weights=own, **few)
    assert plain.figures.vamp2 != found.figures.vamp2
    assert not np.allclose(plain.markov.transition, found.markov.transition)
    changing = own.copy()
    changing[5] = 2.0
    with pytest.raises(OptionError, match=r"one weight a trajectory, and the weights of frames of 'b.xtc' differ"):
        source_of(frames, weights=changing)


def test_what_does_not_fit_is_refused() -> None:
    """Features of other frames, no lag, points that are none."""
    points = np.zeros((N, 2))
    with pytest.raises(OptionError, match=r"features are an array \(6000, F\), got one of shape \(3, 2\)"):
        _ = source_of(points, features=np.zeros((3, 2))).features
    with pytest.raises(OptionError, match="a lag time at least"):
        trajvae.kinetics(points, lags=[])
    with pytest.raises(ReadError, match="kinetics needs at least 20 frames, got 10"):
        trajvae.kinetics(points[:10], lags=1)
    with pytest.raises(ReadError, match="no two of 1 states"):
        trajvae.kinetics(points, lags=Lag.parse(1))


def test_principal_components_are_ordered_by_size() -> None:
    """Of coordinates that are turned, the axes again."""
    axes = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    x = np.random.default_rng(5).normal(size=(500, 3)) * [5.0, 1.0, 0.1]
    found = principal(x @ axes.T + 7.0, 2)
    off = x - x.mean(axis=0)
    assert (
        abs(np.corrcoef(found[:, 0], off[:, 0])[0, 1]) > 0.999 and abs(np.corrcoef(found[:, 1], off[:, 1])[0, 1]) > 0.99
    )
