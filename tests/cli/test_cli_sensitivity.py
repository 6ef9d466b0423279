"""`trajvae sensitivity`, by real processes: its file, B-factors, JSON, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest

from trajvae import Model, TrainConfig
from trajvae.errors import TrajvaeWarning
from trajvae.readers.reading import Reading
from trajvae.results import Embedding, Sensitivity

from processes import Forked

ARGUMENTS = ("sensitivity", "alanine_dipeptide.xtc", "-s", "alanine_dipeptide.pdb", "--step", "20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """Alanine dipeptide, and a quick model of it."""
    path = tmp_path_factory.mktemp("alanine")
    for name in ("alanine_dipeptide.xtc", "alanine_dipeptide.pdb"):
        shutil.copy(examples / name, path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        config = TrainConfig(epochs=2, hidden=(16,))
        reading = Reading(str(path / "alanine_dipeptide.pdb"), step=50)
        Model.train(str(path / "alanine_dipeptide.xtc"), config, reading=reading, device="cpu").save(path / "model.h5")
    return path


@pytest.fixture(scope="module")
def said(folder: Path) -> dict:
    """What the command printed in that folder."""
    done = subprocess.run(
        [sys.executable, "-m", "trajvae_cli", *ARGUMENTS, "--json"], cwd=folder, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    return json.loads(done.stdout)


def test_the_command_prints_and_writes_what_python_gives(folder: Path, said: dict) -> None:
    """JSON, the file, and a PDB file for each coordinate."""
    assert (said["frames"], said["atoms"], said["residues"]) == (500, 10, 3)
    assert said["output"] == "sensitivity.h5" and said["structures"] == ["sensitivity_0.pdb", "sensitivity_1.pdb"]
    read = Sensitivity.load(folder / "sensitivity.h5")
    assert read.command == f"trajvae {' '.join(ARGUMENTS)} --json"
    model = Model.load(folder / "model.h5", "cpu")
    reading = Reading(str(folder / "alanine_dipeptide.pdb"), step=20)
    found = model.sensitivity(str(folder / "alanine_dipeptide.xtc"), reading)
    np.testing.assert_allclose(read.atoms, found.atoms, rtol=1e-12)
    assert [c["name"] for c in said["coordinates"]] == ["z0", "z1"]
    assert said["coordinates"][0]["atoms"][0]["value"] == read.atoms[0].max() > 0.0
    for k, name in enumerate(said["structures"]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = mda.Universe(str(folder / name)).atoms
        np.testing.assert_allclose(atoms.tempfactors, 100.0 * read.atoms[k] / read.atoms[k].max(), atol=0.006)


def test_for_people_it_is_a_table(folder: Path, said: dict, forked: Forked) -> None:
    """Residues and atoms side by side, the most important first."""
    done = forked(folder, *ARGUMENTS, "-o", "people.h5")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("500 frames, 10 atoms in 3 residues") and lines[1].startswith("z0, standard deviation")
    first = said["coordinates"][0]
    assert first["residues"][0]["name"] in lines[2] and first["atoms"][0]["name"] in lines[2]
    assert lines[-1] == "B-factors: people_0.pdb, people_1.pdb   all values: people.h5"
    assert (folder / "people_1.pdb").exists()


def test_frames_may_have_weights(folder: Path, said: dict, forked: Forked) -> None:
    """Of a file; what they are worth is told, and stands in the file."""
    np.save(folder / "weights.npy", np.tile([1.0, 0.0], 250))
    done = forked(folder, *ARGUMENTS, "--weights", "weights.npy", "-o", "weighted.h5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("500 frames worth 250.0 of equal weight, 10 atoms")
    held = Sensitivity.load(folder / "weighted.h5")
    assert held.weights is not None and (held.weights.file, held.weights.effective_sample_size) == ("weights.npy", 250)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ([], 1, "'sensitivity.h5' exists"),
        (["--weights", "none.npy", "-o", "new.h5"], 1, "none.npy"),
        (["-o", "other.h5"], 1, "'other_1.pdb' exists"),
        (["-m", "none.h5", "-o", "new.h5"], 1, "no model 'none.h5'"),
        (["--stop", "1", "-o", "new.h5"], 1, "at least 2 frames"),
    ],
    ids=str,
)
def test_what_is_refused(folder: Path, said: dict, forked: Forked, more: list[str], code: int, words: str) -> None:
    """In one line, with nothing written."""
    (folder / "other_1.pdb").write_text("mine")
    done = forked(folder, *ARGUMENTS, *more)
    assert done.returncode == code and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not any((folder / name).exists() for name in ("new.h5", "new_0.pdb", "other.h5", "other_0.pdb"))
    assert (folder / "other_1.pdb").read_text() == "mine"


def test_force_replaces(folder: Path, said: dict, forked: Forked) -> None:
    """All files of the output; and without a trajectory the usage is told."""
    before = (folder / "sensitivity_0.pdb").stat().st_mtime_ns
    assert forked(folder, *ARGUMENTS, "--force").returncode == 0
    assert (folder / "sensitivity_0.pdb").stat().st_mtime_ns > before
    done = forked(folder, "sensitivity")
    assert done.returncode == 2 and "as in: trajvae sensitivity traj.dcd" in done.stderr


def test_an_embedding_keeps_it(folder: Path, said: dict, forked: Forked) -> None:
    """With `--sensitivity`, the same numbers; `info` shows them, and without the option there are none."""
    done = forked(folder, "embed", *ARGUMENTS[1:], "-m", "model.h5", "--sensitivity", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sensitivity"] == {
        k: v for k, v in said.items() if k not in ("structures", "output")
    }
    held = Embedding.load(folder / "embed.h5").sensitivity
    alone = Sensitivity.load(folder / "sensitivity.h5")
    assert held is not None and held.figures.to_json() == alone.figures.to_json()
    for name in ("atoms", "residues", "spread", "fluctuation", "structure"):
        np.testing.assert_array_equal(getattr(held, name), getattr(alone, name))
    info = forked(folder, "info", "embed.h5").stdout
    assert "z0, standard deviation" in info and said["coordinates"][0]["atoms"][0]["name"] in info
    assert "/sensitivity/atoms  (2, 10)" in info
    assert forked(folder, "embed", *ARGUMENTS[1:], "-m", "model.h5", "-o", "plain.h5").returncode == 0
    assert Embedding.load(folder / "plain.h5").sensitivity is None


@pytest.mark.parametrize("number", [0, 10])
def test_info_says_what_draws_combine(folder: Path, tmp_path: Path, forked: Forked, number: int) -> None:
    """Residuals of near training frames, or those of p(x|z)."""
    model = Model.load(folder / "model.h5", "cpu")
    assert model.record.local_geometry is not None
    geometry = dataclasses.replace(model.record.local_geometry, neighbours=number)
    model.record = dataclasses.replace(model.record, local_geometry=geometry)
    model.save(tmp_path / "model.h5")
    done = forked(tmp_path, "info", "model.h5")
    wanted = "of the 10 training frames" if number else "from p(x|z)"
    assert done.returncode == 0 and f"draws about a decoded mean: residuals {wanted}" in done.stdout, done.stderr
