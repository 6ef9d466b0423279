"""Angles and dihedral angles as objectives: every form, goals on the circle, and whole searches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OptionError
from trajvae.molecule.observables import OBSERVABLES, Observable, angle, dihedral, evaluate
from trajvae.outputs.optimize import Search
from trajvae.outputs.searching.objective_table import OBJECTIVES, known_objectives, objective_help, written
from trajvae.outputs.searching.objectives import Goal, parse_objective
from trajvae.typing import Floats

SEARCH = Search(starts=4, steps=20, noise=8, draws=32, keep=3)
pytestmark = pytest.mark.filterwarnings("ignore:no topology")
OMEGA = "dihedral:0,1,3,4"  # of the peptide bond, about 180 degrees: across the cut


@pytest.fixture(scope="module")
def dipeptide(examples: Path) -> Model:
    """Alanine dipeptide's heavy atoms, barely trained."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", stop=200)
    return Model.train(
        examples / "alanine_dipeptide.xtc", TrainConfig(epochs=20, hidden=(16,)), reading=reading, device="cpu"
    )


def example_of(name: str, folder: Path, x: Floats) -> str:
    """An objective of the table as a user writes it."""
    arguments = OBJECTIVES[name].arguments
    if arguments == "FILE":
        np.save(folder / "target.npy", x[:1])
        return f"{name}:{folder / 'target.npy'}"
    numbers = ",".join(str(2 * place) for place, _ in enumerate(arguments.split(",")))
    return f"{name}:{numbers}" if arguments else name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_entry_of_the_table_works(dipeptide: Model, name: str, tmp_path: Path) -> None:
    """It is read, is finite and differentiable, and has the unit that the table, the help and the message say."""
    x = torch.from_numpy(dipeptide.record.sample[3:6].astype(np.float64)).requires_grad_(True)
    objective = parse_objective(example_of(name, tmp_path, dipeptide.record.sample), dipeptide.pipeline)
    values = objective.function(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert values.shape == (3,)
    assert bool(gradient.isfinite().all() and gradient.abs().max() > 0)
    assert (objective.unit, objective.period) == (OBJECTIVES[name].unit, OBJECTIVES[name].period)
    assert written(name) in known_objectives()
    assert written(name) in objective_help()


def test_every_observable_is_an_objective(dipeptide: Model) -> None:
    """Those that models keep are followed by their names."""
    for name in OBSERVABLES:
        assert parse_objective(name, dipeptide.pipeline).key == name
        assert name in {known.replace("-", "_") for known in OBJECTIVES}


def test_angles_and_dihedrals_are_of_the_selected_atoms(dipeptide: Model) -> None:
    """Atoms are counted from 0 within the selection."""
    x = torch.from_numpy(dipeptide.record.sample.astype(np.float64))
    found = parse_objective("angle:0,4,6", dipeptide.pipeline)
    torch.testing.assert_close(found.function(x), angle(x, 0, 4, 6))
    found = parse_objective(OMEGA, dipeptide.pipeline)
    torch.testing.assert_close(found.function(x), dihedral(x, 0, 1, 3, 4))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("angle", "expected 3 different atom numbers from 0 to 9, as in angle:0,1,2; found ''"),
        ("angle:0,4", "found '0,4'"),
        ("angle:0,4,4", "3 different"),
        ("angle:0,4,10", "from 0 to 9"),
        ("dihedral:0,1,2", "expected 4 different"),
        ("dihedral:0,1,2,-3", "expected 4 different"),
        ("dihedral:a,b,c,d", "found 'a,b,c,d'"),
    ],
)
def test_wrong_forms_say_what_was_expected(dipeptide: Model, text: str, words: str) -> None:
    """In one line, with what was found."""
    with pytest.raises(OptionError) as caught:
        parse_objective(text, dipeptide.pipeline)
    assert words in str(caught.value)
    assert text in str(caught.value)


def test_an_unknown_objective_is_answered_with_the_table(dipeptide: Model) -> None:
    """Every entry stands in the message."""
    with pytest.raises(OptionError) as caught:
        parse_objective("volume", dipeptide.pipeline)
    assert all(written(name) in str(caught.value) for name in OBJECTIVES)


