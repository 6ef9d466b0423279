"""`trajvae export` as a user types it: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from trajvae import Model
from trajvae.errors import TrajvaeWarning
from trajvae.figures import ExportFigures
from trajvae_cli.commands.export import _lines

from processes import Forked, fork_server


@pytest.fixture(scope="module")
def run():
    """Runs commands in children of a process that has imported everything."""
    with fork_server() as forked:
        yield forked


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A folder with model.h5, of the shipped trajectory, and its topology."""
    place = tmp_path_factory.mktemp("export")
    topology = examples / "alanine_dipeptide.pdb"
    (place / "system.pdb").write_bytes(topology.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        trajectory = examples / "alanine_dipeptide.xtc"
        model = Model.train(trajectory, topology=topology, epochs=2, hidden=(16,), step=100, device="cpu")
    model.save(place / "model.h5")
    return place


def test_a_folder_for_plumed(run: Forked, folder: Path) -> None:
    """The files of the contract, their JSON, and a second call that replaces nothing."""
    done = run(folder, "export", "--to", "plumed", "-s", "system.pdb", "--json")
    said = json.loads(done.stdout)
    files = ["cv.pt", "cv.pt2", "selection.pdb", "README.txt", "plumed.dat", "cv.json"]
    assert done.returncode == 0 and done.stderr == ""
    assert said["to"] == "plumed" and said["unit"] == "nm" and said["output"] == "export" and said["files"] == files
    assert [output["name"] for output in said["outputs"]] == ["z0", "z1"]
    assert sorted(p.name for p in (folder / "export").iterdir()) == sorted(files)
    again = run(folder, "export", "--to", "plumed", "-s", "system.pdb")
    assert again.returncode == 1 and "exists" in again.stderr and again.stdout == ""
    lines = _lines(ExportFigures.from_json(said), Path("export"))
    assert lines[0] == "latent mean of 10 atoms as 2 coordinates; positions in nm, layers in float32"
    assert len(lines) == 4 and lines[3] == f"written to export: {', '.join(files)}"


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["--to", "colvars"], 2, "-s/--topology"),
        (["--to", "gromacs"], 2, "'gromacs' is not one of"),
        (["-m", "no.h5"], 1, "no model 'no.h5'"),
        (["--to", "plumed", "-s", "no.pdb"], 1, "no topology file 'no.pdb'"),
        (["-o", "system.pdb"], 1, "is a file"),
    ],
)
def test_what_is_refused(run: Forked, folder: Path, typed: list[str], code: int, said: str) -> None:
    """One line on stderr, and no folder."""
    done = run(folder, "export", "-o", "other", *typed)
    assert done.returncode == code and said in done.stderr and done.stdout == ""
    assert not (folder / "other").exists()
