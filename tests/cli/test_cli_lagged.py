"""`--lag` and `--slowness`, by real processes: what is made with them, what is said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from double_well import double_well

from trajvae.training.lagged.slowness import SLOWNESS

from processes import Forked

SHORT = ("--epochs", "1", "--hidden", "8", "--align", "none", "--likelihood", "isotropic")
N = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trajectory with 2 ps between frames, and one without times."""
    out = tmp_path_factory.mktemp("lagged")
    positions = double_well(N).positions
    np.savez(out / "traj.npz", positions=positions, time=2.0 * np.arange(N) + 1.0)
    np.savez(out / "other.npz", positions=positions[:50], time=5.0 * np.arange(50) + 1.0)
    np.save(out / "untimed.npy", positions)
    return out


def test_train_says_what_the_lag_came_to(folder: Path, forked: Forked):
    done = forked(folder, "train", "traj.npz", "--lag", "10ps", "--json", "-v", *SHORT)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["lag"], said["lag_frames"], said["slowness"]) == (pytest.approx(10.0), 5, SLOWNESS)
    assert 1.0 <= said["vamp2"] <= 3.0
    assert "lag time: 5 frames (10 ps), 395 pairs of frames" in done.stderr
    assert "held-out frames at the lag time: VAMP-2 score" in done.stderr
    with h5py.File(folder / "model.h5") as file:
        group = file["trajvae"]
        assert json.loads(group.attrs["config"])["lag"] == "10ps"
        assert json.loads(group.attrs["summary"])["vamp2"] == said["vamp2"]
        assert group["history/vamp2"].shape == group["history/epoch"].shape
    described = forked(folder, "info", "model.h5")
    assert all(f"    {name}: " in described.stdout for name in ("lag", "slowness", "vamp2"))
    lines = forked(folder, "train", "--resume").stdout
    assert "held-out frames at a lag of 10 ps: VAMP-2 score" in lines


def test_embed_without_a_model_takes_a_lag(folder: Path, forked: Forked):
    done = forked(folder, "embed", "traj.npz", "--lag", "5", "--slowness", "3", "-o", "e.h5", "--json", *SHORT)
    assert done.returncode == 2 and "--lag" in done.stderr and "use 'trajvae train'" in done.stderr
    (folder / "empty").mkdir()
    done = forked(folder / "empty", "embed", "../traj.npz", "--lag", "5", "--slowness", "3", "--json", *SHORT)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["lag_frames"], said["slowness"]) == (5, 3.0) and said["vamp2"] >= 1.0


def test_compare_adds_the_score(folder: Path, forked: Forked):
    few = ("--backend", "euclidean", "--draws", "5", "--held-out", "10")
    done = forked(folder, "compare", "traj.npz", "--lag", "10ps", *few, *SHORT)
    assert done.returncode == 0, done.stderr
    assert "VAMP-2" in done.stdout
    read = forked(folder, "info", "compare.h5", "--json")
    assert read.returncode == 0
    with h5py.File(folder / "compare.h5") as file:
        assert 1.0 <= file["compare/euclidean"].attrs["vamp2"] <= 3.0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["traj.npz", "--lag", "2ns"], 1, "leaves no pair of frames: the longest trajectory has 400 frames (798 ps)"),
        (["traj.npz", "--lag", "3ps"], 2, "must be a multiple of the time between frames as they are read, 2 ps"),
        (["traj.npz", "other.npz", "--lag", "10ps"], 1, "got 2 ps in 'traj.npz' and 5 ps in 'other.npz'"),
        (["untimed.npy", "--lag", "10ps"], 1, "a lag of 10 ps needs frames with times, and the trajectories have none"),
        (["traj.npz", "--stop", "1", "--lag", "10ps"], 1, "a lag of 10 ps"),
        (["traj.npz", "--slowness", "3"], 2, "none is given (slowness 3.0): give --lag TIME"),
        (["traj.npz", "--lag", "5 hours"], 2, "a lag time is written '10ps', '2ns' or '5'"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(folder: Path, forked: Forked, arguments, code, message):
    done = forked(folder, "train", *arguments, "-o", "no.h5", *SHORT)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert [line[:6] for line in done.stderr.splitlines() if not line.startswith("warning")] == ["Error:"]
    assert not (folder / "no.h5").exists()
