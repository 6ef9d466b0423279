"""Nearest frames, and how much of the simulation draws cover."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from trajvae import Model
from trajvae.alignment.align import pairwise_rmsd
from trajvae.outputs.drawing import novelty as module
from trajvae.outputs.drawing.novelty import NEIGHBOURS, coverage, nearest, novelty
from trajvae.outputs.generate import generate
from trajvae.typing import Floats


def _frames(n: int, seed: int = 0, spread: float = 1.0) -> Floats:
    """Frames scattered about one structure, in 3-D."""
    body = 3.0 * np.random.default_rng(99).normal(size=(8, 3))
    return body + spread * np.random.default_rng(seed).normal(size=(n, 8, 3))


def _far(n: int, seed: int = 0) -> Floats:
    """Frames about another structure, three times as large."""
    return 3.0 * _frames(n, seed)[:, ::-1] + 50.0


def _table(a: Floats, b: Floats) -> Floats:
    ones = np.ones(a.shape[1])
    return np.stack([pairwise_rmsd(np.repeat(x[None], len(b), axis=0), b, ones) for x in a])


# --- nearest frames


def test_the_nearest_is_the_least_of_all() -> None:
    """Index and RMSD are those of the smallest entry of a row of distances."""
    drawn, simulated = _frames(30, seed=1), _frames(70)
    index, least = nearest(drawn, simulated)
    table = _table(drawn, simulated)
    assert index.dtype == np.int64 and index.tolist() == table.argmin(axis=1).tolist()
    np.testing.assert_allclose(least, table.min(axis=1), atol=1e-6)
    assert len(set(index.tolist())) > 10


def test_a_frame_is_its_own_nearest_however_it_stands() -> None:
    """Frames of the simulation, turned and moved, find themselves at no distance; their mirror images do not."""
    simulated, chosen = _frames(50), [7, 0, 49, 7]
    turned = simulated[chosen] @ Rotation.random(4, random_state=0).as_matrix() + 9.0
    index, least = nearest(turned, simulated)
    assert index.tolist() == chosen
    assert least.max() < 1e-5
    assert nearest(simulated[chosen] * [1.0, 1.0, -1.0], simulated)[1].min() > 0.1


def test_float32_frames_as_a_model_keeps_them() -> None:
    """The same in single precision, to its rounding."""
    simulated = _frames(40)
    index, least = nearest(simulated.astype(np.float32), simulated)
    assert index.tolist() == list(range(40))
    assert least.max() < 1e-4


@pytest.mark.parametrize("at_once", [1, 39, 40, 41, 200, 2**21])
def test_the_pieces_do_not_matter(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pairs are looked at together, the numbers are the same."""
    drawn, simulated = _frames(23, seed=1), _frames(40)
    index, least = nearest(drawn, simulated)
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    again, other = nearest(drawn, simulated)
    assert np.array_equal(again, index)
    np.testing.assert_allclose(other, least, rtol=1e-9)


def test_no_draws_have_no_nearest() -> None:
    """Nothing in, nothing out."""
    index, least = nearest(_frames(3)[:0], _frames(5))
    assert index.shape == least.shape == (0,)


def test_in_the_plane_too() -> None:
    """2-D frames find themselves."""
    simulated = _frames(30)[..., :2]
    index, least = nearest(simulated[::-1] + 4.0, simulated)
    assert index.tolist() == list(range(30))[::-1]
    assert least.max() < 1e-5


# --- coverage


def test_frames_cover_themselves_and_far_ones_nothing() -> None:
    """One where each frame is among the draws, zero where all draws are of another shape."""
    frames, others = _frames(60), _frames(80, seed=1)
    assert coverage(frames, frames, others) == 1.0
    assert coverage(_far(60), frames, others) == 0.0


def test_half_of_the_frames_are_covered() -> None:
    """Draws of one of two states that are far apart cover the share of frames that are in that state."""
    state, other = _frames(40), _far(40)
    frames, others = np.concatenate([state[:20], other[:20]]), np.concatenate([state[20:], other[20:]])
    assert coverage(state[:20], frames, others) == 0.5
    assert coverage(np.concatenate([state[:20], other[:5]]), frames, others) >= 25 / 40


def test_coverage_is_its_definition() -> None:
    """Frames that have a draw within the distance of their fifth nearest other frame, counted one by one."""
    frames, others, drawn = _frames(50), _frames(60, seed=1), _frames(15, seed=2)
    radius = np.sort(_table(frames, others), axis=1)[:, NEIGHBOURS - 1]
    share = (_table(frames, drawn).min(axis=1) <= radius).mean()
    assert 0.1 < share < 1.0
    assert coverage(drawn, frames, others) == pytest.approx(share)


