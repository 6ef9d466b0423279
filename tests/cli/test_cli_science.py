"""Bad science at the command line: what a user sees of units, copies, orders, single atoms and states met once."""

import json
import shutil
import subprocess
import sys

import MDAnalysis as mda
import numpy as np
import pytest
from click.testing import CliRunner

from trajvae_cli import main

QUICK = ["--epochs", "2", "--hidden", "8"]


def trajvae(folder, *arguments):
    """`python -m trajvae_cli` in a folder: exit code, stdout, lines of stderr."""
    command = [sys.executable, "-B", "-m", "trajvae_cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.fixture
def folder(tmp_path, examples):
    """A folder with the topology of alanine dipeptide."""
    shutil.copy(examples / "alanine_dipeptide.pdb", tmp_path / "top.pdb")
    return tmp_path


@pytest.fixture(scope="module")
def frames(examples):
    """All 22 atoms in 60 frames, Å."""
    universe = mda.Universe(str(examples / "alanine_dipeptide.pdb"), str(examples / "alanine_dipeptide.xtc"))
    return np.stack([universe.atoms.positions for _ in universe.trajectory[:60]])


def test_nanometres_are_refused_by_name_and_asked_about_without(folder, frames):
    """With the topology an error that says the way out; without one a warning, and the work goes on."""
    np.save(folder / "nm.npy", frames / 10.0)
    code, out, err = trajvae(folder, "train", "nm.npy", "-s", "top.pdb", *QUICK)
    assert code == 1 and out == "" and not (folder / "model.h5").exists()
    assert err[-1].startswith("Error: 'nm.npy': bonded atoms are 0.1") and "multiply the positions by 10" in err[-1]
    code, out, err = trajvae(folder, "train", "nm.npy", "--json", *QUICK)
    assert code == 0 and json.loads(out)["frames"] == 60
    assert len([line for line in err if line.startswith("warning: 'nm.npy': the nearest neighbours are 0.1")]) == 1


def test_files_that_overlap_are_told(folder, frames):
    """Which frames of which file, and how many in the JSON."""
    np.save(folder / "one.npy", frames[:40])
    np.save(folder / "two.npy", frames[30:])
    code, out, err = trajvae(folder, "train", "one.npy", "two.npy", "-s", "top.pdb", "--json", *QUICK)
    assert code == 0 and json.loads(out)["copies"] == 10
    assert any("frames 0 to 9 of 'two.npy' repeat frames 30 to 39 of 'one.npy'" in line for line in err)


def test_another_order_of_nameless_atoms_is_refused(folder, frames):
    """`embed` with a model of the named ones: frame, atoms, way out."""
    np.save(folder / "traj.npy", frames)
    np.save(folder / "mixed.npy", frames[:, ::-1])
    assert trajvae(folder, "train", "traj.npy", "-s", "top.pdb", "--select", "all", *QUICK)[0] == 0
    code, _, err = trajvae(folder, "embed", "mixed.npy")
    assert code == 1 and not (folder / "embed.h5").exists()
    assert "in frame 0 of 'mixed.npy' atoms" in err[-1] and "another order" in err[-1] and "--topology" in err[-1]


@pytest.mark.parametrize("dimension", [2, 3])
def test_two_atoms_go_all_the_way(tmp_path, monkeypatch, dimension):
    """One distance is one feature: each command works, or says the most that it can have."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(0.0, 0.1, size=(40, 2, dimension))
    x[:, 1, 0] += 1.5
    np.save("traj.npy", x)
    np.save("one.npy", x[:, :1])
    run = CliRunner().invoke
    refused = run(main, ["train", "traj.npy", *QUICK])
    assert refused.exit_code == 2 and "features, 1, got 2: --latent-dim 1 is the most" in refused.output
    refused = run(main, ["train", "one.npy", *QUICK])
    assert refused.exit_code == 1
    assert refused.output.endswith("Error: training needs at least 2 atoms, got 1: one atom has no shape\n")
    script = (
        "train traj.npy --latent-dim 1 --epochs 2 --hidden 8; embed traj.npy; generate -n 5; marginals traj.npy; "
        "optimize --objective rg; path --from 0 --to 30 --frames 5; info model.h5"
    )
    for line in script.split("; "):
        done = run(main, line.split())
        assert done.exit_code == 0, (line, done.output)


def test_a_stretch_in_another_state_is_told(folder, examples):
    """Frames that turn their peptide bond once and keep it so: named on stderr, and in the JSON."""
    shutil.copy(examples / "alanine_dipeptide.xtc", folder / "traj.xtc")
    code, out, err = trajvae(folder, "train", "traj.xtc", "-s", "top.pdb", "--start", "4000", "--json", *QUICK)
    blocks = json.loads(out)["unlike_blocks"]
    assert code == 0 and blocks
    assert all((7523 <= b["first"] and b["last"] <= 7901) or (8214 <= b["first"] and b["last"] <= 8271) for b in blocks)
    assert any(line.startswith("warning: held-out frames 7") and "may not be converged" in line for line in err)
