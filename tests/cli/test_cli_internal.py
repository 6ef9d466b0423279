"""Internal coordinates by the command line: what is said of the choice, of draws, of marginals and of a collapse."""

import json
import shlex
import shutil
import subprocess
import sys
import warnings

import h5py
import MDAnalysis as mda
import numpy as np
import pytest

from trajvae import Model, TrainConfig
from trajvae.readers import Reading

from processes import finished, json_of

NOTES = ("warning: ", "selected: ", "Usage: ", "Try ")
READ = ("-s", "top.pdb", "--stop", "8000", "--step", "20")
SHORT = ("--epochs", "5", "--hidden", "16")
BESIDE = ("random_floor", "held_out_floor", "jsd_train", "jsd_held_out", "jsd_pca", "jsd_resampled")


def process(folder, *arguments):
    """`trajvae ARGUMENTS` in a folder, as it ends."""
    command = [sys.executable, "-m", "trajvae_cli", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def listed(folder):
    """Names of the files in a folder."""
    return sorted(p.name for p in folder.iterdir())


def is_one_line(done, *words):
    """Exit 2, nothing on stdout, notes and one line of error that holds the words."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == "" and "Traceback" not in done.stderr
    *notes, last = done.stderr.splitlines()
    assert last.startswith("Error: ") and all(note.startswith(NOTES) or not note for note in notes), done.stderr
    assert [word for word in words if word not in last] == [], last


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, examples):
    """A folder where each command ran once, and the JSON of each."""
    folder = tmp_path_factory.mktemp("internal")
    shutil.copy(examples / "alanine_dipeptide.xtc", folder / "traj.xtc")
    shutil.copy(examples / "alanine_dipeptide.pdb", folder / "top.pdb")
    said = {
        "train": json_of(folder, "train", "traj.xtc", *READ, *SHORT, "--features", "auto"),
        "info": json_of(folder, "info", "model.h5"),
        "generate": json_of(folder, "generate", "-n", "60", "--seed", "3"),
        "relax": json_of(folder, "generate", "-n", "4", "--relax", "--novelty", "-o", "relaxed.h5md"),
        "marginals": json_of(folder, "marginals"),
    }
    return folder, said


@pytest.fixture(scope="module")
def collapsed(outputs):
    """A training whose divergence costs a thousand times as much, as it ended; its model is collapsed.h5."""
    price = ("--features", "internal", "--beta", "1000", "--free-bits", "0", "-o", "collapsed.h5")
    return finished(outputs[0], "train", "traj.xtc", *READ, *SHORT, *price, "--json")


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory, examples):
    """A folder with models of other atoms, the default of which draws nothing that is a molecule."""
    folder = tmp_path_factory.mktemp("hopeless")
    source, top = str(examples / "alanine_dipeptide.xtc"), examples / "alanine_dipeptide.pdb"
    reading = Reading(top, stop=8000, step=20)
    rough = TrainConfig(epochs=1, hidden=(8,), likelihood="isotropic")
    Model.train(source, rough, reading=reading, device="cpu").save(folder / "model.h5")
    backbone = TrainConfig(epochs=1, hidden=(8,), features="internal", select="name N CA C")
    Model.train(source, backbone, reading=reading, device="cpu").save(folder / "backbone.h5")
    shutil.copy(top, folder / "top.pdb")
    mda.Universe(str(top), source).atoms.write(folder / "traj.xtc", frames=slice(0, 2000, 20))
    return folder


@pytest.fixture
def folder(hopeless, tmp_path):
    """A copy of it for one command."""
    return shutil.copytree(hopeless, tmp_path / "folder")


def test_auto_takes_internal_coordinates(outputs):
    """`train --features auto` says which kind it took, and that is what the model file has as its option."""
    folder, said = outputs
    assert (said["train"]["feature_kind"], said["train"]["features"]) == ("internal", 24)
    assert all(np.isfinite(said["train"][k]) for k in ("elbo", "rmsd", "mutual_information", "prior_gap"))
    assert said["train"]["collapsed"] is False
    assert said["info"]["config"]["features"] == said["info"]["summary"]["feature_kind"] == "internal"
    assert "feature_kind: internal" in finished(folder, "info", "model.h5").stdout


def test_info_tells_why_auto_chose(outputs):
    """The divergence of each kind in bits, that of Cartesian coordinates not clearly the smaller."""
    choice = outputs[1]["info"]["summary"]["feature_choice"]
    assert choice.keys() == {"cartesian", "internal"}
    assert 0.0 <= choice["internal"] < choice["cartesian"] + 0.02 <= 1.0


def test_training_tells_why_auto_chose(outputs):
    """The same stands in the JSON of `train` itself."""
    assert outputs[1]["train"].get("feature_choice") == outputs[1]["info"]["summary"]["feature_choice"]


def test_generate_json(outputs):
    """Counts of draws, valid as drawn and after, and the sampler that `auto` stood for; the file agrees."""
    folder, said = outputs[0], outputs[1]["generate"]
    assert said.keys() >= {"n", "valid", "valid_raw", "drawn", "redrawn", "sampler", "off_data", "output"}
    assert said["n"] == said["drawn"] == 60 and said["sampler"] in ("prior", "aggregate")
    assert 40 < said["valid_raw"] <= said["valid"] <= 60
    assert said["redrawn"] == 60 - said["valid_raw"]
    with h5py.File(folder / said["output"]) as file:
        rows = {name: file[f"observables/{name}/value"][()] for name in ("valid", "invalid_reason", "redraws")}
    assert rows["valid"].sum() == said["valid"] == (rows["invalid_reason"] == 0).sum()
    assert (rows["redraws"] > 0).sum() == said["redrawn"]
    assert not said.keys() & {"energy", "nearest_rmsd"}


def test_generate_relaxed(outputs):
    """`--relax` gives energies before and after, lower after, in the JSON and row by row in the file."""
    folder, said = outputs[0], outputs[1]["relax"]
    with h5py.File(folder / "relaxed.h5md") as file:
        before, after = (file[f"observables/{name}/value"] for name in ("energy_drawn", "energy"))
        assert before.attrs["unit"] == after.attrs["unit"] == "kJ/mol"
        before, after = before[()], after[()]
    assert len(before) == 4 and (after < before).all()
    medians = [np.median(before), np.median(after)]
    assert [said["energy_drawn"], said["energy"]] == pytest.approx(medians)
    assert said["valid"] >= 3


def test_generate_novelty(outputs):
    """`--novelty` gives the distance to the nearest kept frame in Å, and for every draw which of them it is."""
    folder, said = outputs[0], outputs[1]["relax"]
    with h5py.File(folder / "relaxed.h5md") as file:
        rmsd, frame = file["observables/nearest_rmsd/value"], file["observables/nearest_frame/value"][()]
        assert rmsd.attrs["unit"] == "Angstrom"
        rmsd = rmsd[()]
    assert said["nearest_rmsd"] == pytest.approx(np.median(rmsd))
    assert ((rmsd > 0.01) & (rmsd < 2.0)).all() and ((frame >= 0) & (frame < 400)).all()


def test_marginals_json(outputs):
    """Floors and other models beside the model, each a mean over pair distances in bits, and how new draws are."""
    said = outputs[1]["marginals"]
    assert all(0.0 <= said[f"mean_{name}"] <= 1.0 for name in (*BESIDE, "jsd", "noise_floor"))
    assert said["mean_jsd"] < said["mean_jsd_pca"]
    assert said["held_out"] == outputs[1]["train"]["held_out"] and said["frames"] == 200
    assert said["nearest"] > 0.0 and said["nearest_held_out"] > 0.0
    assert 0.5 < said["coverage"] <= 1.0 and 0.5 < said["coverage_train"] <= 1.0
    assert said["sampler"] == outputs[1]["generate"]["sampler"]


def test_marginals_file(outputs):
    """The means are the file's attributes, and each observable has the divergences they are means of."""
    said = outputs[1]["marginals"]
    with h5py.File(outputs[0] / "marginals.h5") as file:
        top = dict(file["trajvae"].attrs)
        rows = [dict(group.attrs) for name, group in file["marginals"].items() if name.startswith("distance_")]
    assert {k: v for k, v in top.items() if k in said} == pytest.approx({k: said[k] for k in said.keys() & top.keys()})
    assert {f"mean_{name}" for name in BESIDE} | {"nearest", "coverage"} <= top.keys()
    for name in BESIDE:
        assert said[f"mean_{name}"] == pytest.approx(np.mean([row[name] for row in rows]))


def test_a_collapse_is_told(outputs, collapsed):
    """By one warning with ways out, by the JSON, and by `info` as text and as JSON."""
    said = json.loads(collapsed.stdout)
    assert said["collapsed"] is True and said["active_units"] == 0
    assert sum(said["kl"].values()) < 0.05 and said["mutual_information"] < 0.05
    told = [line for line in collapsed.stderr.splitlines() if "collapsed" in line]
    assert len(told) == 1 and told[0].startswith("warning: ") and "--free-bits" in told[0]
    assert "collapsed: True" in finished(outputs[0], "info", "collapsed.h5").stdout
    assert json_of(outputs[0], "info", "collapsed.h5")["summary"]["collapsed"] is True


def test_no_valid_draw_is_a_one_line_error(folder):
    """With --valid-only and a budget of one draw for each: exit 2, how many there were, ways out, and no file."""
    before = listed(folder)
    drawing = "generate -n 20 --geometry none --valid-only --budget 1 --json"
    done = process(folder, *drawing.split())
    is_one_line(done, "0 of 20 draws were valid", "--project", "--budget")
    assert listed(folder) == before


def test_conformations_none_of_which_is_valid_open(folder):
    """They are written, marked and counted as they are, and MDAnalysis and mdtraj read them."""
    import mdtraj

    said = json_of(folder, "generate", "-n", "20", "--geometry", "none")
    assert (said["n"], said["valid"], said["valid_raw"], said["redrawn"]) == (20, 0, 0, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(str(folder / "generate.pdb"), str(folder / "generate.h5md"))
        first = np.stack([ts.positions.copy() for ts in universe.trajectory])
        second = mdtraj.load_hdf5(str(folder / "generate.h5md")).xyz * 10.0
    assert first.shape == (20, 10, 3) and np.isfinite(first).all()
    np.testing.assert_allclose(first, second, atol=1e-4)
    with h5py.File(folder / "generate.h5md") as file:
        assert not file["observables/valid/value"][()].any() and file["observables/invalid_reason/value"][()].all()


TRAIN = "train traj.xtc -s top.pdb --epochs 1 --hidden 8 -o t.h5"
REFUSED = {
    "features": (f"{TRAIN} --features foo", ["'foo'", "cartesian", "internal", "auto"]),
    "torsions": (f"{TRAIN} --features internal --torsions foo", ["'foo'", "independent", "autoregressive"]),
    "torsions of cartesian": (f"{TRAIN} --torsions foo", ["'foo'", "independent", "autoregressive"]),
    "likelihood": (f"{TRAIN} --likelihood foo", ["'foo'", "isotropic", "full", "springs", "lowrank", "conditional"]),
    "likelihood of internal": (f"{TRAIN} --features internal --likelihood foo", ["'foo'", "isotropic", "conditional"]),
    "likelihood of auto": (
        f"{TRAIN} --features auto --likelihood foo",
        ["'foo'", "isotropic", "full", "springs", "lowrank", "conditional"],
    ),
    "lowrank of internal": (f"{TRAIN} --features internal --likelihood lowrank", ["'lowrank'", "conditional"]),
    "principal axes": (f"{TRAIN} --features internal --align principal", ["superpose", "'principal'"]),
    "no alignment": (f"{TRAIN} --features internal --align none", ["superpose", "'none'"]),
    "two atoms": (
        f"{TRAIN} --features internal --select 'resname ALA and name CA C'",
        ["3 atoms", "got 2", "cartesian"],
    ),
    "free bits below 0": (f"{TRAIN} --free-bits -1", ["free_bits", "-1"]),
    "free bits that are none": (f"{TRAIN} --free-bits nan", ["free_bits", "nan"]),
    "a model that exists": ("embed traj.xtc -s top.pdb -o t.h5 --features internal", ["--features", "train"]),
    "sampler": ("generate -o t.h5md --sampler foo", ["'foo'", "auto", "prior", "aggregate", "metric"]),
    "budget 0": ("generate -o t.h5md --budget 0", ["budget", "0"]),
    "redraws below 0": ("generate -o t.h5md --redraws -1", ["redraws", "-1"]),
    "atoms of no molecule": ("generate -m backbone.h5 -n 1 -o t.h5md --relax", ["--relax", "heavy atoms"]),
}


@pytest.mark.parametrize("line, words", REFUSED.values(), ids=REFUSED)
def test_refused(forked, folder, line, words):
    """One line, exit 2, no file."""
    before = listed(folder)
    is_one_line(forked(folder, *shlex.split(line)), *words)
    assert listed(folder) == before
