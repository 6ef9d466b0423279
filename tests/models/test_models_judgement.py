"""The verdict on a training: each reason alone, and what it is found from in frames made for the purpose."""

from __future__ import annotations

import dataclasses
import warnings
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from trajvae.alignment.align import Alignment
from trajvae.models.judgement import SampleMeasures, TrainingEvidence, judge_training, warn_of_spread
from trajvae.models.pipeline import Pipeline
from trajvae.models.sample_measures import drift_of, mean_rmsd, molecules_of, novelty_of, order_of, spread_of
from trajvae.topology import Topology
from trajvae.verdict import CARE, GOOD, UNUSABLE, Reason, Verdict, judged, verdict_lines_of

MEASURED = SampleMeasures(
    draws_valid=0.97, spread=1.02, mean_rmsd=1.0, drift=0.1, crossings=80, molecules=1, apart=0.0, within=0.0,
    order=1.1,
)  # fmt: skip
SOUND = TrainingEvidence(
    trained=5000, rmsd=0.2, train_rmsd=0.19, pca_rmsd=0.35, collapsed=False, unlike=0, jump=0.5, least=0.45, atoms=200,
    feature_kind="cartesian", sample=MEASURED,
)  # fmt: skip


def changed(**changes: Any) -> TrainingEvidence:
    """The evidence of a sound model with some of its figures changed, those of its sample included."""
    inner = {name: value for name, value in changes.items() if name in vars(MEASURED)}
    outer = {name: value for name, value in changes.items() if name not in inner}
    return dataclasses.replace(SOUND, sample=dataclasses.replace(MEASURED, **inner), **outer)


def test_a_sound_model_is_good() -> None:
    """No reason, one line."""
    found = judge_training(SOUND)
    assert found.to_json() == {"verdict": GOOD, "reasons": []} and found.lines() == ["verdict: good"]


@pytest.mark.parametrize(
    ("name", "severity", "changes"),
    [
        ("too_few_frames", CARE, {"trained": 100}),
        ("too_few_frames", UNUSABLE, {"trained": 8}),
        ("overfitted", CARE, {"rmsd": 0.3, "train_rmsd": 0.15}),
        ("overfitted", UNUSABLE, {"rmsd": 0.3, "train_rmsd": 0.05}),
        ("no_better_than_pca", CARE, {"rmsd": 0.36, "train_rmsd": 0.3}),
        ("explains_nothing", UNUSABLE, {"rmsd": 1.1, "train_rmsd": 1.0, "pca_rmsd": 1.2}),
        ("collapsed", UNUSABLE, {"collapsed": True}),
        ("draws_not_valid", CARE, {"draws_valid": 0.3}),
        ("spread_wrong", CARE, {"spread": 0.6}),
        ("spread_wrong", CARE, {"spread": 1.3}),
        ("draws_copy_frames", CARE, {"novelty": 0.6}),
        ("one_way", CARE, {"drift": 0.99, "crossings": 1}),
        ("unlike_blocks", CARE, {"unlike": 2}),
        ("alignment_jumps", CARE, {"jump": 2.0, "least": 0.4}),
        ("separate_molecules", UNUSABLE, {"molecules": 125, "apart": 27.0, "within": 2.0}),
        ("atom_order", UNUSABLE, {"order": 7.0}),
    ],
)
def test_each_reason_is_found_alone(name: str, severity: str, changes: dict[str, Any]) -> None:
    """One thing wrong: one reason with its severity, a text and a step, and the whole is no better than it."""
    found = judge_training(changed(**changes))
    assert [(r.name, r.severity) for r in found.reasons] == [(name, severity)]
    assert found.verdict == severity
    assert all(r.text and r.step and "nats" not in r.text for r in found.reasons)


@pytest.mark.parametrize(("spread", "word"), [(0.6, "less"), (0.79, "less"), (1.3, "more"), (0.85, ""), (1.2, "")])
def test_a_wrong_spread_is_a_warning(spread: float, word: str) -> None:
    """Beyond a fifth, which is where the verdict has a reason; in one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_spread(spread)
    texts = [str(w.message) for w in caught]
    assert len(texts) == bool(word) == bool(judge_training(changed(spread=spread)).reasons)
    assert all(f"{spread:.2f} times as much" in t and f"are {word} spread" in t and "\n" not in t for t in texts)


@pytest.mark.parametrize("jump", [None, 0.6])
def test_jumps_that_are_the_molecule_s_own_are_none(jump: float | None) -> None:
    """Files without neighbours in time, and jumps that optimal superposition has too."""
    assert judge_training(changed(jump=jump, least=jump and 0.5)).verdict == GOOD


def test_a_complex_that_stays_together_is_one_body() -> None:
    """Two strands whose centres move less than their atoms."""
    assert judge_training(changed(molecules=2, apart=0.8, within=2.0)).verdict == GOOD


def test_the_worst_reason_comes_first_and_decides() -> None:
    """Whatever the order in which reasons were found."""
    found = judged(Reason("a", CARE, "x", "y"), None, Reason("b", UNUSABLE, "x", "y"))
    assert [r.name for r in found.reasons] == ["b", "a"] and found.verdict == UNUSABLE


def test_a_verdict_comes_back_from_its_json() -> None:
    """The lines of a file's figures are those of the verdict; figures of older versions have none."""
    found = Verdict((Reason("a", CARE, "found x", "do y"),))
    assert verdict_lines_of(found.to_json()) == ["verdict: usable with care", "  - found x; next: do y"]
    assert verdict_lines_of({"rmsd": 1.0}) == []


