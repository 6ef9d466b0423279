"""Optimisation in latent space: it improves, stays in support, tells the truth, and is reproducible."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Conformations, Model, TrainConfig
from trajvae.errors import OptionError, TrajvaeError, TrajvaeWarning
from trajvae.molecule.bonded_terms import bond_lengths
from trajvae.molecule.observables import Observable, built_in, evaluate
from trajvae.outputs.optimize import Search, familiar, optimize
from trajvae.outputs.searching.support import Support
from trajvae.typing import Floats

SEARCH = Search(starts=8, steps=60, noise=16, draws=64, keep=6)


@pytest.fixture(scope="module")
def model(examples: Path) -> Model:
    """A model of the chain of so many frames that it is curved: of fewer it is principal components.

    Of a seed whose best starts lie within the support: those at its edge move inwards first, and may end no better.
    """
    with np.load(examples / "chain2d.npz") as arrays:
        frames = arrays["positions"][:1300]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return Model.train(frames, TrainConfig(epochs=150, hidden=(32,), seed=2), device="cpu")


@pytest.fixture(scope="module")
def smallest(model: Model) -> Conformations:
    """The smallest radius of gyration."""
    return model.optimize("rg", search=SEARCH)


def test_the_figures_are_the_contract_s(smallest: Conformations) -> None:
    """Every key of the command line's JSON, with the values that were asked for."""
    keys = {"objective", "goal", "of", "initial", "optimum", "expected", "best_observed", "quantiles"}
    assert keys | {"in_support", "valid", "steps"} <= set(smallest.figures)
    figures = smallest.figures
    assert (figures["objective"], figures["goal"], figures["of"], figures["steps"]) == ("rg", "min", "sample", 60)
    assert type(figures["valid"]) is type(figures["in_support"]) is bool


def test_the_simulation_s_figures_are_its_own(model: Model, smallest: Conformations) -> None:
    """Best frame and quantiles are those of all training frames, bonds those of the structure."""
    observed = model.record.observables["rg"]
    assert smallest.figures["best_observed"] == pytest.approx(observed.min())
    np.testing.assert_allclose(smallest.figures["quantiles"], np.quantile(observed, [0.01, 0.99]))
    lengths = bond_lengths(smallest.positions[:1], model.record.validity.bonds)
    np.testing.assert_allclose(smallest.figures["bonds"], [lengths.min(), lengths.max()])


@pytest.mark.parametrize(("goal", "sign"), [("min", 1.0), ("max", -1.0)])
def test_the_expectation_improves(model: Model, goal: str, sign: float) -> None:
    """From the best start on, the expected objective moves towards the goal, and the optimum passes the quantile."""
    figures = model.optimize("rg", goal=goal, search=SEARCH).figures
    assert sign * (figures["initial"] - figures["expected"]) > 0.05
    beyond = figures["quantiles"][0 if goal == "min" else 1]
    assert sign * (beyond - figures["optimum"]) > 0.0
    assert figures["valid"]
    assert figures["in_support"]


@pytest.mark.parametrize("value", [1.8, 2.4])
def test_a_value_is_met(model: Model, value: float) -> None:
    """Given a number, the expectation comes near it and the best structure nearer still."""
    figures = model.optimize("rg", goal=value, search=SEARCH).figures
    assert figures["goal"] == str(value)
    assert figures["expected"] == pytest.approx(value, abs=0.1)
    assert figures["optimum"] == pytest.approx(value, abs=0.02)
    assert figures["valid"]


def test_the_optimum_is_measured_on_the_structure(model: Model, smallest: Conformations) -> None:
    """`optimum` and the stored objective are the radius of gyration of the positions returned."""
    found = evaluate(built_in(model.topology)["rg"], smallest.positions)
    assert smallest.figures["optimum"] == pytest.approx(found[0])
    np.testing.assert_allclose(smallest.observables["objective"].value, found)
    assert smallest.observables["objective"].unit == "Angstrom"


@pytest.mark.parametrize("goal", ["min", "max", "2.0"])
def test_structures_come_best_first(model: Model, goal: str) -> None:
    """Valid structures in support before all others, and among them the best first."""
    made = model.optimize("rg", goal=goal, search=SEARCH)
    good = made.valid & made.observables["in_support"].value.astype(bool)
    assert good[0]
    assert (np.diff(good.astype(int)) <= 0).all()
    values = made.observables["objective"].value[good]
    cost = {"min": values, "max": -values, "2.0": np.abs(values - 2.0)}[goal]
    assert (np.diff(cost) >= 0).all()
    assert len(made) == SEARCH.keep


def test_verdicts_are_the_model_s_own(model: Model, smallest: Conformations) -> None:
    """`valid` is the validity test of the positions, `in_support` that of the latents."""
    assert np.array_equal(smallest.valid, model.record.validity.test(smallest.positions))
    support = Support.of(model.pipeline, model.record)
    assert np.array_equal(smallest.observables["in_support"].value, support.inside(smallest.latent))


