"""What the commands say of whether a model, and what was made with it, can be used."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trajvae.plots import read

VERDICTS = ("good", "usable with care", "not usable")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`trajvae ARGUMENTS` in a folder; must end with status 0."""
    command = [sys.executable, "-m", "trajvae_cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A folder with a model of the 2-D chain, and trajectories that it does and does not know."""
    out = tmp_path_factory.mktemp("verdicts")
    positions = np.load(examples / "chain2d_close.npz")["positions"][:2000]
    np.save(out / "traj.npy", positions)
    np.save(out / "again.npy", positions[5:400:10])
    np.save(out / "swollen.npy", 1.6 * positions[:40])
    run(out, "train", "traj.npy", "--epochs", "20", "--hidden", "64")
    return out


def asked(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """A command's JSON, and what it prints for people."""
    found = json.loads(run(folder, *arguments, "--json").stdout)
    assert found["verdict"] in VERDICTS
    assert all(set(reason) == {"name", "severity", "text", "step"} for reason in found["reasons"])
    text = run(folder, *arguments, "--force").stdout
    assert f"verdict: {found['verdict']}" in text
    assert all(reason["text"] in text and reason["step"] in text for reason in found["reasons"])
    return found, text


def names(found: dict[str, Any]) -> set[str]:
    """The reasons' short names."""
    return {reason["name"] for reason in found["reasons"]}


def test_training_is_judged_and_info_repeats_it(folder: Path) -> None:
    """The verdict stands in the model's figures."""
    found = json.loads(run(folder, "info", "model.h5", "--json").stdout)
    shown = run(folder, "info", "model.h5").stdout
    summary = found.get("summary", found)
    assert summary["verdict"] in VERDICTS and f"verdict: {summary['verdict']}" in shown


def test_frames_that_the_model_knows_are_accepted(folder: Path) -> None:
    """Training frames are neither unknown nor out of support."""
    found, _ = asked(folder, "embed", "again.npy", "-o", "again.h5")
    assert not names(found) & {"unknown_frames", "out_of_support"}


def test_frames_of_another_size_are_refused_by_name(folder: Path) -> None:
    """A chain that is stretched by 60 % is unknown; the file flags each frame."""
    found, _ = asked(folder, "embed", "swollen.npy", "-o", "swollen.h5")
    assert found["verdict"] == "not usable" and "unknown_frames" in names(found)
    with h5py.File(folder / "swollen.h5") as file:
        assert file["observables/in_support/value"].shape == (40,)


def test_generated_conformations_are_judged(folder: Path) -> None:
    """Few valid draws are a reason, many are none."""
    found, _ = asked(folder, "generate", "-n", "100", "-o", "draws.h5md")
    assert ("conformations_not_valid" in names(found)) == (found["valid"] < 90)


def test_optima_are_judged(folder: Path) -> None:
    """A goal that no chain of this model reaches is out of support, not valid, or no better than a frame."""
    found, _ = asked(folder, "optimize", "--objective", "rg", "--goal", "max", "-o", "best.h5md")
    assert found["valid"] or "optimum_not_valid" in names(found)
    assert found["in_support"] or "optimum_out_of_support" in names(found)


def test_marginals_without_their_table_are_read_from_the_groups(
    folder: Path, tmp_path: Path, edited: Callable[[Path], AbstractContextManager[h5py.File]]
) -> None:
    """Files of older versions lack `/table`; its numbers are those of the groups."""
    run(folder, "marginals", "traj.npy", "-o", "marginals.h5")
    new, old = folder / "marginals.h5", tmp_path / "old.h5"
    shutil.copy(new, old)
    with edited(old) as file:
        del file["table"]
    fast, slow = read(new), read(old)
    assert set(fast.table) == set(slow.table)
    for name, one in fast.table.items():
        other = slow.table[name]
        assert one.jsd == pytest.approx(other.jsd) and one.noise_floor == pytest.approx(other.noise_floor)
        np.testing.assert_allclose(one.simulation, other.simulation)
        np.testing.assert_allclose(one.model, other.model)