# --- what it is found from


def test_a_driven_motion_follows_time_and_one_that_returns_does_not() -> None:
    """A pull from end to end crosses once; a motion that swings crosses often; two files have no common time."""
    t, noise = np.linspace(0.0, 1.0, 300), 0.02 * np.random.default_rng(0).normal(size=(300, 5, 3))
    pulled, swung = noise.copy(), noise.copy()
    pulled[:, 4, 0] += 5.0 * t
    swung[:, 4, 0] += 5.0 * np.sin(40.0 * t)
    drift, crossings = drift_of(pulled, np.zeros(300, dtype=np.int64))
    assert drift > 0.99 and crossings == 1
    drift, crossings = drift_of(swung, np.zeros(300, dtype=np.int64))
    assert drift < 0.3 and crossings >= 10
    assert drift_of(pulled, np.arange(300) // 150) == (0.0, 0)


def _two_molecules(distance: float) -> tuple[np.ndarray, Topology]:
    """Two rods of five bonded atoms, the second of which wanders by a distance."""
    rng = np.random.default_rng(1)
    rod = np.c_[1.5 * np.arange(5.0), np.zeros((5, 2))]
    frames = np.concatenate([rod, rod + np.array([0.0, 4.0, 0.0])])[None] + 0.1 * rng.normal(size=(400, 10, 3))
    frames[:, 5:] += distance * rng.normal(size=(400, 1, 3))
    bonds = np.array([[i, i + 1] for i in range(9) if i != 4])
    plain = Topology.anonymous(10).to_arrays()
    return frames, Topology(**{**plain, "bonds": bonds})  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", [0.0, 8.0])
def test_molecules_that_wander_are_told_apart_from_a_complex(distance: float) -> None:
    """The root mean square motion of the centres is what was put in; that of atoms about them the noise's."""
    frames, topology = _two_molecules(distance)
    count, apart, within = molecules_of(frames, topology)
    assert count == 2
    assert apart == pytest.approx(np.sqrt(3.0 * (0.5 * distance**2 + 0.01 / 5.0)), rel=0.1)
    assert within == pytest.approx(0.1 * np.sqrt(3.0 * 0.8), rel=0.1)


def test_atoms_without_bonds_are_one_molecule() -> None:
    """Nothing is known of them."""
    frames, _ = _two_molecules(8.0)
    assert molecules_of(frames, Topology.anonymous(10)) == (1, 0.0, 0.0)


def test_a_shuffled_chain_has_far_neighbours() -> None:
    """A coil in its own order, and shuffled."""
    turn = np.linspace(0.0, 40.0, 150)
    coil = np.c_[9.0 * np.cos(turn), 9.0 * np.sin(turn), 1.5 * turn]
    assert order_of(coil) < 1.3
    assert order_of(coil[np.random.default_rng(0).permutation(150)]) > 4.0


def test_the_rmsd_to_the_mean_is_the_fluctuation() -> None:
    """Of frames about a known mean: by least squares, so a little less than their own deviation."""
    rng = np.random.default_rng(2)
    middle = 5.0 * rng.normal(size=(40, 3))
    frames = middle + 0.3 * rng.normal(size=(500, 40, 3))
    expected = 0.3 * np.sqrt(3.0 * (1.0 - 6.0 / 120.0))
    assert mean_rmsd(frames[:100], frames[100:]) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("atoms", [4, 40], ids=["fewer coordinates than frames", "more"])
def test_spread_is_that_of_each_motion(atoms: int) -> None:
    """Draws that are frames with some motions larger: ratios of variances, the largest motions first."""
    random = np.random.default_rng(0)
    scores = np.linalg.qr(random.normal(size=(60, 3)) - random.normal(size=(60, 3)).mean(axis=0))[0]
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0] * [9.0, 3.0, 1.0]
    axes = np.linalg.qr(random.normal(size=(3 * atoms, 3)))[0].T
    frames = (scores @ axes).reshape(60, atoms, 3)
    draws = ((scores * [0.5, 2.0**0.5, 1.0]) @ axes).reshape(60, atoms, 3)
    pipeline = SimpleNamespace(alignment=Alignment("none", frames.mean(axis=0), np.ones(atoms)))
    total, spectrum = spread_of(cast(Pipeline, pipeline), draws, frames)
    assert total == pytest.approx((81.0 / 4 + 18.0 + 1.0) / 91.0)
    assert spectrum == pytest.approx((0.25, 2.0, 1.0))


def test_novelty_of_copies_and_of_new_frames() -> None:
    """Draws that are training frames have none, draws like the held-out frames have as much as these."""
    random = np.random.default_rng(1)
    known, held, new = (random.normal(size=(n, 6, 3)) for n in (80, 40, 40))
    assert novelty_of(known[:10], held, known) == pytest.approx(0.0, abs=1e-3)
    assert novelty_of(new, held, known) == pytest.approx(1.0, abs=0.1)
    assert novelty_of(new, held[:0], known) == 1.0
