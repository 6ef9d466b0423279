"""Local geometry of what a trained Cartesian model draws: options, files, and models of earlier versions."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OptionError
from trajvae.outputs.drawing.local_geometry import GeometryRestorer

from helpers import edited


@pytest.fixture(scope="module")
def kinase() -> Model:
    """A short training on C-alphas, of which no draw from p(x|z) is valid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Model.train(DCD, TrainConfig(epochs=30, hidden=(32,)), reading=Reading(PSF, "name CA"), device="cpu")


def share_valid(model: Model, **drawing: object) -> float:
    """Of 60 draws, before any is drawn again."""
    found = model.generate(60, seed=1, redraws=0, **drawing)  # type: ignore[arg-type]
    return found.figures.valid / found.figures.n


def test_draws_are_valid_by_default_and_are_p_of_x_given_z_without(kinase: Model) -> None:
    """The figures say which they are."""
    assert share_valid(kinase) > 0.9 > 0.05 > share_valid(kinase, geometry="none")
    assert kinase.generate(2).figures.geometry == "simulated"
    assert kinase.generate(2, geometry="none").figures.geometry == "none"


def test_the_training_s_share_of_valid_draws_is_that_of_what_is_drawn(kinase: Model) -> None:
    """The verdict on a training is about the conformations that a user gets."""
    assert kinase.figures.draws_valid > 0.9


def test_drawn_again_and_in_threads_it_is_the_same(kinase: Model) -> None:
    """Seed and number decide."""
    first, second = (kinase.generate(150, seed=3).positions for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_paths_and_means_are_valid(kinase: Model) -> None:
    """Bonds of averages are too short; those that are given are usual ones."""
    raw, usual = (kinase.path(0, 90, frames=12, metric="flat", geometry=g).figures for g in ("none", "simulated"))
    assert usual.valid == 12 >= raw.valid
    assert kinase.generate(20, mean=True).valid.all()


def test_optima_take_the_option(kinase: Model) -> None:
    """The best structure is a valid draw."""
    assert kinase.optimize("rg").figures.valid


def test_marginals_take_the_option(examples: Path) -> None:
    """Bonds of restored draws are nearer to the simulation's than those of p(x|z)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = TrainConfig(epochs=20, hidden=(16,), likelihood="isotropic")
        reading = Reading(examples / "alanine_dipeptide.pdb", step=20)
        model = Model.train(examples / "alanine_dipeptide.xtc", config, reading=reading, device="cpu")
    kinds = {g: {k.kind: k.jsd for k in model.marginals(geometry=g).kinds} for g in ("none", "simulated")}
    bonds = next(kind for kind in kinds["none"] if kind.startswith("bond"))
    assert kinds["simulated"][bonds] < 0.8 * kinds["none"][bonds]


def test_a_file_keeps_the_tables(kinase: Model, tmp_path: Path) -> None:
    """Loaded, it draws the same conformations."""
    kinase.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5")
    assert again.record.local_geometry is not None
    np.testing.assert_array_equal(again.generate(20).positions, kinase.generate(20).positions)


def test_files_of_earlier_versions_have_tables_made_of_their_frames(kinase: Model, tmp_path: Path) -> None:
    """They draw valid conformations too, the same each time."""
    kinase.save(tmp_path / "model.h5")
    with edited(tmp_path / "model.h5") as file:
        del file["trajvae/local_geometry"]
    old = Model.load(tmp_path / "model.h5")
    assert old.record.local_geometry is None and share_valid(old) > 0.9
    np.testing.assert_array_equal(old.generate(5).positions, old.generate(5).positions)


def test_other_geometries_are_refused(kinase: Model) -> None:
    """With the names of those that there are."""
    with pytest.raises(OptionError, match=r"no geometry 'crystal'.*simulated"):
        kinase.generate(1, geometry="crystal")
    with pytest.raises(OptionError, match="no geometry"):
        kinase.path(0, 1, geometry="crystal")


def test_internal_coordinates_have_no_need_of_it(chain: np.ndarray) -> None:
    """Their draws have the simulation's bonds by themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model.train(chain, TrainConfig(epochs=2, hidden=(8,), features="internal"), device="cpu")
    restorer = GeometryRestorer(model.pipeline, model.record)
    assert restorer.name is None and model.record.local_geometry is None
    assert model.generate(2).figures.geometry is None
