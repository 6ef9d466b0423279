"""`trajvae free-energy`, by real processes: its file, structures, JSON, figure, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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
from trajvae.results import Embedding, FreeEnergy

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path, run: Run) -> Path:
    """Alanine dipeptide, a quick model of it, and its embedding."""
    path = tmp_path_factory.mktemp("alanine")
    for name in ("alanine_dipeptide.xtc", "alanine_dipeptide.pdb"):
        shutil.copy(examples / name, path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        config = TrainConfig(epochs=2, hidden=(32,))
        reading = Reading(str(path / "alanine_dipeptide.pdb"), step=5)
        model = Model.train(str(path / "alanine_dipeptide.xtc"), config, reading=reading, device="cpu")
    model.save(path / "model.h5")
    run(path, "embed", "alanine_dipeptide.xtc", "-s", "alanine_dipeptide.pdb", "--step", "5", "-m", "model.h5")
    return path


@pytest.fixture(scope="module")
def said(folder: Path) -> dict:
    """What the command printed in that folder."""
    full = [sys.executable, "-m", "trajvae_cli", "free-energy", "embed.h5", "--temperature", "300", "--json"]
    done = subprocess.run(full, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and done.stderr == ""
    return json.loads(done.stdout)


def test_the_command_prints_and_writes_what_the_contract_says(folder: Path, said: dict) -> None:
    """JSON, the file, and a PDB file a basin."""
    assert said["temperature"] == 300.0 and said["output"] == "free_energy.h5"
    assert 1.0 < said["effective_samples"] < 2000.0 and said["correlation_unit"] == "ps"
    assert sum(b["population"] for b in said["basins"]) == pytest.approx(1.0)
    with h5py.File(folder / "free_energy.h5") as file:
        assert list(file["free_energy"]) == ["z0-z1"]
        assert file["basins/population"][:].tolist() == [b["population"] for b in said["basins"]]
        assert file["trajvae"].attrs["command"] == "trajvae free-energy embed.h5 --temperature 300 --json"


def test_structures_are_the_frames_that_represent_basins(folder: Path, said: dict) -> None:
    """Of the trajectory, by the number in the file, with the atoms of the model's selection."""
    embedding = Embedding.load(folder / "embed.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = MDAnalysis.Universe(str(folder / "alanine_dipeptide.pdb"), str(folder / "alanine_dipeptide.xtc"))
        heavy = whole.select_atoms("not element H")
        for k, basin in enumerate(said["basins"]):
            which = basin["representative"]
            assert which["structure"] == f"basin_{k}.pdb" and which["frame"] in embedding.frame
            found = MDAnalysis.Universe(str(folder / which["structure"])).atoms
            whole.trajectory[which["frame"]]
            assert found.names.tolist() == heavy.names.tolist()
            distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (found.positions, heavy.positions)]
            assert np.abs(distances[0] - distances[1]).max() < 0.01


def test_text_says_the_basins(run: Run, folder: Path, said: dict) -> None:
    """A line a basin, with errors."""
    text = run(folder, "free-energy", "embed.h5", "--temperature", "300", "-f").stdout
    assert text.count("kJ/mol, represented by basin_") == len(said["basins"]) and "free energy: free_energy.h5" in text


def test_a_model_is_enough(run: Run, folder: Path, tmp_path: Path) -> None:
    """Its training frames, at the same temperature."""
    shutil.copy(folder / "model.h5", tmp_path / "model.h5")
    done = run(tmp_path, "free-energy", "model.h5", "--temperature", "300", "--json", "--resamples", "20")
    assert json.loads(done.stdout)["frames"] == 2000


def test_a_trajectory_that_has_gone_is_told(run: Run, folder: Path, tmp_path: Path) -> None:
    """The free energy is written without structures; where it is said where the trajectory is, with them."""
    with h5py.File(folder / "embed.h5") as file:
        names = file["trajvae/files"].asstr()[:].tolist()
    assert names == ["alanine_dipeptide.xtc"]
    shutil.copy(folder / "embed.h5", tmp_path / "embed.h5")
    typed = ("free-energy", "embed.h5", "--temperature", "300", "--json", "--resamples", "20")
    done = run(tmp_path, *typed)
    assert "no PDB files of the basins" in done.stderr and "--trajectory" in done.stderr
    assert "structure" not in json.loads(done.stdout)["basins"][0]["representative"]
    assert not list(tmp_path.glob("*.pdb"))
    where = ("--trajectory", str(folder / "alanine_dipeptide.xtc"), "-s", str(folder / "alanine_dipeptide.pdb"))
    assert json.loads(run(tmp_path, *typed, "-f", *where).stdout)["basins"][0]["representative"]["structure"]
    run(tmp_path, *typed, "-f", "--trajectory", "nowhere.xtc", code=1)


