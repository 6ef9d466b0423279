"""examples/metadynamics.py: a few ps of it, and what it computes of frames."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from trajvae import Model

SCRIPT = Path(__file__).parents[2] / "examples" / "metadynamics.py"
pytest.importorskip("openmm")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The script, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("metadynamics_example", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_it_runs(
    example: ModuleType,
    trained: Callable[..., Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """20 frames with a model that is there already; a trajectory, a COLVAR without the filling, a surface, a model."""
    trained().save(tmp_path / "model.h5")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--time", "0.02", "--output", str(tmp_path)])
    with warnings.catch_warnings():
        example.main()
    assert "biased: 0.02 ns at 500 K" in capsys.readouterr().out
    header, *rows = (tmp_path / "COLVAR").read_text().splitlines()
    assert header == "#! FIELDS time z0 z1 metad.bias" and len(rows) == 16
    with np.load(tmp_path / "free_energy.npz") as arrays:
        assert arrays["free_energy"].shape == (len(arrays["z1"]), len(arrays["z0"]))
        assert arrays["free_energy"].min() == 0.0
    assert (tmp_path / "biased.xtc").stat().st_size > 0
    weights = Model.load(tmp_path / "again.h5").record.frame_weights
    assert weights is not None and weights.column == "metad.bias" and len(weights) == 16


def test_differences_and_crossings(example: ModuleType) -> None:
    """Of weighted frames that are known: the logarithm of a ratio with its jackknife error; changes between cores."""
    random = np.random.default_rng(0)
    phi = np.where(random.random(20_000) < 0.1, 60.0, -90.0)
    weights = np.where(phi > 0.0, 3.0, 1.0)
    found = example.difference(phi, weights)
    exact = -example.KT * np.log(0.3 / 0.9)
    # the error of the logarithm of a ratio of counts n p and n (1 - p)
    error = example.KT / np.sqrt(20_000 * 0.1 * 0.9)
    assert abs(found.value - exact) < 4.0 * error and 0.4 * error < found.error < 2.0 * error
    assert example.crossings(np.array([-90.0, -90.0, 60.0, 150.0, 60.0, -100.0, 170.0, -60.0])) == 2
