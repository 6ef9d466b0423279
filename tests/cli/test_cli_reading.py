"""What the command line reads is what the files hold: times, several topologies, bonds, formats, one-line refusals."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import h5py
import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest

QUICK = ("--epochs", "1", "--hidden", "8", "--device", "cpu")
# ps: two runs joined (38 ps stands twice), a gap, and then another interval
TIMES = np.r_[np.arange(0, 40, 2.0), np.arange(38, 78, 2.0), 100 + 10 * np.arange(20)]


def trajvae(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m trajvae_cli` in a folder."""
    command = [sys.executable, "-m", "trajvae_cli", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def beads(n_frames: int, seed: int = 0) -> np.ndarray:
    """A helix of twelve beads with noise, in Å, (T, 12, 3)."""
    t = np.radians(100) * np.arange(12)
    helix = np.stack([2.3 * np.cos(t), 2.3 * np.sin(t), 1.5 * np.arange(12)], axis=1)
    return (helix + 0.2 * np.random.default_rng(seed).normal(size=(n_frames, 12, 3))).astype(np.float32)


def chain(names: list[str]) -> mdtraj.Topology:
    """One residue for each atom."""
    topology = mdtraj.Topology()
    only = topology.add_chain()
    for k, name in enumerate(names):
        topology.add_atom(name, mdtraj.element.carbon, topology.add_residue("ALA", only, k + 1))
    return topology


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joined trajectory with a gap, in four formats, its topology, and a model."""
    folder = tmp_path_factory.mktemp("reading")
    frames = mdtraj.Trajectory(beads(len(TIMES)) / 10, chain(["CA"] * 12), time=TIMES)
    frames[0].save_pdb(folder / "a.pdb")
    for suffix in ("xtc", "trr", "nc", "h5"):
        frames.save(str(folder / f"a.{suffix}"))
    done = trajvae(folder, "train", "a.xtc", "-s", "a.pdb", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("step back at frame 20") == 1
    return folder


@pytest.mark.parametrize("suffix", ["xtc", "trr", "nc", "h5"])
def test_times_are_the_files_own(folder: Path, suffix: str) -> None:
    """Of joined runs with a gap; no jump is measured over the seam, nor over the gap."""
    done = trajvae(folder, "embed", f"a.{suffix}", "-s", "a.pdb", "-o", f"e_{suffix}.h5")
    assert done.returncode == 0, done.stderr
    with h5py.File(folder / f"e_{suffix}.h5") as file:
        for name in ("latent", "frame_jump"):
            np.testing.assert_allclose(file[f"observables/{name}/time"][:], TIMES, atol=1e-4)
        jump = file["observables/frame_jump/value"][:]
    assert np.flatnonzero(np.isnan(jump)).tolist() == [0, 20, 40]


def test_runs_that_overlap_in_two_files_are_reported(folder: Path) -> None:
    """The second begins before the first ends; all frames are used."""
    topology = chain(["CA"] * 12)
    for name, first in (("run0", 0.0), ("run1", 14.0)):
        mdtraj.Trajectory(beads(10) / 10, topology, time=first + 2.0 * np.arange(10)).save(str(folder / f"{name}.xtc"))
    done = trajvae(folder, "embed", "run0.xtc", "run1.xtc", "-s", "a.pdb", "-o", "runs.h5", "--json")
    assert done.returncode == 0 and "'run1.xtc' begins at 14 ps, before 'run0.xtc' ends (18 ps)" in done.stderr
    with h5py.File(folder / "runs.h5") as file:
        assert file["observables/latent/time"][:].tolist() == [*range(0, 20, 2), *range(14, 34, 2)]


def test_each_trajectory_may_have_its_own_topology(tmp_path: Path) -> None:
    """A mutant with more atoms: the common atoms are one data set; atoms that do not correspond are refused."""
    names = {"wild": ["CA"] * 12, "mutant": [*["CA"] * 12, "CB"]}
    for name, own in names.items():
        x = np.pad(beads(20), ((0, 0), (0, len(own) - 12), (0, 0)), constant_values=30.0)
        frames = mdtraj.Trajectory(x / 10, chain(own))
        frames[0].save_pdb(tmp_path / f"{name}.pdb")
        frames.save_xtc(str(tmp_path / f"{name}.xtc"))
    both = ("train", "wild.xtc", "mutant.xtc", "-s", "wild.pdb", "-s", "mutant.pdb", *QUICK)
    done = trajvae(tmp_path, *both, "--select", "name CA", "--json")
    assert done.returncode == 0 and '"frames": 40, ' in done.stdout and '"atoms": 12' in done.stdout, done.stderr
    other = trajvae(tmp_path, *both, "--select", "all", "-o", "other.h5")
    assert other.returncode == 1 and "13 and 12 atoms; choose common ones with --select" in other.stderr
    few = trajvae(tmp_path, "train", "wild.xtc", "mutant.xtc", "wild.xtc", "-s", "wild.pdb", "-s", "mutant.pdb", *QUICK)
    assert few.returncode == 1 and few.stderr.startswith("Error: ") and few.stderr.count("\n") == 1


def test_a_training_with_options_of_reading_is_resumed(folder: Path) -> None:
    """Topologies, bonds and format stand in the checkpoint, so that `--resume` needs none of them."""
    options = ("train", "a.xtc", "-s", "a.pdb", "--bonds", "none", "--format", "XTC", "-o", "long.h5", "--hidden", "8")
    command = [sys.executable, "-m", "trajvae_cli", *options, "--epochs", "100000", "--checkpoint", "0"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    while not (folder / "long.h5").exists() and process.poll() is None:
        pass
    process.terminate()
    assert "--resume -o long.h5" in process.communicate(timeout=60)[1]
    again = subprocess.Popen([*command[:3], "train", "--resume", "-o", "long.h5"], cwd=folder, stderr=subprocess.PIPE)
    before = (folder / "long.h5").stat().st_mtime_ns
    while (folder / "long.h5").stat().st_mtime_ns == before and again.poll() is None:
        pass
    again.terminate()
    assert b"going on" in again.communicate(timeout=60)[1]
    assert again.returncode in (143, -15)  # the latter if the training had ended, and the interpreter is ending


def test_compressed_and_optional_formats_are_one_line(folder: Path) -> None:
    """A compressed XTC, and an mmCIF whose reader needs another package."""
    (folder / "a.xtc.gz").write_bytes(gzip.compress((folder / "a.xtc").read_bytes()))
    (folder / "x.gsd").write_bytes(bytes(64))
    for name, word in (("a.xtc.gz", "compressed"), ("x.gsd", "gsd")):
        done = trajvae(folder, "train", name, "-s", "a.pdb", *QUICK, "-o", "none.h5")
        assert done.returncode == 1 and done.stderr.startswith("Error: ") and word in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and not (folder / "none.h5").exists()


def test_a_path_that_is_not_ascii(folder: Path) -> None:
    """XTC and TRR in a folder with an umlaut, from the command line and through a Universe."""
    other = folder / "müller"
    other.mkdir()
    for suffix in ("xtc", "trr"):
        (other / f"a.{suffix}").write_bytes((folder / f"a.{suffix}").read_bytes())
        done = trajvae(folder, "embed", f"müller/a.{suffix}", "-s", "a.pdb", "-o", f"u_{suffix}.h5")
        assert done.returncode == 0, done.stderr
        universe = mda.Universe(folder / "a.pdb", other / f"a.{suffix}")
        assert universe.trajectory.n_frames == 60


def test_help_explains_the_new_options() -> None:
    """`--bonds` and `--format`, with what they take."""
    done = trajvae(Path(), "train", "--help")
    assert "--bonds FILE|none|guess" in done.stdout and "--format NAME" in done.stdout
