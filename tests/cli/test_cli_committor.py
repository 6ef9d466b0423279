"""`trajvae kinetics --from --to`, by real processes: its file, structures, JSON, figure, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import MDAnalysis
import numpy as np
import pytest

from trajvae import Model, TrainConfig
from trajvae.errors import TrajvaeWarning
from trajvae.readers.reading import Reading

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")
Run = Callable[..., "subprocess.CompletedProcess[str]"]
LEFT, RIGHT = "z0=..-0.7", "z0=0.7.."  # whatever the latent space of so short a training is like


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path, run: Run) -> Path:
    """Alanine dipeptide, a quick model of it, and its embedding."""
    path = tmp_path_factory.mktemp("alanine")
    for name in ("alanine_dipeptide.xtc", "alanine_dipeptide.pdb"):
        shutil.copy(examples / name, path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        config = TrainConfig(epochs=2, hidden=(32,))
        reading = Reading(str(path / "alanine_dipeptide.pdb"), stop=1000)
        model = Model.train(str(path / "alanine_dipeptide.xtc"), config, reading=reading, device="cpu")
    model.save(path / "model.h5")
    run(path, "embed", "alanine_dipeptide.xtc", "-s", "alanine_dipeptide.pdb", "--stop", "1000", "-m", "model.h5")
    return path


@pytest.fixture(scope="module")
def said(folder: Path, run: Run) -> dict:
    """What the command printed in that folder."""
    done = run(folder, "kinetics", "embed.h5", "--lag", "4ps", "--from", LEFT, "--to", RIGHT, "--json")
    return json.loads(done.stdout)


def test_the_command_prints_and_writes_what_the_contract_says(folder: Path, said: dict) -> None:
    """JSON, and the committor of every frame with its number and time."""
    found = said["committor"]
    assert found["from"] == LEFT and found["to"] == RIGHT and min(found["passages"]) > 10
    assert set(found["explained"]) == set(found["explained_error"]) == {"latent", "tica", "pca"}
    with h5py.File(folder / "kinetics.h5") as file, h5py.File(folder / "embed.h5") as embedded:
        value, latent = file["committor/value"][:], embedded["observables/latent/value"][:]
        assert (value[latent[:, 0] <= -0.7] == 0.0).all() and (value[latent[:, 0] >= 0.7] == 1.0).all()
        assert np.array_equal(file["committor/step"][:], embedded["observables/latent/step"][:])
        np.testing.assert_allclose(file["committor/time"][:], embedded["observables/latent/time"][:])
        assert len(file["transition_states/row"]) == found["transition_states"] > 0


def test_transition_states_are_frames(folder: Path, said: dict) -> None:
    """Of the trajectory, with the atoms of the model's selection."""
    assert said["committor"]["structures"] == "transition_states.pdb"
    with h5py.File(folder / "kinetics.h5") as file:
        steps, committor = file["transition_states/step"][:], file["transition_states/committor"][:]
    assert ((committor >= 0.45) & (committor <= 0.55)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = MDAnalysis.Universe(str(folder / "alanine_dipeptide.pdb"), str(folder / "alanine_dipeptide.xtc"))
        heavy = whole.select_atoms("not element H")
        written = MDAnalysis.Universe(str(folder / "transition_states.pdb"))
        assert len(written.trajectory) == min(len(steps), 100)
        whole.trajectory[int(steps[0])]
        assert written.atoms.names.tolist() == heavy.names.tolist()
        distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (written.atoms.positions, heavy.positions)]
        assert np.abs(distances[0] - distances[1]).max() < 0.01


def test_the_trajectory_itself(run: Run, folder: Path, said: dict, tmp_path: Path) -> None:
    """Read with the model: the same committors, and the text says them."""
    typed = ("kinetics", "alanine_dipeptide.xtc", "-s", "alanine_dipeptide.pdb", "--stop", "1000", "--lag", "4ps")
    done = run(folder, *typed, "--from", LEFT, "--to", RIGHT, "-o", str(tmp_path / "kinetics.h5"))
    assert f"committor from {LEFT}" in done.stdout and "transition states (committor 0.45 to 0.55)" in done.stdout
    assert (tmp_path / "transition_states.pdb").is_file()
    with h5py.File(folder / "kinetics.h5") as file, h5py.File(tmp_path / "kinetics.h5") as other:
        np.testing.assert_allclose(file["committor/value"][:], other["committor/value"][:], atol=1e-6)


def test_basins_and_frames(run: Run, folder: Path, said: dict, tmp_path: Path) -> None:
    """Basins by the number in free_energy.h5 beside, or in a file that is named; frames in a file."""
    (folder / "fe").mkdir(exist_ok=True)
    with h5py.File(folder / "embed.h5") as file:
        np.savetxt(folder / "right.txt", np.flatnonzero(file["observables/latent/value"][:, 0] >= 0.7), fmt="%d")
    run(folder, "free-energy", "embed.h5", "--temperature", "700", "-o", "fe/free_energy.h5", "--resamples", "20")
    typed = ("kinetics", "embed.h5", "--lag", "4ps", "--json", "-o", str(tmp_path / "kinetics.h5"), "-f")
    done = json.loads(run(folder, *typed, "--from", LEFT, "--to", "right.txt").stdout)
    assert {**done["committor"], "to": RIGHT, "structures": ""} == {**said["committor"], "structures": ""}
    missing = run(folder, *typed, "--from", "0", "--to", "right.txt", code=1)
    assert "'free_energy.h5', which is not there: make it with 'trajvae free-energy" in missing.stderr
    far = run(folder, *typed, "--from", "77", "--to", "right.txt", "--basins", "fe/free_energy.h5", code=2)
    assert "has basins 0 to" in far.stderr


def test_what_exists_is_kept(run: Run, folder: Path, said: dict) -> None:
    """The file, and the structures; both before any work."""
    done = run(folder, "kinetics", "embed.h5", "--lag", "4ps", "--from", LEFT, "--to", RIGHT, "-o", "new.h5", code=1)
    assert "transition_states.pdb" in done.stderr and "--force" in done.stderr and not (folder / "new.h5").exists()


@pytest.mark.parametrize(
    ("regions", "code", "message"),
    [
        (["--from", "z0=..0.5", "--to", "z0=0..1"], 2, "must not overlap"),
        (["--from", LEFT], 2, "give both --from and --to"),
        (["--from", "z0=..0", "--to", "z0=0.."], 1, "no frame lies outside"),
    ],
)
def test_what_is_refused(run: Run, folder: Path, regions: list[str], code: int, message: str) -> None:
    """With one line."""
    done = run(folder, "kinetics", "embed.h5", "--lag", "4ps", "-o", "refused.h5", "-f", *regions, code=code)
    assert message in done.stderr and "Traceback" not in done.stderr and not (folder / "refused.h5").exists()


def test_a_trajectory_that_has_gone_is_told(run: Run, folder: Path, said: dict, tmp_path: Path) -> None:
    """The file is written without structures."""
    shutil.copy(folder / "embed.h5", tmp_path / "embed.h5")
    done = run(tmp_path, "kinetics", "embed.h5", "--lag", "4ps", "--from", LEFT, "--to", RIGHT, "--json")
    assert "no PDB file of the transition states" in done.stderr
    found = json.loads(done.stdout)["committor"]
    assert "structures" not in found and set(found["explained"]) == {"latent"}


def test_the_file_is_drawn(run: Run, folder: Path, said: dict) -> None:
    """With the committor and the outcomes."""
    done = run(folder, "plot", "kinetics.h5", "--json", "-f")
    assert json.loads(done.stdout)["panels"][-2:] == ["committor", "outcomes"]
