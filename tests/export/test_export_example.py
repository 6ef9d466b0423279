"""examples/metadynamics.py and opes.py: a few ps of each, and what they compute of frames."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from trajvae import Model

FOLDER = Path(__file__).parents[2] / "examples"
# by name: the column of the bias, and the package that is needed
EXAMPLES = {"metadynamics": ("metad.bias", "openmm"), "opes": ("opes.bias", "openmm_opes")}
pytest.importorskip("openmm")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """A script of the examples, which belong to no package, by its name."""
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for name in (*EXAMPLES, "alanine_simulation"):
        sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs(
    example: Callable[[str], ModuleType],
    name: str,
    trained: Callable[..., Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """20 frames with a model that is there already: a trajectory, a COLVAR without the filling, and a surface.

    The new model, which both examples train alike, is left to the first.
    """
    column, package = EXAMPLES[name]
    pytest.importorskip(package)
    trained().save(tmp_path / "model.h5")
    script, alanine = example(name), example("alanine_simulation")
    monkeypatch.setattr(sys, "argv", [name, "--time", "0.02", "--output", str(tmp_path)])
    monkeypatch.setitem(alanine.TRAINING, "epochs", 2)
    if name == "opes":
        monkeypatch.setattr(alanine, "train_again", lambda *_: None)
    with warnings.catch_warnings():
        alanine.main("", name, script.simulate)
    assert "biased: 0.02 ns at 500 K" in capsys.readouterr().out
    header, *rows = (tmp_path / "COLVAR").read_text().splitlines()
    assert header == f"#! FIELDS time z0 z1 {column}" and len(rows) == 16
    with np.load(tmp_path / "free_energy.npz") as arrays:
        assert arrays["free_energy"].shape == (len(arrays["z1"]), len(arrays["z0"]))
        assert arrays["free_energy"].min() == 0.0
    assert (tmp_path / "biased.xtc").stat().st_size > 0
    if name == "metadynamics":
        weights = Model.load(tmp_path / "again.h5").record.frame_weights
        assert weights is not None and weights.column == column and len(weights) == 16


def test_the_bias_is_that_of_the_free_energy(example: Callable[[str], ModuleType]) -> None:
    """Metadynamics fills its share of the free energy: at points of the grid, the first coordinate the last axis."""
    from openmm import app, openmm

    axes = [app.BiasVariable(openmm.CustomBondForce("r"), -1.0, 1.0, 0.1, False, n) for n in (3, 5)]
    free_energy = -np.arange(15.0).reshape(5, 3)
    found = example("metadynamics").bias_at(
        np.array([[-1.0, -1.0], [0.0, -1.0], [1.0, 1.0], [9.0, 0.0]]), free_energy, axes
    )
    np.testing.assert_allclose(found, 5.0 / 6.0 * np.array([0.0, 1.0, 14.0, 0.0]), atol=1e-12)


def test_differences_and_crossings(example: Callable[[str], ModuleType]) -> None:
    """Of weighted frames that are known: the logarithm of a ratio with its jackknife error; changes between cores."""
    alanine = example("alanine_simulation")
    random = np.random.default_rng(0)
    phi = np.where(random.random(20_000) < 0.1, 60.0, -90.0)
    weights = np.where(phi > 0.0, 3.0, 1.0)
    found = alanine.difference(phi, weights)
    exact = -alanine.KT * np.log(0.3 / 0.9)
    # the error of the logarithm of a ratio of counts n p and n (1 - p)
    error = alanine.KT / np.sqrt(20_000 * 0.1 * 0.9)
    assert abs(found.value - exact) < 4.0 * error and 0.4 * error < found.error < 2.0 * error
    assert alanine.crossings(np.array([-90.0, -90.0, 60.0, 150.0, 60.0, -100.0, 170.0, -60.0])) == 2