def test_force_removes_what_an_earlier_run_wrote(run: Run, folder: Path, said: dict, tmp_path: Path) -> None:
    """Basins that are no more, as the file that is replaced names them; no others, and nothing in other folders."""
    here, n = tmp_path / "here", len(said["basins"])
    here.mkdir()
    shutil.copy(folder / "embed.h5", here / "embed.h5")
    earlier = (*(f"basin_{k}.pdb" for k in range(n + 2)), "../mine.pdb", "mine.pdb")
    held = FreeEnergy.load(folder / "free_energy.h5").with_structures(earlier)
    held.save(here / "free_energy.h5")
    for name in (*earlier, "basin_99.pdb"):
        (here / name).write_text("old")
    where = ("--trajectory", str(folder / "alanine_dipeptide.xtc"), "-s", str(folder / "alanine_dipeptide.pdb"))
    run(here, "free-energy", "embed.h5", "--temperature", "300", "-f", *where)
    kept = {path.name for path in here.glob("*.pdb")}
    assert kept == {*(f"basin_{k}.pdb" for k in range(n)), "basin_99.pdb", "mine.pdb"}
    assert (tmp_path / "mine.pdb").read_text() == "old"


def test_what_exists_is_kept(run: Run, folder: Path, said: dict) -> None:
    """The file, and the structures; both before any work."""
    before = (folder / "free_energy.h5").read_bytes()
    done = run(folder, "free-energy", "embed.h5", "--temperature", "300", "-o", "other.h5", code=1)
    assert "basin_0.pdb" in done.stderr and "--force" in done.stderr and not (folder / "other.h5").exists()
    assert (folder / "free_energy.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["embed.h5"], 2, "--temperature"),
        (["embed.h5", "--temperature", "0"], 2, "above 0 K"),
        (["embed.h5", "--temperature", "300", "--pair", "z0-z7"], 2, "z0-z1"),
        (["embed.h5", "--temperature", "300", "--bins", "1"], 2, "from 2 to 500"),
        (["nothing.h5", "--temperature", "300"], 1, "no file 'nothing.h5'"),
        (["alanine_dipeptide.pdb", "--temperature", "300"], 1, "HDF5"),
    ],
)
def test_what_is_refused(run: Run, folder: Path, arguments: list[str], code: int, message: str) -> None:
    """With one line."""
    done = run(folder, "free-energy", *arguments, "-f", code=code)
    assert message in done.stderr and "Traceback" not in done.stderr


def test_the_file_is_drawn_and_described(run: Run, folder: Path, said: dict) -> None:
    """With errors and basins; `info` knows its kind."""
    done = run(folder, "plot", "free_energy.h5", "--json", "-f")
    assert json.loads(done.stdout)["panels"] == ["free_energy", "free_energy_error", "basins"]
    assert (folder / "free_energy.png").read_bytes().startswith(b"\x89PNG")
    assert "free_energy.h5: free_energy" in run(folder, "info", "free_energy.h5").stdout


def test_weights_of_a_colvar_file_are_matched_by_time(folder: Path, run: Run) -> None:
    """They are used, and the file says where they came from; a time without a row is named."""
    with h5py.File(folder / "embed.h5") as file:
        time = file["observables/latent/time"][:]
    bias = 2.0 * np.sin(time) ** 2
    rows = [f" {t:.4f} {v:.6f}\n" for t, v in zip(time, bias, strict=True)]
    (folder / "COLVAR").write_text("#! FIELDS time metad.bias\n" + "".join(rows))
    (folder / "SHORT").write_text("#! FIELDS time metad.bias\n" + "".join(rows[:-3]))
    (folder / "weighted").mkdir()
    arguments = ("free-energy", "embed.h5", "--temperature", "300", "-o", "weighted/free_energy.h5", "--weights")
    wrong = run(folder, *arguments, "SHORT", code=1)
    assert f"no row at {time[-3]:.10g} ps" in wrong.stderr
    run(folder, *arguments, "COLVAR")
    with h5py.File(folder / "weighted" / "free_energy.h5") as file:
        told = json.loads(file["trajvae"].attrs["weights"])
    w = np.exp(bias / (8.31446261815324e-3 * 300.0))
    assert told["column"] == "metad.bias"
    assert told["effective_sample_size"] == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-3)
