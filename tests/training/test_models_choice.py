"""Which features suit a molecule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import TrainConfig
from trajvae.errors import OptionError
from trajvae.features import FEATURES, FittingData, Internal, ShapeSpace
from trajvae.likelihoods import LIKELIHOODS, likelihood_names
from trajvae.molecule.histogram_divergence import histogram_divergence
from trajvae.readers import Alignment, Reading, open_source
from trajvae.topology import Topology
from trajvae.training.choose_features import CLEARLY, choose_features, judgements
from trajvae.training.quick_models import Judge, Judgement, quick_draws
from trajvae.typing import Floats

ALL = tuple(FEATURES)


def _lesson(x: Floats, topology: Topology | None = None, floor: float = 1e-3) -> FittingData:
    alignment = Alignment.fit("superpose", x, np.ones(x.shape[1]))
    return FittingData(alignment, topology or Topology.anonymous(x.shape[1]), alignment.apply(x), floor, 2)


@pytest.fixture(scope="module")
def dipeptide(examples: Path) -> FittingData:
    """500 frames of alanine dipeptide's heavy atoms."""
    reading = Reading(examples / "alanine_dipeptide.pdb", "not element H", step=20)
    frames = open_source(str(examples / "alanine_dipeptide.xtc"), reading)
    return _lesson(frames.read().positions, frames.topology, frames.precision)


@pytest.fixture(scope="module")
def kinase(adk: tuple[Path, Path]) -> FittingData:
    """The C-alphas of adenylate kinase."""
    frames = open_source(str(adk[1]), Reading(adk[0], "name CA"))
    return _lesson(frames.read().positions, frames.topology)


def _two_atoms() -> Floats:
    x = np.zeros((60, 2, 3))
    x[:, 1, 0] = 1.5 + 0.1 * np.random.default_rng(0).normal(size=60)
    return x


def _line(noise: float) -> Floats:
    """Five atoms in a line that stretches as a whole."""
    random = np.random.default_rng(0)
    x = np.arange(5.0)[None, :, None] * np.array([1.5, 0.0, 0.0]) * (1.0 + 0.05 * random.normal(size=(60, 1, 1)))
    return np.asarray(x + noise * random.normal(size=x.shape))


def test_a_small_flexible_molecule_is_internal(dipeptide: FittingData) -> None:
    """`auto` takes internal coordinates for alanine dipeptide, and leaves all other options alone."""
    given = TrainConfig(features="auto", latent_dim=3, seed=5)
    config, found = choose_features(given, dipeptide)
    assert config == replace(given, features="internal")
    assert found is not None and set(found) == set(FEATURES)
    assert found["internal"] < found["cartesian"] + CLEARLY  # whose draws have local geometry, too


def test_a_folded_protein_is_cartesian(kinase: FittingData) -> None:
    """`auto` takes shape space for the C-alphas of a protein, where internal coordinates swing by their levers."""
    config, found = choose_features(TrainConfig(features="auto"), kinase)
    assert config.features == "cartesian"
    assert found is not None and found["cartesian"] < 0.8 * found["internal"]


@pytest.mark.parametrize("x", [_two_atoms(), _line(0.0), _line(1e-3)], ids=["two atoms", "a line", "nearly a line"])
def test_where_internal_coordinates_are_impossible(x: Floats) -> None:
    """Two atoms, or atoms in a line, fall back to shape space without an error; nothing is said of the other kind."""
    config, found = choose_features(TrainConfig(features="auto", latent_dim=1), _lesson(x))
    assert config.features == "cartesian"
    assert found is not None and set(found) == {"cartesian"}


@pytest.mark.parametrize("kind", ["cartesian", "internal", "no_such"])
def test_what_a_user_said_stays(kind: str) -> None:
    """Any other word than `auto` is left as it is, unseen frames and all: later code refuses what there is not."""
    given = TrainConfig(features=kind)
    config, found = choose_features(given, _lesson(_two_atoms()))
    assert config is given
    assert found is None


def test_a_kind_without_the_likelihood_is_left_out(dipeptide: FittingData) -> None:
    """`lowrank`, which internal coordinates lack, makes `auto` take shape space where they would win by far."""
    given = TrainConfig(features="auto", likelihood="lowrank")
    config, found = choose_features(given, dipeptide)
    assert config == replace(given, features="cartesian")
    assert found is None


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_kinds_with_the_likelihood_stay(dipeptide: FittingData, name: str) -> None:
    """Kinds that have the likelihood are judged, others are not."""
    short = replace(dipeptide, frames=dipeptide.frames[:60])
    kinds = {kind for kind in FEATURES if name in likelihood_names(kind)}
    _, found = choose_features(TrainConfig(features="auto", likelihood=name), short)
    assert (set() if found is None else set(found)) == (kinds if len(kinds) > 1 else set())


def test_a_likelihood_of_no_kind_is_refused(dipeptide: FittingData) -> None:
    """`auto` of a likelihood that there is not is an OptionError that names it and those there are."""
    with pytest.raises(OptionError, match=r"no_such.*isotropic, full, springs, lowrank, conditional"):
        choose_features(TrainConfig(features="auto", likelihood="no_such"), dipeptide)


