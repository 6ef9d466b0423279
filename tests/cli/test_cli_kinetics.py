"""`trajvae kinetics`, by real processes: its file, JSON, baselines, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pytest

import trajvae
from trajvae import Model, TrainConfig
from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.readers.reading import Reading
from trajvae.results import Kinetics

pytest.importorskip("deeptime", reason="deeptime has no wheel for this machine; trajvae[kinetics] installs it")
Run = Callable[..., "subprocess.CompletedProcess[str]"]
TRAJECTORY = ("alanine_dipeptide.xtc", "-s", "alanine_dipeptide.pdb", "--step", "10")
LAGS = ("--lag", "40ps,80ps")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path, run: Run) -> Path:
    """Alanine dipeptide, a quick model of it, and its embedding."""
    path = tmp_path_factory.mktemp("slow")
    for name in ("alanine_dipeptide.xtc", "alanine_dipeptide.pdb"):
        shutil.copy(examples / name, path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every_other = mda.Universe(str(path / "alanine_dipeptide.pdb"), str(path / "alanine_dipeptide.xtc"))
        every_other.atoms.write(str(path / "sparse.xtc"), frames=every_other.trajectory[:200:2])
        reading = Reading(str(path / "alanine_dipeptide.pdb"), step=10)
        config = TrainConfig(epochs=2, hidden=(32,))
        model = Model.train(str(path / "alanine_dipeptide.xtc"), config, reading=reading, device="cpu")
    model.save(path / "model.h5")
    run(path, "embed", *TRAJECTORY, "-m", "model.h5")
    return path


@pytest.fixture(scope="module")
def said(folder: Path) -> dict:
    """What the command printed of the trajectory with the model of its folder."""
    full = [sys.executable, "-m", "trajvae_cli", "kinetics", *TRAJECTORY, *LAGS, "--json"]
    done = subprocess.run(full, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_command_prints_and_writes_what_the_contract_says(folder: Path, said: dict) -> None:
    """Scores, time scales and states, with TICA and PCA beside the latent coordinates."""
    assert said["output"] == "kinetics.h5" and said["lag"] in (40.0, 80.0) and said["lag_unit"] == "ps"
    assert list(said["vamp2"]) == ["latent", "tica", "pca"] and said["frames"] == 1000
    assert all(1.0 <= score <= 3.0 for score in said["vamp2"].values())
    assert list(said["timescales"]) == ["markov", "latent", "tica", "pca"]
    assert said["timescales"]["latent"]["lag"] == [40.0, 80.0]
    with h5py.File(folder / "kinetics.h5") as file:
        assert file["scores/name"].asstr()[:].tolist() == ["latent", "tica", "pca"]
        assert file["timescales/markov/value"][:, 0].tolist() == [v[0] for v in said["timescales"]["markov"]["value"]]
        assert file["trajvae"].attrs["states"] == said["states"] == 16
        assert file["trajvae"].attrs["command"].startswith("trajvae kinetics alanine_dipeptide.xtc")
        assert (np.diff(file["observables/state/step"][:]) == 10).all()


def test_an_embedding_gives_the_same(run: Run, folder: Path, said: dict) -> None:
    """Its trajectories and its model are read again, as the file names them."""
    done = run(folder, "kinetics", "embed.h5", *LAGS, "--json", "-o", "again.h5")
    again = json.loads(done.stdout)
    assert "left out" not in done.stderr
    assert again["vamp2"] == pytest.approx(said["vamp2"], abs=1e-4) and again["lag"] == said["lag"]
    assert "again.h5: kinetics" in run(folder, "info", "again.h5").stdout


def test_an_embedding_alone_has_no_baselines(run: Run, folder: Path, tmp_path: Path) -> None:
    """One warning says why, and how to get them; the latent coordinates' figures are the same."""
    shutil.copy(folder / "embed.h5", tmp_path / "embed.h5")
    done = run(tmp_path, "kinetics", "embed.h5", "--lag", "40ps", "--states", "10")
    assert done.stderr.count("TICA and PCA of the model's features are left out") == 1
    assert "which is not there" in done.stderr and "'trajvae kinetics TRAJ... -m model.h5' has them" in done.stderr
    assert "latent" in done.stdout and "  TICA" not in done.stdout and "Markov model of" in done.stdout
    assert Kinetics.load(tmp_path / "kinetics.h5").scores[0].name == "latent"
    shutil.copy(folder / "model.h5", tmp_path / "model.h5")
    with h5py.File(tmp_path / "embed.h5", "r+") as file:
        file["trajvae"].attrs["model_hash"] = "of another"
        del file["trajvae/checksums"]
        del file["trajvae"].attrs["checksum"]
    done = run(tmp_path, "kinetics", "embed.h5", "--lag", "4", "--states", "10", "-f")
    assert "'model.h5' is another model than was applied" in done.stderr.replace(f"{tmp_path}/", "")