def test_the_plane_has_angles_and_no_dihedrals(tiny_model: Model, chain: Floats) -> None:
    """An angle in the plane is that of its atoms in space; a dihedral angle is refused in one line."""
    x = chain[:20].astype(np.float64)
    found = evaluate(parse_objective("angle:2,5,9", tiny_model.pipeline), x)
    solid = torch.from_numpy(np.concatenate([x, np.zeros((20, 12, 1))], axis=-1))
    np.testing.assert_allclose(found, angle(solid, 2, 5, 9), rtol=1e-12)
    with pytest.raises(OptionError, match=r"dihedral:0,1,2,3.*found one of the plane"):
        parse_objective("dihedral:0,1,2,3", tiny_model.pipeline)


def test_a_goal_on_the_circle() -> None:
    """The distance is the shorter way round, the cost falls along it, and there is no minimum and no maximum."""
    goal = Goal("170", 360.0)
    assert goal.away(-170.0) == pytest.approx(20.0)
    np.testing.assert_allclose(goal.cost(np.array([-170.0, 150.0, 170.0, -190.0]), 20.0), [2**0.5, 2**0.5, 1.0, 1.0])
    x = torch.tensor([-170.0, 150.0], requires_grad=True)
    slope = torch.autograd.grad(goal.cost(x, 20.0).sum(), x)[0]
    assert (slope.sign() == torch.tensor([1.0, -1.0])).all()
    for text in ("min", "max"):
        with pytest.raises(OptionError, match=f"goal must be a number for a periodic objective, found '{text}'"):
            Goal(text, 360.0)


def test_a_periodic_objective_is_refused_a_minimum(dipeptide: Model) -> None:
    """Before a source is read: this one does not exist."""
    with pytest.raises(OptionError, match="periodic"):
        dipeptide.optimize(OMEGA, source="nothing.xtc")


def test_a_dihedral_angle_comes_near_its_goal_across_the_cut(dipeptide: Model) -> None:
    """Figures are on the circle: the best frame is the nearest round it, and the quantiles hold the frames."""
    values = evaluate(parse_objective(OMEGA, dipeptide.pipeline), dipeptide.record.sample)
    assert values.min() < -150 and values.max() > 150
    goal = -179.0
    made = dipeptide.optimize(OMEGA, goal=goal, search=SEARCH)
    f = made.figures
    apart = np.abs((values - goal + 180.0) % 360.0 - 180.0)
    assert f["best_observed"] == pytest.approx(values[apart.argmin()])
    assert f["away"] == pytest.approx(abs((f["optimum"] - goal + 180.0) % 360.0 - 180.0))
    assert f["away"] < 10.0
    assert f["quantiles"][0] > 100.0 > -100.0 > f["quantiles"][1]
    assert (f["unit"], f["period"], f["ratio"]) == ("degree", 360.0, None)
    held = made.observables["objective"]
    assert (held.unit, held.period) == ("degree", 360.0)


def test_an_angle_comes_near_its_goal(dipeptide: Model) -> None:
    """`angle:0,4,6` with the goal of 120 degrees."""
    f = dipeptide.optimize("angle:0,4,6", goal=120, search=SEARCH).figures
    assert f["optimum"] == pytest.approx(120.0, abs=5.0)
    assert (f["unit"], f["period"]) == ("degree", 0.0)


def test_an_observable_is_an_objective_with_unit_and_period(dipeptide: Model) -> None:
    """A user's own function with a unit and a period, given as it is."""
    own = Observable("omega", "degree", lambda x: dihedral(x, 0, 1, 3, 4), period=360.0)
    found = parse_objective(own, dipeptide.pipeline)
    assert (found.name, found.unit, found.period) == ("omega", "degree", 360.0)
    f = dipeptide.optimize(own, goal=-179, search=SEARCH).figures
    twin = dipeptide.optimize(OMEGA, goal=-179, search=SEARCH).figures
    assert f["optimum"] == twin["optimum"]
