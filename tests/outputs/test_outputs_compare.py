"""Comparison of latent spaces: errors over blocks, pairing, refusals, files, and a circle that is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import trajvae
from trajvae import Model, TrainConfig
from trajvae.comparison import candidates
from trajvae.errors import ModelError, OptionError
from trajvae.latents import LATENTS
from trajvae.models.evidence import Evidence
from trajvae.outputs.compare import compare_trials
from trajvae.outputs.judging.trials import ComparisonPlan, Trial
from trajvae.store.tables import read_table

pytestmark = pytest.mark.filterwarnings("ignore:no topology")
Array = np.ndarray


def _trial(name: str, iwae: Array, seal: str = "one", repeats_of: int = 0) -> Trial:
    n = len(iwae)
    bounds = np.stack([iwae - 1.0, iwae], axis=1)
    found = Evidence(iwae - 1.0, bounds, (1, 10), np.full(n, 5.0))
    ones = np.ones(n)
    return Trial(name, 2, seal, np.arange(n), np.arange(n) // 10, found, ones, ones, 2, {"z0": 1.0}, 50, 3.0)


def _chain(n: int = 800) -> Array:
    """Five atoms, the last of which turns all the way round a rigid body, with noise of 0.05 Å."""
    random = np.random.default_rng(0)
    angle = random.uniform(0.0, 2.0 * np.pi, n)
    body = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [1.9, 1.4, 0.0], [3.2, 1.5, 0.7]])
    axis = (body[3] - body[2]) / np.linalg.norm(body[3] - body[2])
    first = np.cross(axis, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    ring = body[3] + 0.5 * axis + 1.4 * (np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second)
    frames = np.concatenate([np.broadcast_to(body, (n, 4, 3)), ring[:, None]], axis=1)
    return frames + 0.05 * random.normal(size=frames.shape)


def test_differences_are_paired() -> None:
    """What all models find hard does not blur which is better."""
    random = np.random.default_rng(0)
    hard = 10.0 * random.normal(size=200)
    better, worse = _trial("b", hard + 0.1), _trial("a", hard + 0.01 * random.normal(size=200))
    found = compare_trials([worse, better, worse, better])
    figures = found.entries["a"].figures
    assert found.best == "b" and list(found.entries) == ["b", "a"] and found.within_error == []
    assert figures["behind"] == pytest.approx(0.1, abs=0.005) and figures["behind_se"] < 0.002
    assert figures["iwae_se"] > 0.3
    assert found.entries["b"].figures["behind"] == 0.0
    assert found.different == ["a"] and found.training_variance and not found.few_blocks
    alike = compare_trials(2 * [_trial("a", hard), _trial("b", hard + 0.1 * random.normal(size=200))])
    assert alike.within_error == [n for n in ("a", "b") if n != alike.best] and alike.different == []


def test_one_training_each_tells_no_candidates_apart() -> None:
    """The difference over frames is said; that trainings differ too is not known, and said as well."""
    hard = 10.0 * np.random.default_rng(0).normal(size=200)
    found = compare_trials([_trial("a", hard), _trial("b", hard + 0.1)])
    figures = found.figures
    assert figures["behind_over_frames"] == ["a"] and figures["within_error"] == ["a"] and figures["different"] == []
    assert figures["training_variance"] is False


def test_repeats_are_averaged_and_their_spread_counts() -> None:
    """Two trainings that differ by a nat: the mean, with at least that error."""
    flat = np.zeros(100)
    found = compare_trials([_trial("a", flat), _trial("a", flat + 1.0), _trial("b", flat - 1.0), _trial("b", flat)])
    figures = found.entries["a"].figures
    assert figures["iwae"] == 0.5 and figures["repeats"] == 2
    assert figures["iwae_se"] == pytest.approx(0.5) and found.entries["b"].figures["behind_se"] == 0.0


def test_what_does_not_compare_is_refused() -> None:
    """Other features, reference or weights; other frames; nothing at all."""
    flat = np.zeros(50)
    with pytest.raises(ModelError, match="do not compare: their features, reference or weights differ"):
        compare_trials([_trial("a", flat), _trial("b", flat, seal="other")])
    with pytest.raises(ModelError, match="other frames"):
        compare_trials([_trial("a", flat), _trial("b", np.zeros(40))])
    with pytest.raises(OptionError, match="nothing"):
        compare_trials([])
    with pytest.raises(OptionError, match="draws"):
        ComparisonPlan(draws=0)


def test_candidates_are_named_and_told_their_own_options() -> None:
    """All backends by default; several dimensions in the name; options to those that know them."""
    assert list(candidates()) == list(LATENTS)
    found = candidates(["euclidean", "embedded"], [1, 2], {"min_scale": "0.01", "embedded.group": "no"}, epochs=7)
    assert list(found) == ["euclidean:1", "embedded:1", "euclidean:2", "embedded:2"]
    assert found["euclidean:2"].settings == {"min_scale": "0.01"} and found["euclidean:2"].latent_dim == 2
    assert found["embedded:1"].settings == {"min_scale": "0.01", "group": "no"} and found["embedded:1"].epochs == 7
    assert candidates(["product", "euclidean"], None, signature="h2,e1")["product"].latent_dim == 3
    assert list(candidates(["product", "euclidean"], [1, 3, 3], signature="h2")) == [
        "product",
        "euclidean:1",
        "euclidean:3",
    ]
    with pytest.raises(OptionError, match="posterior"):  # before anything is trained
        candidates(["euclidean", "embedded"], None, {"embedded.posterior": "foo"})
    for wrong in ({"no_such": 1}, {"product.min_scale": 1}):
        with pytest.raises(OptionError, match="no option"):
            candidates(["euclidean"], None, wrong)
    with pytest.raises(OptionError, match="product"):
        candidates(["euclidean"], None, signature="h2")
    with pytest.raises(OptionError, match="no backend"):
        candidates(["no_such"])


def test_a_free_end_torsion_is_a_circle(tmp_path: Path) -> None:
    """The line is behind both circles, beyond its paired error, in ELBO and in bound; the file says the same."""
    configs = candidates(["euclidean", "hyperspherical", "embedded"], [1], hidden=(64, 64), epochs=25, batch_size=32)
    found = trajvae.compare(_chain(1500), configs, plan=ComparisonPlan(draws=100))
    assert list(found.entries)[-1] == "euclidean"
    line = found.entries["euclidean"].figures
    assert line["behind"] > 2.0 * line["behind_se"] and line["elbo_behind"] > 2.0 * line["elbo_behind_se"]
    for entry in found.entries.values():
        assert np.all(np.diff(entry.figures["bounds"]) >= 0.0) and entry.figures["bounds"][-1] == pytest.approx(
            entry.figures["iwae"]
        )
    found.save(tmp_path / "c.h5")
    table = read_table(tmp_path / "c.h5", "compare")["compare"]
    assert set(table) == set(configs)
    assert np.array_equal(table["euclidean"]["iwae"], found.entries["euclidean"].iwae)


def test_processes_change_nothing() -> None:
    """Two at once give the numbers of one after the other."""
    configs = candidates(["euclidean", "hyperspherical"], [1], hidden=(8,), epochs=2)
    alone, beside = (trajvae.compare(_chain(100), configs, plan=ComparisonPlan(draws=10, jobs=j)) for j in (1, 2))
    for name in configs:
        assert np.allclose(alone.entries[name].iwae, beside.entries[name].iwae, rtol=1e-4, atol=1e-3)


def test_models_trained_before_compare_with_new_ones() -> None:
    """On the frames they held out; another alignment, or other frames, are refused."""
    x = _chain(200)
    config = TrainConfig(latent_dim=1, hidden=(8,), epochs=3)
    old = Model.train(x, config)
    found = trajvae.compare(x, ["hyperspherical"], plan=ComparisonPlan(draws=10), models={"old": old})
    assert set(found.entries) == {"old", "hyperspherical"}
    other = Model.train(x, dataclasses.replace(config, center="mass", align="none"))
    with pytest.raises(ModelError, match="do not compare"):
        trajvae.compare(x, models={"old": old, "other": other}, plan=ComparisonPlan(draws=10))
    with pytest.raises(ModelError, match="other frames"):
        trajvae.compare(x[::-1].copy(), models={"old": old}, plan=ComparisonPlan(draws=10))
    with pytest.raises(OptionError, match="twice"):
        trajvae.compare(x, {"old": config}, models={"old": old}, plan=ComparisonPlan(draws=10))
    with pytest.raises(ModelError, match="trained on 200 frames, these are 150"):
        trajvae.compare(x[:150], models={"old": old}, plan=ComparisonPlan(draws=10))