def test_the_seed_decides(model: Model, smallest: Conformations) -> None:
    """Equal seeds give equal bits, whatever torch's own generator; other seeds others."""
    torch.manual_seed(8)
    again = model.optimize("rg", search=SEARCH)
    assert np.array_equal(again.positions, smallest.positions)
    assert again.figures == smallest.figures
    assert not np.array_equal(model.optimize("rg", search=SEARCH, seed=1).positions, smallest.positions)


def test_the_mean_is_descended_on_and_flagged(model: Model) -> None:
    """`of="mean"` follows the decoded mean: its structure is the decoder's output, and its validity is told."""
    made = model.optimize("rg", of="mean", search=SEARCH, geometry="none")
    assert made.figures["of"] == "mean"
    np.testing.assert_allclose(made.positions, model.decode(made.latent), atol=1e-6)
    assert made.figures["expected"] == pytest.approx(made.figures["optimum"], abs=1e-4)
    assert made.figures["valid"] == bool(model.record.validity.test(made.positions)[0])
    assert made.figures["initial"] > made.figures["expected"]


def test_an_average_structure_that_is_none_is_flagged(tiny_model: Model) -> None:
    """The mean of a model that learned nothing has bonds of no chain: `valid` is false."""
    made = tiny_model.optimize("rg", of="mean", search=SEARCH, geometry="none")
    assert made.figures["valid"] is False
    assert made.figures["bonds"][0] < tiny_model.figures["rmsd"]


def test_the_way_is_kept(smallest: Conformations) -> None:
    """Latent and expectation of the best start at each step, from the initial figure on.

    The figure is over draws of its own: the way comes as near to it as those differ.
    """
    path = smallest.extra["path"]
    assert path["latent"].value.shape == (61, 2)
    assert path["expected"].value.shape == (61,)
    assert path["expected"].value[0] == pytest.approx(smallest.figures["initial"])
    assert path["expected"].value.min() <= 1.02 * smallest.figures["expected"]


def test_latents_do_not_leave_the_support(model: Model) -> None:
    """Following an objective without bound, latents still end inside the support of the training frames."""
    made = model.optimize("end-to-end", goal="max", search=Search(starts=8, steps=150, noise=8, draws=8))
    assert made.figures["in_support"]
    assert made.observables["in_support"].value.all()


def test_frames_given_are_compared_with(model: Model, chain: Floats) -> None:
    """With a source, best frame and quantiles are of its frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        figures = model.optimize("rg", search=SEARCH, source=chain[:50].copy()).figures
    assert figures["best_observed"] == pytest.approx(model.record.observables["rg"][:50].min(), rel=1e-5)


def test_progress_is_told(model: Model) -> None:
    """One call a step, ending at the last."""
    heard: list[int] = []
    model.optimize(
        "rg", search=Search(starts=4, steps=5, draws=8), progress=lambda step, steps, value: heard.append(step)
    )
    assert heard == [0, 1, 2, 3, 4, 5]


def test_an_objective_that_is_not_finite_is_a_clear_error(model: Model) -> None:
    """A NaN on the way, or in the gradient, is one line that names the objective."""
    for function in (lambda x: x.sum(dim=(1, 2)) * torch.nan, lambda x: (x[:, 0] - x[:, 0]).norm(dim=-1).sqrt()):
        with pytest.raises(TrajvaeError, match=r"'own'.*not finite"):
            optimize(model.pipeline, model.record, Observable("own", "", function), search=Search(starts=4, steps=3))


def test_wrong_ways_are_refused(model: Model) -> None:
    """`of` and `goal` take what they take."""
    with pytest.raises(OptionError, match="median"):
        model.optimize("rg", of="median")
    with pytest.raises(OptionError, match="least"):
        model.optimize("rg", goal="least")


def test_familiar_structures_come_first(model: Model) -> None:
    """Kept frames are familiar, stretched ones are not; among valid structures in support they come before others."""
    frames = model.record.sample.astype(float)
    assert familiar(frames, model.record).all()
    assert not familiar(1.5 * frames, model.record).any()
    found = model.optimize("rg", search=SEARCH)
    good = found.valid & (np.asarray(found.observables["in_support"].value) == 1)
    known = familiar(found.positions, model.record)[good]
    assert (np.diff(known.astype(int)) <= 0).all()


def test_a_function_is_an_objective(model: Model) -> None:
    """In Python the function itself may be given; its failures are one-line errors."""

    def width(x: torch.Tensor) -> torch.Tensor:
        return x[..., 0].amax(dim=1) - x[..., 0].amin(dim=1)

    found = model.optimize(width, goal="max", search=SEARCH)
    assert found.figures["objective"] == "width"
    assert found.figures["expected"] > found.figures["initial"]
    with pytest.raises(OptionError, match="must return a tensor"):
        model.optimize(lambda x: x.sum(), search=SEARCH)
