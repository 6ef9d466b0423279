"""The contract of the command line (DESIGN 4.1, 4.3), by real processes in a folder of their own."""

import json
import os
import pty
import shutil
import subprocess
import sys
import termios
import warnings
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pytest

import trajvae

from processes import finished, json_of

TRAINED = {
    "frames", "held_out", "atoms", "features", "feature_kind", "backend", "latent_dim", "elbo", "rmsd", "pca_rmsd",
    "epochs", "seconds", "model", "kl", "active_units", "collapsed",
}  # fmt: skip
OPTIMISED = {
    "objective", "goal", "of", "initial", "optimum", "expected", "best_observed", "quantiles", "in_support", "valid",
    "steps", "output",
}  # fmt: skip
SHORT = ("--epochs", "3", "--hidden", "16")
FILES = ("model.h5", "embed.h5", "generate.h5md", "marginals.h5", "optimize.h5md")


def opened(folder, stem="generate"):
    """Positions in Å by MDAnalysis and by mdtraj, and the Universe."""
    import mdtraj

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(str(folder / f"{stem}.pdb"), str(folder / f"{stem}.h5md"))
        first = np.stack([ts.positions.copy() for ts in universe.trajectory])
        second = mdtraj.load_hdf5(str(folder / f"{stem}.h5md")).xyz * 10.0
    return first, second, universe


def units(path):
    """The unit of each dataset that has one."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item.attrs["unit"]} if "unit" in item.attrs else {}))
    return found


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, examples):
    """A folder where each command ran once, and the JSON of each."""
    folder = tmp_path_factory.mktemp("contract")
    shutil.copy(examples / "chain2d_close.dcd", folder / "traj.dcd")
    said = {
        "train": json_of(folder, "train", "traj.dcd", *SHORT, "--seed", "7"),
        "embed": json_of(folder, "embed", "traj.dcd"),
        "generate": json_of(folder, "generate", "-n", "50", "--seed", "3"),
        "marginals": json_of(folder, "marginals", "traj.dcd"),
        "optimize": json_of(folder, "optimize", "--objective", "rg"),
    }
    return folder, said


@pytest.fixture
def folder(outputs, tmp_path):
    """A folder with the trajectory and a model, for one test."""
    for name in ("traj.dcd", "model.h5"):
        shutil.copy(outputs[0] / name, tmp_path / name)
    return tmp_path


def test_four_commands_as_typed(tmp_path, adk):
    """Nothing but traj.dcd and no option: all exit 0, the default files appear, and nothing else is left."""
    mda.Universe(*adk).select_atoms("name CA").write(tmp_path / "traj.dcd", frames="all")
    first = finished(tmp_path, "embed", "traj.dcd")
    assert "model.h5" in first.stderr and "embed.h5" in first.stdout
    assert first.stderr.count("no topology") == 1
    assert finished(tmp_path, "generate", "-n", "50").stdout.startswith("50 conformations")
    assert "rg" in finished(tmp_path, "marginals", "traj.dcd").stdout
    assert "valid" in finished(tmp_path, "optimize", "--objective", "rg").stdout.lower()
    expected = {*FILES, "traj.dcd", "generate.pdb", "optimize.pdb"}
    assert {p.name for p in tmp_path.iterdir()} == expected


def test_train_json(outputs):
    """Keys, and counts of the 2-D chain: a third coordinate that is constant is dropped, F = 2 N - 3."""
    said = outputs[1]["train"]
    assert said.keys() >= TRAINED
    assert (said["frames"], said["atoms"], said["features"], said["epochs"]) == (2000, 12, 21, 3)
    assert (said["feature_kind"], said["backend"], said["latent_dim"]) == ("cartesian", "euclidean", 2)
    assert 0 < said["held_out"] < 1000 and said["model"] == "model.h5"
    assert all(np.isfinite(said[k]) for k in ("elbo", "rmsd", "pca_rmsd", "seconds"))


def test_embed_json(outputs):
    """A model that is only applied has held out nothing and trained for no epoch."""
    said = outputs[1]["embed"]
    assert said.keys() >= TRAINED
    assert (said["frames"], said["held_out"], said["epochs"], said["model"]) == (2000, 0, 0, "model.h5")


def test_generate_json(outputs):
    """`n`, how many of them are valid, the sampler, the file."""
    said = outputs[1]["generate"]
    assert said.keys() >= {"n", "valid", "sampler", "output"}
    assert said["n"] == 50 and 0 <= said["valid"] <= 50 and isinstance(said["valid"], int)
    assert said["output"] == "generate.h5md"


def test_marginals_json(outputs):
    """Every observable has its divergence beside its noise floor; the means are those of the pair distances."""
    said = outputs[1]["marginals"]
    assert said.keys() >= {"observables", "mean_jsd", "mean_noise_floor"}
    assert {"rg", "end_to_end"} < said["observables"].keys()
    for row in said["observables"].values():
        assert row.keys() == {"jsd", "w1", "noise_floor"} and 0 <= row["jsd"] <= 1
    pairs = [row for name, row in said["observables"].items() if name.startswith("distance_")]
    assert len(pairs) == 66
    assert said["mean_jsd"] == pytest.approx(np.mean([row["jsd"] for row in pairs]))
    assert said["mean_noise_floor"] == pytest.approx(np.mean([row["noise_floor"] for row in pairs]))


def test_optimize_json(outputs, examples):
    """The figures stand beside those of the simulation itself."""
    said = outputs[1]["optimize"]
    assert said.keys() >= OPTIMISED
    assert (said["objective"], said["goal"], said["of"]) == ("rg", "min", "sample")
    assert isinstance(said["valid"], bool) and isinstance(said["in_support"], bool) and said["steps"] > 0
    x = np.load(examples / "chain2d_close.npz")["positions"].astype(float)
    rg = np.sqrt(((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1))
    assert said["best_observed"] == pytest.approx(rg.min(), abs=1e-4)
    assert said["quantiles"] == pytest.approx(np.quantile(rg, [0.01, 0.99]).tolist(), abs=1e-4)


def test_embed_trains_first(tmp_path, chain):
    """Without a model: trained with the options that stand there, reading every frame once and warning once."""
    np.save(tmp_path / "traj.npy", chain)
    done = finished(tmp_path, "embed", "traj.npy", *SHORT, "--latent-dim", "3", "--json")
    said = json.loads(done.stdout)
    assert said.keys() >= TRAINED and said["epochs"] == 3 and said["held_out"] > 0 and said["latent_dim"] == 3
    assert "model.h5" in done.stderr
    with h5py.File(tmp_path / "embed.h5") as file:
        assert file["observables/latent/value"].shape == (len(chain), 3)


def test_curved_spaces_by_name(tmp_path, chain):
    """--signature gives the dimension; `info` tells each part's KL and curvature; others need no word."""
    np.save(tmp_path / "traj.npy", chain)
    curved = ("--backend", "product", "--signature", "s1:2,h2,e1")
    said = json_of(tmp_path, "embed", "traj.npy", *SHORT, *curved)
    assert said["latent_dim"] == 4
    with h5py.File(tmp_path / "embed.h5") as file:
        assert file["observables/latent/value"].shape == (len(chain), 6)
        assert file["observables/latent_tangent/value"].shape == (len(chain), 4)
    summary = json_of(tmp_path, "info", "model.h5")["summary"]
    assert summary["kl"].keys() == {"s1#0", "h2#1", "e1#2"}
    assert summary["curvatures"].keys() == {"s1#0", "h2#1"} and summary["curvatures"]["s1#0"] == 2.0
    assert json_of(tmp_path, "generate", "-n", "20")["n"] == 20