def test_draws_of_shape_space_are_normal(dipeptide: FittingData) -> None:
    """They have the frames' mean and covariance, within the error of 4000 draws."""
    frames = np.tile(dipeptide.frames, (8, 1, 1)).astype(np.float64)
    drawn = quick_draws(ShapeSpace.fit(dipeptide), frames, 4000).reshape(4000, -1)
    x = frames.reshape(len(frames), -1)
    error = x.std(axis=0) / np.sqrt(4000)
    assert bool((np.abs(drawn.mean(axis=0) - x.mean(axis=0)) < 5.0 * error + 1e-3).all())
    assert np.trace(np.cov(drawn.T)) == pytest.approx(np.trace(np.cov(x.T)), rel=0.05)


def test_the_figures_are_those_of_draws(kinase: FittingData) -> None:
    """Pair distances and validity of internal coordinates' draws, recomputed here with numpy and the test itself."""
    judge, features = Judge(kinase), Internal.fit(kinase)
    drawn = quick_draws(features, kinase.frames, 400)
    found = judge.judge(features)
    chosen = [[int(a) for a in o.name.removeprefix("distance_").split("-")] for o in judge._judge._items]
    real, made = (
        np.linalg.norm(x[:, [c[0] for c in chosen]] - x[:, [c[1] for c in chosen]], axis=-1)
        for x in (kinase.frames, drawn)
    )
    expected = np.mean([histogram_divergence(a, b) for a, b in zip(real.T, made.T, strict=True)])
    assert found.pairs == pytest.approx(expected, rel=0.03)
    assert found.broken == pytest.approx(1.0 - judge.validity.test(drawn).mean())


def test_bonds_are_not_held_against_cartesian_draws(kinase: FittingData) -> None:
    """Of a folded protein none of the raw draws is valid, and most are after `generate`'s local geometry."""
    judge, features = Judge(kinase), ShapeSpace.fit(kinase)
    assert judge.validity.test(quick_draws(features, kinase.frames, 100)).mean() < 0.3
    assert judge.judge(features).broken < 0.2


def test_what_redraws_mend_counts_little() -> None:
    """Half of the draws broken is an eighth after two redraws; divergences count as they are."""
    assert Judgement(0.1, 0.02, 0.5).total == pytest.approx(0.1 + 0.02 + 0.125)
    assert str(Judgement(0.1, 0.02, 0.5)) == "pairs 0.100 bits, torsions 0.020 bits, 50 % valid"


def test_internal_coordinates_win_where_both_are_as_good(
    dipeptide: FittingData, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundredth of a bit is within the error of the draws; three are not. The log has the figures."""
    for better, expected in ((0.01, "internal"), (0.03, "cartesian")):
        made = {"cartesian": Judgement(0.1 - better, 0.0, 0.0), "internal": Judgement(0.1, 0.0, 0.0)}
        monkeypatch.setattr("trajvae.training.choose_features.judgements", lambda *_, made=made: made)
        with caplog.at_level("INFO", "trajvae"):
            config, _ = choose_features(TrainConfig(features="auto"), dipeptide)
        assert config.features == expected
        assert f"features {expected}, by draws of quickly fitted models: cartesian pairs 0.0" in caplog.text


def test_flexible_torsions_are_drawn_alone() -> None:
    """What two torsions have in common is lost in the draws: it is worse for such a chain than for one without."""
    random = np.random.default_rng(0)
    turns = random.uniform(-2.5, 2.5, size=(1000, 2))
    found = []
    for second in (turns[:, 0], turns[:, 1]):
        heading = np.cumsum(np.stack([np.zeros(1000), turns[:, 0], second], axis=1), axis=1)
        steps = np.stack([np.cos(heading), np.sin(heading)], axis=2) * (1.5 + 0.02 * random.normal(size=(1000, 3, 1)))
        found.append(
            judgements(ALL, _lesson(np.cumsum(np.pad(steps, ((0, 0), (1, 0), (0, 0))), axis=1)))["internal"].pairs
        )
    assert found[0] > 1.5 * found[1]


def test_the_choice_is_the_same_each_time(dipeptide: FittingData) -> None:
    """The draws have a seed of their own: figures repeat, and torch's own generator is where it was."""
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = judgements(ALL, dipeptide)
    assert judgements(ALL, dipeptide) == first
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_large_molecule_is_cartesian_untried() -> None:
    """Above 2000 atoms internal coordinates are not fitted at all."""
    random = np.random.default_rng(0)
    x = 20.0 * random.normal(size=(2001, 3)) + 0.1 * random.normal(size=(6, 2001, 3))
    alignment = Alignment("superpose", x[0] - x[0].mean(axis=0), np.ones(2001))
    lesson = FittingData(alignment, Topology.anonymous(2001), alignment.apply(x), 1e-3, 2)
    config, found = choose_features(TrainConfig(features="auto"), lesson)
    assert config.features == "cartesian"
    assert found is None


def test_long_trajectories_are_thinned() -> None:
    """Of more than 2000 frames an even selection is looked at: frames between them say nothing."""
    random = np.random.default_rng(0)
    x = random.normal(size=(4001, 3, 2)) * 0.1 + [[0.0, 0.0], [1.5, 0.0], [1.5, 1.5]]
    lesson = _lesson(x)
    other = lesson.frames.copy()
    other[np.arange(4001) % 3 != 0] = 99.0
    assert judgements(ALL, replace(lesson, frames=other)) == judgements(ALL, lesson)


def test_frames_in_the_plane_have_a_choice(chain: Floats) -> None:
    """In two dimensions both kinds are tried, and both are a number of bits between 0 and 1."""
    found = judgements(ALL, _lesson(chain))
    assert set(found) == set(FEATURES)
    assert all(0.0 < judgement.pairs < 1.0 and judgement.torsions == 0.0 for judgement in found.values())
