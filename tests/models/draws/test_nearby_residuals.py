"""Residuals of near training frames: their mean and covariance, and when draws are made with them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.errors import ModelError
from trajvae.models.draws.draw_judge import DrawJudge
from trajvae.models.draws.nearby_residuals import NUMBERS, NearbyResiduals
from trajvae.molecule.validity import Validity
from trajvae.topology import Topology

from helpers import edited

SEGMENTS, ATOMS = 8, 9


def _chain(random: np.random.Generator, n: int) -> np.ndarray:
    """Return frames of 9 beads with bonds of 1.5 Å: half are a stiff zigzag that hardly moves, half random walks."""
    zigzag = np.stack([np.arange(ATOMS) * 1.2, 0.9 * (np.arange(ATOMS) % 2), np.zeros(ATOMS)], axis=1)
    folded = zigzag + 0.03 * random.normal(size=(n // 2, ATOMS, 3))
    steps = random.normal([0.6, 0.0, 0.0], 1.0, size=(n - n // 2, SEGMENTS, 3))
    steps *= 1.5 / np.linalg.norm(steps, axis=-1, keepdims=True)
    walks = np.concatenate([np.zeros((len(steps), 1, 3)), np.cumsum(steps, axis=1)], axis=1)
    walks += 0.02 * random.normal(size=walks.shape)
    return np.asarray(random.permutation(np.concatenate([folded, walks])), dtype=np.float32)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return _chain(np.random.default_rng(0), 400)


@pytest.fixture(scope="module")
def model(frames: np.ndarray) -> Model:
    """A model of a chain that is either stiff or loose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Model.train(frames, TrainConfig(epochs=60, hidden=(32,), likelihood="springs"))


def test_draws_have_mean_and_covariance_of_near_residuals(model: Model) -> None:
    """Weights of the nearest fall with distance and sum to one; 20 000 draws have their moments."""
    pipeline = model.pipeline
    nearby = NearbyResiduals.of(pipeline, model.record.sample)
    mean = nearby.means[:1]
    weight, rows = nearby._near(mean)
    assert weight.shape == (1, NUMBERS[0]) and float(weight.sum()) == pytest.approx(1.0)
    distance = (nearby.means[rows[0]] - mean).norm(dim=1)
    assert (distance.diff() >= 0.0).all() and (weight[0].diff() <= 0.0).all() and float(distance[0]) == 0.0
    targets = nearby._draw(mean.expand(20_000, -1), torch.Generator().manual_seed(1))
    found = nearby.residuals[rows[0]].numpy()
    w = weight[0].numpy()
    middle, covariance = np.average(found, axis=0, weights=w), np.cov(found.T, aweights=w)
    off = (targets - mean).numpy() - middle
    error = np.sqrt(np.diag(covariance) / len(off))
    assert (np.abs(off.mean(axis=0)) < 5.0 * error + 1e-9).all()
    np.testing.assert_allclose(np.cov(off.T), covariance, atol=0.06 * covariance.diagonal().max())


def test_a_mixture_of_a_stiff_and_a_loose_state_is_drawn_with_them(model: Model, frames: np.ndarray) -> None:
    """Of p(x|z) with one covariance no draw is as stiff as half of the frames are; of near residuals half are again."""
    assert model.record.local_geometry is not None
    assert model.record.local_geometry.neighbours in NUMBERS
    first, last = frames[:, 0], frames[:, -1]
    simulated = np.linalg.norm(last - first, axis=1)
    stiff = np.median(simulated[simulated > 9.4])
    shares = []
    for geometry in ("simulated", "none"):
        x = model.generate(600, seed=2, redraws=0, sampler="aggregate", geometry=geometry).positions
        shares.append(float((np.abs(np.linalg.norm(x[:, -1] - x[:, 0], axis=1) - stiff) < 0.15).mean()))
    own = float((np.abs(simulated - stiff) < 0.15).mean())
    assert shares[0] == pytest.approx(own, abs=0.15) and abs(shares[1] - own) > abs(shares[0] - own)


def test_the_choice_is_kept_in_the_file(model: Model, tmp_path: Path) -> None:
    """A model that is read draws the same; one of an earlier version, without the number, draws from p(x|z)."""
    path = tmp_path / "model.h5"
    model.save(path)
    again = Model.load(path)
    np.testing.assert_array_equal(again.generate(20, seed=4).positions, model.generate(20, seed=4).positions)
    for wrong in ([-3], [10**6], [3, 4]):
        model.save(tmp_path / "wrong.h5", force=True)
        with edited(tmp_path / "wrong.h5") as file:
            del file["trajvae/local_geometry/neighbours"]
            file["trajvae/local_geometry/neighbours"] = wrong
        with pytest.raises(ModelError, match="'local_geometry/neighbours' must be one number"):
            Model.load(tmp_path / "wrong.h5")
    with edited(path) as file:
        del file["trajvae/local_geometry/neighbours"]
    old = Model.load(path)
    assert old.record.local_geometry is not None and old.record.local_geometry.neighbours == 0
    assert not np.array_equal(old.generate(20, seed=4).positions, model.generate(20, seed=4).positions)


def test_draws_that_are_frames_are_right_and_swollen_ones_are_not(frames: np.ndarray) -> None:
    """The judgement of the other half of the frames is the noise floor."""
    topology = Topology.anonymous(ATOMS)
    judge = DrawJudge(frames[::2], topology, Validity.fit(frames[::2], topology))
    same, swollen = judge.judge(frames[1::2]), judge.judge(1.3 * frames[1::2])
    assert same.broken < 0.05 and swollen.broken > 0.9
    assert same.pairs < 0.5 * swollen.pairs and same.total < 0.2 < swollen.total