def test_hamiltonian_by_name(tmp_path, chain):
    """rhvae with an option of its own, its diagnostics, and draws from its metric."""
    np.save(tmp_path / "traj.npy", chain)
    said = json_of(tmp_path, "embed", "traj.npy", "--backend", "rhvae", "--epochs", "6", "--set", "steps=2")
    assert said["epochs"] == 6 and np.isfinite(said["elbo"])
    summary = json_of(tmp_path, "info", "model.h5")["summary"]
    assert summary["diagnostics"].keys() >= {"residual", "cut", "metric_at_data", "step"}
    drawn = json_of(tmp_path, "generate", "-n", "20", "--sampler", "metric")
    assert (drawn["n"], drawn["sampler"]) == (20, "metric") and drawn["acceptance"] > 0.0


def test_path_json(folder, outputs):
    """A path between two training frames: lengths in the metric and of the atoms' way, and a file that opens."""
    said = json_of(folder, "path", "--from", "3", "--to", "200", "--frames", "12")
    assert said.keys() >= {"length", "straight_length", "length_angstrom", "output"}
    assert 0.0 < said["length"] <= said["straight_length"] and said["length_angstrom"] > 0.0
    with h5py.File(folder / said["output"]) as file:
        assert file["coordinates"].shape == (12, 12, 3) and file["observables/nearest_rmsd/value"].shape == (12,)
    assert (folder / "path.pdb").is_file()