def test_few_others_are_enough() -> None:
    """With fewer than five of them the farthest decides."""
    frames, others = _frames(10), _frames(2, seed=1)
    radius = _table(frames, others).max(axis=1)
    share = (_table(frames, _frames(1, seed=2)).min(axis=1) <= radius).mean()
    assert coverage(_frames(1, seed=2), frames, others) == pytest.approx(share)


def test_more_draws_cover_no_less() -> None:
    """Coverage does not fall as draws are added."""
    frames, others, drawn = _frames(50), _frames(60, seed=1), _frames(40, seed=2, spread=1.2)
    found = [coverage(drawn[:n], frames, others) for n in (1, 5, 20, 40)]
    assert found == sorted(found) and found[0] < found[-1]


# --- the figures


def test_what_was_learned_by_heart_is_near_and_covers() -> None:
    """Training frames as draws: no distance to the nearest, while held-out frames have theirs; coverage of frames."""
    held, train = _frames(60), _frames(200, seed=1)
    found = novelty(train, held, train)
    assert set(found) == {"nearest", "nearest_held_out", "coverage", "coverage_train"}
    assert found["nearest"] == pytest.approx(0.0, abs=1e-5)
    assert found["nearest_held_out"] == pytest.approx(np.median(_table(held, train).min(axis=1)), abs=1e-6)
    assert abs(found["coverage"] - found["coverage_train"]) < 0.1 and found["coverage_train"] > 0.9


def test_draws_of_the_same_distribution_are_as_frames_are() -> None:
    """New draws are as far from training frames as held-out frames are, and cover as much as training frames do."""
    held, train, drawn = _frames(150), _frames(300, seed=1), _frames(150, seed=2)
    found = novelty(drawn, held, train)
    assert found["nearest"] == pytest.approx(found["nearest_held_out"], rel=0.05)
    assert abs(found["coverage"] - found["coverage_train"]) < 4.0 * np.sqrt(0.25 / 150)


@pytest.mark.parametrize("drawn", [_far(60), np.repeat(_frames(1, seed=3), 60, axis=0)], ids=["far", "one"])
def test_bad_draws_are_told(drawn: Floats) -> None:
    """Draws of another shape cover nothing, and one frame drawn again and again covers few."""
    found = novelty(drawn, _frames(60), _frames(200, seed=1))
    assert found["coverage"] < found["coverage_train"] - 0.3
    assert found["coverage_train"] > 0.9


def test_sets_are_compared_at_equal_sizes() -> None:
    """Draws beyond half the training frames are left out of coverage: more draws than twins would cover more."""
    held, train, drawn = _frames(40), _frames(20, seed=1), _frames(300, seed=2)
    found = novelty(drawn, held, train)
    assert found["coverage"] == coverage(drawn[:10], held, train[::2])
    assert found["coverage_train"] == coverage(train[1::2], held, train[::2])


# --- new conformations


def test_generated_conformations_know_their_nearest_frame(tiny_model: Model) -> None:
    """Its number counts all training frames though the model keeps a few; RMSD in Å, the median among the figures."""
    record = tiny_model.record
    kept = np.arange(5, 400, 7)
    thin = dataclasses.replace(record, sample=record.sample[kept], sample_index=record.sample_index[kept])
    made = generate(tiny_model.pipeline, thin, 25, seed=2, novelty=True)
    frame, rmsd = (made.observables[k] for k in ("nearest_frame", "nearest_rmsd"))
    assert np.isin(frame.value, kept).all() and rmsd.unit == "Angstrom"
    table = _table(made.positions, record.sample[kept].astype(float))
    assert np.array_equal(frame.value, kept[table.argmin(axis=1)])
    np.testing.assert_allclose(rmsd.value, table.min(axis=1), atol=1e-5)
    assert made.figures["nearest_rmsd"] == pytest.approx(float(np.median(rmsd.value)))
    plain = generate(tiny_model.pipeline, thin, 25, seed=2)
    assert np.array_equal(plain.positions, made.positions)
    assert not {"nearest_frame", "nearest_rmsd"} & {*plain.observables, *plain.figures}


def test_all_that_are_given_are_looked_at(tiny_model: Model) -> None:
    """Where only valid ones are kept, each of them has its frame."""
    made = tiny_model.generate(20, novelty=True, valid_only=True, seed=1)
    frame, least = nearest(made.positions, tiny_model.record.sample)
    assert np.array_equal(made.observables["nearest_frame"].value, tiny_model.record.sample_index[frame])
    np.testing.assert_allclose(made.observables["nearest_rmsd"].value, least, atol=1e-9)
