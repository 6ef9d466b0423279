"""Colours of the latent map and trajectories over one another, by real processes as a user would type them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests.datafiles import DCD2

from trajvae import Model
from trajvae.store import read_model

ROOT = Path(__file__).parents[2]


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """`trajvae WORDS` in a folder."""
    command = [sys.executable, "-m", "trajvae_cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(adk: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of adenylate kinase's C-alphas, embeddings of two trajectories by it, and another model."""
    place = tmp_path_factory.mktemp("colours")
    small = ["-s", adk[0], "--select", "name CA", "--epochs", "3", "--hidden", "16"]
    for words in (
        ["embed", adk[1], *small, "-o", "a.h5"],
        ["embed", DCD2, "-s", adk[0], "-o", "b.h5"],
        ["embed", adk[1], DCD2, "-s", adk[0], "-o", "both.h5", "--step", "3"],
        ["train", adk[1], *small, "--seed", "1", "-o", "other.h5"],
    ):
        done = run(place, *words)
        assert done.returncode == 0, done.stderr
    return place


def test_what_the_file_holds(folder: Path, adk: tuple[Path, Path]) -> None:
    """Observables of every frame, flags of the support, names of the trajectories, and which model made it."""
    universe = mda.Universe(*map(str, adk))
    atoms = universe.select_atoms("name CA")
    rg = [atoms.radius_of_gyration() for _ in universe.trajectory]
    with h5py.File(folder / "a.h5") as file, h5py.File(folder / "model.h5") as model:
        np.testing.assert_allclose(file["observables/rg/value"], rg, atol=1e-3)
        assert file["observables/rg/value"].attrs["unit"] == "Angstrom"
        flags = file["observables/in_support/value"][()]
        assert flags.shape == (98,) and flags.mean() > 0.9 and set(flags) <= {0, 1}
        assert {"value", "step", "time"} == set(file["observables/in_support"])
        assert file["trajvae"].attrs["model_hash"] == model["trajvae"].attrs["model_hash"]
        assert file["trajvae"].attrs["model_hash"] == read_model(folder / "model.h5").hash
        assert json.loads(file["trajvae"].attrs["reading"])["topology"] == [str(adk[0])]
    with h5py.File(folder / "both.h5") as file:
        names = file["trajvae/files"].asstr()[()][file["trajvae/file"][()]]
        assert names.tolist() == 33 * [str(adk[1])] + 34 * [DCD2]


def test_a_change_of_one_weight_is_another_model(folder: Path, tmp_path: Path) -> None:
    """The hash is of the weights: the same after loading and saving, another after a small change."""
    model = Model.load(folder / "model.h5")
    model.save(tmp_path / "same.h5")
    assert read_model(tmp_path / "same.h5").hash == read_model(folder / "model.h5").hash
    next(model.pipeline.vae.encoder.parameters())[0, 0] += 1e-3
    model.save(tmp_path / "changed.h5")
    assert read_model(tmp_path / "changed.h5").hash != read_model(folder / "model.h5").hash


def test_colours(folder: Path, tmp_path: Path) -> None:
    """Observables, columns of a file, and atoms read from the stored trajectories, a panel each."""
    rows = np.c_[np.arange(98), np.linspace(-3, 3, 98)]
    np.savetxt(tmp_path / "COLVAR", rows, header="FIELDS time phi", comments="#! ")
    words = ["plot", folder / "a.h5", "--dpi", 60, "--json", "-o", "colours.png"]
    texts = ["rg", "in_support", "trajectory", "COLVAR:phi", "distance:0,100"]
    texts += ["dihedral:resid 10 and name CA, resid 50 and name CA, resid 100 and name CA, resid 150 and name CA"]
    done = run(tmp_path, *words, *(word for text in texts for word in ("--color", text)))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["panels"] == [*["latent"] * len(texts), "free_energy", "frame_jumps"]
    assert (tmp_path / "colours.png").stat().st_size > 20_000
    assert len(said["notes"]) == 1 and "from end to end (4 wanted)" in said["notes"][0]
    assert done.stderr.count("warning: ") == 1 and said["notes"][0] in done.stderr


def test_a_trajectory_that_moved(folder: Path, adk: tuple[Path, Path], tmp_path: Path, edited) -> None:
    """Where the embedding names files that are gone, they are asked for; another trajectory is noticed."""
    (tmp_path / "a.h5").write_bytes((folder / "a.h5").read_bytes())
    with edited(tmp_path / "a.h5") as file:
        file["trajvae/files"][...] = "/nowhere/run.dcd"
    words = ["plot", "a.h5", "--color", "distance:0,100", "--dpi", 60]
    done = run(tmp_path, *words)
    assert done.returncode == 1 and "'/nowhere/run.dcd', which is not there" in done.stderr
    assert "--trajectory" in done.stderr and done.stderr.count("\n") == 1
    done = run(tmp_path, *words, "--trajectory", adk[1], "-s", adk[0])
    assert done.returncode == 0, done.stderr


def test_trajectories_over_one_map(folder: Path, tmp_path: Path) -> None:
    """Each trajectory by its name; frames of another model are refused, and say how to go on."""
    words = ["plot", folder / "a.h5", folder / "b.h5", "--over", folder / "model.h5", "--color", "trajectory"]
    done = run(tmp_path, *words, "-o", "over.svg", "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert json.loads(done.stdout)["panels"] == ["overlay", "latent"]
    text = (tmp_path / "over.svg").read_text()
    assert all(f"{name}: {n} frames, RMSD" in text for name, n in (("adk_dims.dcd", 98), (Path(DCD2).name, 102)))
    assert "model.h5 below: 98 frames" in text
    done = run(tmp_path, "plot", folder / "b.h5", "--over", folder / "other.h5", "-o", "no.png")
    assert done.returncode == 2 and "are of different models" in done.stderr and "embed -m" in done.stderr
    assert not (tmp_path / "no.png").exists()
    done = run(tmp_path, "marginals", folder / "a.h5", "-m", folder / "model.h5")
    assert done.returncode == 1 and "holds embedding that trajvae wrote; wanted: a trajectory" in done.stderr


def test_older_embeddings_are_drawn_with_a_word(folder: Path, tmp_path: Path, edited) -> None:
    """Without a hash nothing says whether points belong together: that is said."""
    (tmp_path / "old.h5").write_bytes((folder / "b.h5").read_bytes())
    with edited(tmp_path / "old.h5") as file:
        del file["trajvae"].attrs["model_hash"], file["observables/in_support"], file["observables/rg"]
    done = run(tmp_path, "plot", "old.h5", "--over", folder / "model.h5", "--dpi", 60, "--json")
    assert done.returncode == 0, done.stderr
    assert "does not say which model made it" in json.loads(done.stdout)["notes"][0]


def test_the_picture_of_readme(tmp_path: Path) -> None:
    """By one command, in a folder that is not there yet."""
    command = [sys.executable, str(ROOT / "examples" / "plot_demo.py"), "demo", "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert "examples/plot_demo.py" in (ROOT / "README.md").read_text()
    assert "examples/plot_demo.py demo" in (ROOT / "Makefile").read_text()