def test_embed_says_which_model_and_replaces_only_its_output(folder):
    """An existing model is said on stderr; `-f` leaves it as it is; `-m` names another."""
    before = (folder / "model.h5").read_bytes()
    (folder / "embed.h5").write_bytes(b"old")
    done = finished(folder, "embed", "traj.dcd", "-f")
    assert "model.h5" in done.stderr
    assert (folder / "model.h5").read_bytes() == before
    (folder / "model.h5").rename(folder / "other.h5")
    said = json_of(folder, "embed", "traj.dcd", "-m", "other.h5", "-o", "again.h5")
    assert said["model"] == "other.h5" and not (folder / "model.h5").exists()
    with h5py.File(folder / "embed.h5") as a, h5py.File(folder / "again.h5") as b:
        np.testing.assert_array_equal(a["observables/latent/value"], b["observables/latent/value"])


def test_bar_in_a_terminal(folder):
    """Where stderr is a terminal, progress is shown there; stdout stays the result's."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-m", "trajvae_cli", "embed", "traj.dcd", "--json"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=300)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # Linux says so where the other side is closed
        pass
    os.close(ours)
    assert done.returncode == 0 and json.loads(done.stdout)["frames"] == 2000
    assert any(b"\r" + word in shown for word in (b"working", b"reading", b"embedding"))


def test_seeds_reproduce_models(outputs, tmp_path):
    """Two trainings with one seed: weights bit-identical."""
    shutil.copy(outputs[0] / "traj.dcd", tmp_path)
    finished(tmp_path, "train", "traj.dcd", *SHORT, "--seed", "7", "-o", "twin.h5")
    with h5py.File(outputs[0] / "model.h5") as a, h5py.File(tmp_path / "twin.h5") as b:
        assert a["trajvae/weights"].keys() == b["trajvae/weights"].keys()
        for name, weight in a["trajvae/weights"].items():
            np.testing.assert_array_equal(weight[()], b["trajvae/weights"][name][()])


def test_seeds_reproduce_conformations(outputs, folder):
    """The seed decides what is generated; it is 0 by default."""
    finished(folder, "generate", "-n", "50", "--seed", "3", "-o", "same.h5md")
    finished(folder, "generate", "-n", "50", "-o", "zero.h5md")
    model = trajvae.Model.load(folder / "model.h5")
    for path, seed in ((outputs[0] / "generate.h5md", 3), (folder / "same.h5md", 3), (folder / "zero.h5md", 0)):
        with h5py.File(path) as file:
            written = file["coordinates"][..., :2] * 10.0
        np.testing.assert_allclose(written, model.generate(50, seed=seed).positions, atol=1e-5)


def test_generate_mean(folder):
    """`--mean` decodes means instead of drawing."""
    finished(folder, "generate", "-n", "20", "--mean", "--geometry", "none")
    with h5py.File(folder / "generate.h5md") as file:
        written, latent = file["coordinates"][..., :2] * 10.0, file["observables/latent/value"][()]
    np.testing.assert_allclose(written, trajvae.Model.load(folder / "model.h5").decode(latent), atol=1e-5)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("--of", "mean"), {"of": "mean", "goal": "min"}),
        (("--goal", "max"), {"of": "sample", "goal": "max"}),
        (("--goal", "2.0", "traj.dcd"), {"of": "sample", "goal": "2.0"}),
    ],
    ids=["of mean", "max", "value"],
)
def test_optimize_options(folder, arguments, expected):
    """The other way, the other goals; structures are ranked best first among those that are valid."""
    said = json_of(folder, "optimize", "--objective", "end-to-end", *arguments)
    assert said.items() >= expected.items() and said["objective"].replace("-", "_") == "end_to_end"
    with h5py.File(folder / "optimize.h5md") as file:
        values = file["observables/objective/value"][()]
        assert file["observables/objective/value"].attrs["unit"] == "Angstrom"
        ends = np.linalg.norm(np.diff(file["coordinates"][:, [0, -1]][:, :, :2] * 10.0, axis=1)[:, 0], axis=1)
    np.testing.assert_allclose(ends, values, atol=1e-4)
    assert said["optimum"] == pytest.approx(values[0])


def test_slices_and_globs(folder, chain):
    """`--start/--stop/--step` slice the frames of all files of a glob as numpy does; files are no neighbours."""
    for name, piece in (("part1.npy", chain[:30]), ("part2.npy", chain[30:55]), ("part3.npy", chain[55:60])):
        np.save(folder / name, piece)
    said = json_of(folder, "embed", "part*.npy", "--start", "-50", "--stop", "-2", "--step", "3")
    wanted = np.arange(60)[-50:-2:3]
    with h5py.File(folder / "embed.h5") as file:
        where, frame = file["trajvae/file"][()], file["trajvae/frame"][()]
        jump = file["observables/frame_jump/value"][()]
        latent = file["observables/latent/value"][()]
    assert said["frames"] == len(wanted)
    np.testing.assert_array_equal(np.array([0, 30, 55])[where] + frame, wanted)
    np.testing.assert_array_equal(np.isnan(jump), np.r_[True, np.diff(where) > 0])
    model = trajvae.Model.load(folder / "model.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(latent, model.encode(chain[wanted]).latent, atol=1e-5)


def test_embed_file(outputs):
    """DESIGN 4.3: one row a frame, with units, and (file, frame)."""
    path = outputs[0] / "embed.h5"
    with h5py.File(path) as file:
        shapes = {name: group["value"].shape for name, group in file["observables"].items()}
        one = dict.fromkeys(("rmsd", "frame_jump", "rg", "end_to_end", "in_support"), (2000,))
        assert shapes == {"latent": (2000, 2), "latent_scale": (2000, 2), **one}
        for group in file["observables"].values():
            assert set(group) == {"value", "step", "time"}
            assert group["step"].shape == group["time"].shape == (2000,)
        np.testing.assert_array_equal(file["trajvae/frame"], np.arange(2000))
        assert not file["trajvae/file"][()].any()
        assert (file["observables/latent_scale/value"][()] > 0).all()
        assert file["observables/rmsd/value"][()].mean() == pytest.approx(outputs[1]["embed"]["rmsd"])
    lengths = [f"observables/{name}/value" for name in ("rmsd", "frame_jump", "rg", "end_to_end")]
    assert {k: v for k, v in units(path).items() if k.endswith("value")} == dict.fromkeys(lengths, "Angstrom")


def test_marginals_file(outputs):
    """Histograms are probabilities, and the figures that were printed stand beside them."""
    with h5py.File(outputs[0] / "marginals.h5") as file:
        assert file["marginals"].keys() == outputs[1]["marginals"]["observables"].keys()
        for name, group in file["marginals"].items():
            assert set(group) == {"edges", "simulation", "model"}
            assert group.attrs.keys() >= {"jsd", "w1", "ks", "noise_floor", "unit"}
            assert group["simulation"][()].sum() == pytest.approx(1.0)
            assert group["model"][()].sum() == pytest.approx(1.0)
            assert (np.diff(group["edges"][()]) > 0).all() and len(group["edges"]) == len(group["model"]) + 1
            said = outputs[1]["marginals"]["observables"][name]
            assert {k: group.attrs[k] for k in said} == pytest.approx(said)
        assert file["marginals/rg"].attrs["unit"] == file["marginals/rg/edges"].attrs["unit"] == "Angstrom"


def test_model_file(outputs):
    """All that is needed to go on: options, weights, reference with its hash, topology, history, latents, a sample."""
    path = outputs[0] / "model.h5"
    with h5py.File(path) as file:
        group = file["trajvae"]
        assert group.attrs["status"] == "complete" and group.attrs["kind"] == "model"
        assert group.attrs.keys() >= {"schema", "version", "created", "command", "seed", "config"}
        assert json.loads(group.attrs["config"])["epochs"] == 3
        assert group.keys() >= {"weights", "reference", "topology", "history", "training"}
        assert group["reference"].shape == (12, 2) and len(group["reference"].attrs["sha256"]) == 64
        assert group["training/latent"].shape == (2000, 2) and group["training/sample"].shape == (2000, 12, 2)
        assert {"rg", "end_to_end"} <= group["training/observables"].keys()
        assert all(item.dtype.kind != "V" for item in group["weights"].values())
    assert units(path)["trajvae/reference"] == units(path)["trajvae/training/observables/rg"] == "Angstrom"


@pytest.mark.parametrize("stem, count", [("generate", 50), ("optimize", None)])
def test_conformations_open_elsewhere(outputs, stem, count):
    """MDAnalysis and mdtraj read the same coordinates, flat ones with z = 0, with an index for time."""
    first, second, universe = opened(outputs[0], stem)
    assert first.shape[1:] == (12, 3) and (count is None or len(first) == count)
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert not first[..., 2].any()
    with h5py.File(outputs[0] / f"{stem}.h5md") as file:
        assert file["coordinates"].id == file["particles/trajectory/position/value"].id
        assert file["particles/trajectory/position/value"].attrs["unit"] == "nm"
        assert file["trajvae"].attrs["dimension"] == 2
        np.testing.assert_array_equal(file["time"], np.arange(len(first)))
        for group in file["observables"].values():
            assert len(group["value"]) == len(group["step"]) == len(group["time"]) == len(first)
        valid = file["observables/valid/value"][()]
    assert "latent" in universe.trajectory[0].data or "latent/value" in str(universe.trajectory[0].data)
    if stem == "generate":
        assert valid.sum() == outputs[1]["generate"]["valid"]
    else:
        assert bool(valid[0]) == outputs[1]["optimize"]["valid"]


@pytest.mark.parametrize(
    "name, kind, words, seed",
    [
        ("model.h5", "model", "train traj.dcd", 7),
        ("embed.h5", "embedding", "embed traj.dcd", 0),
        ("generate.h5md", "conformations", "generate -n 50", 3),
        ("marginals.h5", "marginals", "marginals traj.dcd", 0),
        ("optimize.h5md", "conformations", "optimize --objective rg", 0),
    ],
)
def test_headers_and_info(outputs, name, kind, words, seed):
    """Every file says which version, command and seed made it, and `info` repeats that with what it holds."""
    with h5py.File(outputs[0] / name) as file:
        header = dict(file["trajvae"].attrs)
    assert (header["kind"], header["version"], header["seed"]) == (kind, trajvae.__version__, seed)
    assert header["command"].startswith(f"trajvae {words}")
    said = json_of(outputs[0], "info", name)
    assert (said["kind"], said["seed"], said["command"]) == (kind, seed, header["command"])
    assert all({"shape", "dtype", "unit"} <= entry.keys() for entry in said["datasets"].values())
    if name == "embed.h5":
        text = finished(outputs[0], "info", name).stdout
        assert "embedding" in text and "/observables/latent/value" in text and "Angstrom" in text


def test_info_options(tmp_path):
    """Every option of a latent space with its type, unit and default."""
    (said,) = [o for o in json_of(tmp_path, "info", "--options", "euclidean")["options"] if o["name"] == "min_scale"]
    assert said.keys() >= {"name", "type", "unit", "default", "help"} and said["default"] == 1e-4
    assert "min_scale" in finished(tmp_path, "info", "--options", "euclidean").stdout


def test_protein(tmp_path, adk):
    """Adenylate kinase with its topology: the selection is kept, and names reach the conformations."""
    psf, dcd = map(str, adk)
    done = finished(tmp_path, "train", dcd, "-s", psf, "--select", "name CA", *SHORT, "--center", "mass", "--json")
    said = json.loads(done.stdout)
    assert (said["frames"], said["atoms"], said["features"]) == (98, 214, 3 * 214 - 6)
    assert "name CA" in done.stderr and "no topology" not in done.stderr
    json_of(tmp_path, "embed", dcd, "-s", psf)
    json_of(tmp_path, "generate", "-n", "5")
    first, second, universe = opened(tmp_path)
    assert first.shape == (5, 214, 3)
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert set(universe.atoms.names) == {"CA"}
    assert list(universe.residues.resnames) == list(mda.Universe(psf).select_atoms("name CA").resnames)


def test_peptide(tmp_path, examples):
    """XTC and PDB by the installed script: heavy atoms by default, and the backbone's dihedrals are compared."""
    files = [examples / "alanine_dipeptide.xtc", "-s", examples / "alanine_dipeptide.pdb"]
    script = Path(sys.executable).with_name("trajvae")
    train = [script, "train", *files, "--epochs", "2", "--hidden", "16", "--step", "10", "--json"]
    done = subprocess.run(list(map(str, train)), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["frames"], said["atoms"], said["features"]) == (1000, 10, 24)
    found = json_of(tmp_path, "marginals", *files, "--step", "20")["observables"]
    assert any(name.startswith("phi_") for name in found) and any(name.startswith("psi_") for name in found)
    assert any(name.startswith("bond_") for name in found) and any(name.startswith("angle_") for name in found)
    with h5py.File(tmp_path / "marginals.h5") as file:
        phi = file["marginals"][next(name for name in found if name.startswith("phi_"))]
        assert phi.attrs["unit"] == "degree" and phi["edges"][0] == -180.0 and phi["edges"][-1] == 180.0


def test_own_objective(folder):
    """A user's function in the working folder, and the distance to a structure of a file."""
    (folder / "mine.py").write_text("def span(x):\n    return (x[:, 0] - x[:, 5]).square().sum(-1).sqrt()\n")
    script = Path(sys.executable).with_name("trajvae")
    command = [str(script), "optimize", "--objective", "mine:span", "--goal", "max", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    twin = json_of(folder, "optimize", "--objective", "distance:0,5", "--goal", "max", "-f")
    assert said["optimum"] == pytest.approx(twin["optimum"], rel=1e-4)