def test_python_does_the_same(folder: Path, said: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Model.kinetics` and `trajvae.kinetics`; a model's own frames have no times."""
    monkeypatch.chdir(folder)
    model = Model.load("model.h5", "cpu")
    reading = Reading("alanine_dipeptide.pdb", step=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        found = model.kinetics("alanine_dipeptide.xtc", reading, lags=["40ps", "80ps"])
        own = model.kinetics(lags=5, states=16)
        array = trajvae.kinetics(model.record.latent, lags=[Lag := 5], features=model.record.latent)
    with pytest.warns(TrajvaeWarning, match="left out: a model keeps the latent points of its training frames"):
        assert trajvae.kinetics("model.h5", lags=5, states=16).figures.vamp2 == own.figures.vamp2
    assert found.figures.vamp2 == pytest.approx(said["vamp2"], abs=1e-9)
    assert own.lag == Lag and own.lag_unit == "frame" and [s.name for s in own.scores] == ["latent"]
    assert array.figures.vamp2["tica"] == pytest.approx(array.figures.vamp2["latent"], abs=1e-9)
    with pytest.raises(OptionError, match="weights are those of trajectories"):
        model.kinetics(lags=5, weights=np.ones(1000))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["embed.h5"], 2, "--lag"),
        ([*TRAJECTORY, "--lag", "2000ps"], 2, "up to 47 frames (1880ps) would do"),
        (["embed.h5", "--lag", "9us"], 2, "up to 47 frames (1880ps) would do"),
        (["embed.h5", "--lag", "30ps"], 2, "a multiple of the time between frames"),
        (["embed.h5", "--lag", "soon"], 2, "a lag time is written '10ps'"),
        (["embed.h5", "--lag", ","], 2, "a lag time at least"),
        (["model.h5", "--lag", "20ps"], 1, "give the lag as a number of frames"),
        (["embed.h5", "--lag", "40ps", "--states", "1"], 2, "from 2 to 100"),
        (["embed.h5", "--lag", "40ps", "-m", "model.h5"], 2, "--model would need trajectories"),
        (["nothing.h5", "--lag", "20ps"], 1, "no file 'nothing.h5'"),
        (["alanine_dipeptide.pdb", "--lag", "1"], 1, "many frames, and the longest has 1"),
        (["sparse.xtc", *TRAJECTORY[:3], "--lag", "2"], 1, "needs trajectories with the same time between frames"),
        ([*TRAJECTORY, "--stop", "300", "--lag", "1"], 1, "at least 50 frames, got 30"),
        ([*TRAJECTORY, "--lag", "1", "--temperature", "300"], 2, "no weights are given"),
        ([*TRAJECTORY, "--lag", "1", "--weights", "weights.npy"], 2, "one weight a trajectory"),
        (["embed.h5", "--lag", "1", "--weights", "weights.npy"], 2, "one weight a trajectory"),
        (["embed.h5", "--lag", "1", "-o", "embed.h5"], 1, "is read"),
    ],
)
def test_what_is_refused(run: Run, folder: Path, arguments: list[str], code: int, message: str) -> None:
    """With one line."""
    np.save(folder / "weights.npy", np.linspace(1.0, 2.0, 1000))
    done = run(folder, "kinetics", *arguments, *([] if "-o" in arguments else ["-f"]), code=code)
    assert message in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


def test_weights_of_trajectories_count_their_pairs(run: Run, folder: Path, said: dict) -> None:
    """Equal weights change nothing; the file says where they came from."""
    np.save(folder / "equal.npy", np.full(1000, 3.0))
    typed = ("kinetics", "embed.h5", *LAGS, "--json", "-o", "weighted.h5", "--weights", "equal.npy")
    assert json.loads(run(folder, *typed).stdout)["vamp2"] == pytest.approx(said["vamp2"], abs=1e-4)
    with h5py.File(folder / "weighted.h5") as file:
        assert json.loads(file["trajvae"].attrs["weights"])["file"] == "equal.npy"


def test_what_exists_is_kept(run: Run, folder: Path, said: dict) -> None:
    """Before any work."""
    before = (folder / "kinetics.h5").read_bytes()
    assert "--force" in run(folder, "kinetics", "embed.h5", "--lag", "1", code=1).stderr
    assert (folder / "kinetics.h5").read_bytes() == before
