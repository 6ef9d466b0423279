"""Bad input: exit 1 or 2, one line that names the cause, no traceback, and every file stays as it was."""

import pickle
import shlex
import shutil
import subprocess
import sys

import h5py
import MDAnalysis as mda
import numpy as np
import pytest
import torch

NOTES = ("warning: ", "selected: ", "using the model ", "no model in this folder", "Usage: ", "Try ")
LEAKS = ("<class", "pickle.load", "allow_pickle", "out of bounds", "The FORMATs")  # a library's own words


def files_of(folder):
    """Every file below a folder with its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def alone(folder, *arguments):
    """Run `python -m trajvae_cli` in a folder, in a process of its own."""
    command = [sys.executable, "-B", "-m", "trajvae_cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def check_refused(run, folder, line, codes):
    """Run a command that must fail, and return its message."""
    before = files_of(folder)
    done = run(folder, *shlex.split(line))
    code, out, err = done.returncode, done.stdout, done.stderr
    assert "Traceback" not in err, err
    assert code in (codes if isinstance(codes, tuple) else (codes,)), (code, out, err)
    assert out == ""
    *notes, last = err.splitlines()
    assert last.startswith("Error: ") and len(last) > len("Error: ") and not last.endswith(":")
    assert not [leak for leak in LEAKS if leak in last]
    assert all(note.startswith(NOTES) or not note for note in notes), err
    assert files_of(folder) == before
    return last


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, examples, chain, tiny_model, edited):
    """A folder with a model, its outputs, and everything that can be wrong with a file."""
    folder = tmp_path_factory.mktemp("errors")
    tiny_model.save(folder / "model.h5")
    for name in ("embed.h5", "marginals.h5", "generate.h5md", "optimize.pdb", "only.pdb"):
        (folder / name).write_bytes(b"an older result")
    (folder / "folder.h5md").mkdir()
    (folder / "folder").mkdir()
    _trajectories(folder, examples, chain)
    _arrays(folder, chain)
    _models(folder, edited)
    _objectives(folder)
    return folder


def _trajectories(folder, examples, chain):
    for name in ("alanine_dipeptide.pdb", "chain.pdb"):
        shutil.copy(examples / name, folder)
    universe = mda.Universe(str(folder / "chain.pdb"), np.pad(chain, ((0, 0), (0, 0), (0, 1))))
    universe.atoms.write(folder / "traj.dcd", frames=universe.trajectory[:100])
    peptide = mda.Universe(str(folder / "alanine_dipeptide.pdb"), str(examples / "alanine_dipeptide.xtc"))
    peptide.atoms.write(folder / "peptide.xtc", frames=peptide.trajectory[:20])
    for name in ("traj.dcd", "peptide.xtc"):
        whole = (folder / name).read_bytes()
        (folder / f"cut{(folder / name).suffix}").write_bytes(whole[: len(whole) - 70])
    for name in ("text.dcd", "text.xtc", "text.pdb", "text.npy", "text.npz", "text.foo"):
        (folder / name).write_text("this is no trajectory\n" * 9)
    (folder / "empty.dcd").touch()
    (folder / "empty.npy").touch()


def _arrays(folder, chain):
    broken, beyond = chain.copy(), chain.copy()
    broken[57, 3, 1], beyond[57, 3, 1] = np.nan, np.inf
    arrays = {
        "one": chain[:1],
        "two": chain[:2],
        "nan": broken,
        "inf": beyond,
        "equal": np.repeat(chain[:1], 50, axis=0),
        "point": np.zeros((50, 12, 2)) + np.arange(50)[:, None, None],
        "flat": chain[0],
        "wide": np.zeros((50, 12, 4)),
        "words": np.full((50, 12, 2), "x"),
        "none": chain[:0],
        "atomless": np.zeros((50, 0, 3)),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "words.npz", positions=arrays["words"])
    np.savez(folder / "twins.npz", a=chain, b=chain)
    for name in ("twins.npz", "nan.npy"):
        whole = (folder / name).read_bytes()
        (folder / f"cut{(folder / name).suffix}").write_bytes(whole[: len(whole) // 2])
    with (folder / "pickled.npy").open("wb") as file:
        pickle.dump(list(range(9)), file)
    np.save(folder / "objects.npy", np.array([None, {}], dtype=object), allow_pickle=True)


def _models(folder, edited):
    whole = (folder / "model.h5").read_bytes()
    (folder / "garbage.h5").write_bytes(b"no HDF5 at all" * 99)
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["x"] = np.arange(3)
    with h5py.File(folder / "table.h5", "w") as file:
        file.create_group("trajvae").attrs.update({"kind": "embedding", "schema": 1})
    for name, change in (("half.h5", _forget_weight), ("other.h5", _other_weight), ("early.h5", _unfinished)):
        (folder / name).write_bytes(whole)
        with edited(folder / name) as file:
            change(file["trajvae"])


def _forget_weight(group):
    del group["weights"][next(iter(group["weights"]))]


def _other_weight(group):
    name = next(iter(group["weights"]))
    del group["weights"][name]
    group["weights"][name] = np.zeros((3, 3), dtype=np.float32)


def _unfinished(group):
    group.attrs["status"] = "training"


def _objectives(folder):
    (folder / "mine.py").write_text(
        "def broken(x):\n    raise ValueError('boom')\n\n"
        "def constant(x):\n    return x.new_zeros(len(x))\n\n"
        "def whole(x):\n    return x.sum()\n\n"
        "def endless(x):\n    return x[:, 0, 0] / 0.0\n\n"
        "number = 3\n"
    )
    (folder / "unparsed.py").write_text("def f(x:\n")


# what is typed, the exit code, and words that the message must hold
READING = {
    "missing file": ("train missing.dcd -o t.h5", 1, ["missing.dcd"]),
    "missing second file": ("train traj.dcd missing.dcd -o t.h5", 1, ["missing.dcd"]),
    "glob without match": ("train 'run*.dcd' -o t.h5", 1, ["run*.dcd"]),
    "a folder": ("train folder -o t.h5", 1, ["folder"]),
    "wrong topology": ("train traj.dcd -s alanine_dipeptide.pdb -o t.h5", 1, ["12 atoms", "22"]),
    "topology that is none": ("train traj.dcd -s text.pdb -o t.h5", 1, ["text.pdb"]),
    "missing topology": ("train traj.dcd -s missing.psf -o t.h5", 1, ["missing.psf"]),
    "unknown topology": ("train traj.dcd -s text.foo -o t.h5", 1, ["text.foo"]),
    "unknown trajectory": ("train text.foo -s chain.pdb -o t.h5", 1, ["text.foo"]),
    "unknown trajectory alone": ("train text.foo -o t.h5", 1, ["text.foo"]),
    "empty selection": ("train traj.dcd -s chain.pdb --select 'name ZZ' -o t.h5", 1, ["name ZZ"]),
    "misspelt selection": ("train traj.dcd -s chain.pdb --select 'nmae C' -o t.h5", 1, ["nmae C"]),
    "no selection": ("train traj.dcd -s chain.pdb --select '' -o t.h5", 1, ["select"]),
    "names without topology": ("train traj.dcd --select 'name C1' -o t.h5", 1, ["name C1", "topology"]),
    "protein without topology": ("train traj.dcd --select protein -o t.h5", 1, ["protein", "topology"]),
    "one frame": ("train one.npy -o t.h5", 1, ["frames", "got 1"]),
    "one frame of many": ("train traj.dcd --stop 1 -o t.h5", 1, ["frames", "got 1"]),
    "two frames": ("train two.npy -o t.h5", 1, ["frames", "got 2"]),
    "no frame": ("train traj.dcd --start 5000 -o t.h5", 1, ["frame", "5000"]),
    "a file without frames": ("train none.npy -o t.h5", 1, ["frame"]),
    "step 0": ("train traj.dcd --step 0 -o t.h5", 2, ["step"]),
    "NaN": ("train nan.npy -o t.h5", 1, ["frame 57", "nan.npy"]),
    "NaN in embed": ("embed traj.dcd nan.npy -o t.h5", 1, ["frame 57", "nan.npy"]),
    "NaN in marginals": ("marginals nan.npy -o t.h5", 1, ["frame 57", "nan.npy"]),
    "infinity": ("train inf.npy -o t.h5", 1, ["frame 57", "inf.npy"]),
    "cut DCD": ("train cut.dcd -o t.h5", 1, ["cut.dcd", "frame 99"]),
    "cut XTC": ("train cut.xtc -s alanine_dipeptide.pdb -o t.h5", 1, ["cut.xtc", "frame 19"]),
    "cut npy": ("train cut.npy -o t.h5", 1, ["cut.npy"]),
    "cut npz": ("train cut.npz -o t.h5", 1, ["cut.npz"]),
    "text as DCD": ("train text.dcd -o t.h5", 1, ["text.dcd"]),
    "text as XTC": ("train text.xtc -s alanine_dipeptide.pdb -o t.h5", 1, ["text.xtc"]),
    "empty DCD": ("train empty.dcd -s chain.pdb -o t.h5", 1, ["empty.dcd"]),
    "two molecules": ("train traj.dcd peptide.xtc -s chain.pdb -o t.h5", 1, ["peptide.xtc", "22"]),
    "all frames equal": ("train equal.npy -o t.h5", 1, ["equal"]),
    "all atoms in one point": ("train point.npy -o t.h5", 1, ["point"]),
    "rank 2": ("train flat.npy -o t.h5", 1, ["flat.npy", "(12, 2)"]),
    "four dimensions": ("train wide.npy -o t.h5", 1, ["wide.npy", "(50, 12, 4)"]),
    "no atoms": ("train atomless.npy -o t.h5", 1, ["atoms"]),
    "text in npz": ("train words.npz -o t.h5", 1, ["words.npz"]),
    "two arrays in npz": ("train twins.npz -o t.h5", 1, ["twins.npz", "a, b"]),
    "pickled npy": ("train pickled.npy -o t.h5", 1, ["pickled.npy"]),
    "objects in npy": ("train objects.npy -o t.h5", 1, ["objects.npy"]),
    "text as npy": ("train text.npy -o t.h5", 1, ["text.npy"]),
    "text as npz": ("train text.npz -o t.h5", 1, ["text.npz"]),
    "empty npy": ("train empty.npy -o t.h5", 1, ["empty.npy"]),
}
OUTPUTS = {
    "train": ("train traj.dcd", 1, ["model.h5", "exists"]),
    "embed": ("embed traj.dcd", 1, ["embed.h5", "exists"]),
    "generate": ("generate", 1, ["generate.h5md", "exists"]),
    "marginals": ("marginals", 1, ["marginals.h5", "exists"]),
    "optimize beside a pdb": ("optimize --objective rg", 1, ["optimize.pdb", "exists"]),
    "generate beside a pdb": ("generate -o only.h5md", 1, ["only.pdb", "exists"]),
    "unwritable": ("embed traj.dcd -o /proc/x.h5", 1, ["/proc/x.h5"]),
    "unwritable model": ("train traj.dcd -o /proc/x.h5", 1, ["/proc/x.h5"]),
    "unwritable conformations": ("generate -o /proc/x.h5md", 1, ["/proc/x"]),
    "missing folder": ("marginals -o nowhere/x.h5", 1, ["nowhere"]),
    "missing folder of conformations": ("generate -o nowhere/x.h5md", 1, ["nowhere"]),
    "a folder": ("embed traj.dcd -o folder -f", 1, ["folder"]),
    "a folder of conformations": ("generate -o folder.h5md -f", 1, ["folder.h5md"]),
    "below a file": ("embed traj.dcd -o traj.dcd/x.h5", 1, ["traj.dcd"]),
    "ending": ("generate -o x.h5", 1, ["x.h5", ".h5md"]),
    "ending of optimize": ("optimize --objective rg -o x.gro", 1, ["x.gro", ".h5md", ".xtc"]),
    "over the trajectory": ("embed traj.dcd -o traj.dcd", 1, ["traj.dcd"]),
    "over the trajectory by force": ("train traj.dcd -o traj.dcd -f", (1, 2), ["traj.dcd"]),
    "over the model by force": ("embed traj.dcd -o model.h5 -f", (1, 2), ["model.h5"]),
    "marginals over the model by force": ("marginals -o model.h5 -f", (1, 2), ["model.h5"]),
    "over the topology by force": ("train traj.dcd -s chain.pdb -o chain.pdb -f", (1, 2), ["chain.pdb"]),
}
MODELS = {
    "another molecule": ("embed peptide.xtc -s alanine_dipeptide.pdb -o t.h5", 1, ["another molecule", "12", "10"]),
    "another molecule's marginals": (
        "marginals peptide.xtc -s alanine_dipeptide.pdb -o t.h5",
        1,
        ["another molecule"],
    ),
    "other atoms": ("embed traj.dcd --select 'index 0:5' -o t.h5", 1, ["another molecule", "12", "6"]),
    "missing": ("generate -m missing.h5 -o t.h5md", 1, ["missing.h5", "trajvae train"]),
    "a folder": ("generate -m folder -o t.h5md", 1, ["folder"]),
    "garbage": ("generate -m garbage.h5 -o t.h5md", 1, ["garbage.h5"]),
    "cut": ("generate -m cut.h5 -o t.h5md", 1, ["cut.h5"]),
    "of another program": ("generate -m foreign.h5 -o t.h5md", 1, ["foreign.h5", "trajvae"]),
    "another kind": ("optimize --objective rg -m table.h5 -o t.h5md", 1, ["table.h5", "embedding", "model"]),
    "a weight missing": ("generate -m half.h5 -o t.h5md", 1, ["half.h5"]),
    "a weight of another shape": ("generate -m other.h5 -o t.h5md", 1, ["other.h5"]),
    "unfinished": ("generate -m early.h5 -o t.h5md", 1, ["early.h5", "complete"]),
    "info of no file": ("info missing.h5", 1, ["missing.h5"]),
    "info of garbage": ("info garbage.h5", 1, ["garbage.h5"]),
    "info of a folder": ("info folder", 1, ["folder"]),
}
OPTIONS = {
    "no trajectory": ("train", 2, ["trajectory"]),
    "unknown option": ("train traj.dcd --frobnicate", 2, ["--frobnicate"]),
    "unknown command": ("frobnicate", 2, ["frobnicate"]),
    "-n 0": ("generate -n 0 -o t.h5md", 2, ["-n", "0"]),
    "-n -5": ("generate -n -5 -o t.h5md", 2, ["-n", "-5"]),
    "-n many": ("generate -n many -o t.h5md", 2, ["-n", "many"]),
    "backend": ("train traj.dcd -o t.h5 --backend foo", 2, ["foo", "euclidean"]),
    "likelihood": ("train traj.dcd -o t.h5 --likelihood foo", 2, ["foo", "isotropic"]),
    "align": ("train traj.dcd -o t.h5 --align foo", 2, ["foo", "superpose"]),
    "center": ("train traj.dcd -o t.h5 --center foo", 2, ["foo", "mass"]),
    "features": ("train traj.dcd -o t.h5 --features foo", 2, ["foo", "cartesian"]),
    "device": ("train traj.dcd -o t.h5 --device foo", 2, ["foo", "cpu"]),
    "device of generate": ("generate -o t.h5md --device foo", 2, ["foo", "cpu"]),
    "--set foo=1": ("train traj.dcd -o t.h5 --set foo=1", 2, ["foo", "min_scale"]),
    "--set foo": ("train traj.dcd -o t.h5 --set foo", 2, ["foo", "KEY=VALUE"]),
    "--set of a wrong type": ("train traj.dcd -o t.h5 --set min_scale=abc", 2, ["min_scale", "abc"]),
    "--set out of range": ("train traj.dcd -o t.h5 --set min_scale=7", 2, ["min_scale", "7"]),
    "--hidden a,b": ("train traj.dcd -o t.h5 --hidden a,b", 2, ["a,b"]),
    "--hidden 0": ("train traj.dcd -o t.h5 --hidden 0", 2, ["hidden", "0"]),
    "--epochs 0": ("train traj.dcd -o t.h5 --epochs 0", 2, ["epochs", "0"]),
    "--latent-dim 0": ("train traj.dcd -o t.h5 --latent-dim 0", 2, ["latent", "0"]),
    "--latent-dim 999": ("train traj.dcd -o t.h5 --epochs 2 --latent-dim 999", (1, 2), ["latent", "999"]),
    "signature of another backend": ("train traj.dcd -o t.h5 --signature h2", 2, ["signature", "product", "euclidean"]),
    "signature and dimension": (
        "train traj.dcd -o t.h5 --backend product --signature h2 --latent-dim 2",
        2,
        ["--latent-dim 2", "h2"],
    ),
    "signature of no space": ("train traj.dcd -o t.h5 --backend product --signature h2,q1", 2, ["h2,q1", "q1"]),
    "curvature of a flat factor": ("train traj.dcd -o t.h5 --backend product --signature e2:1", 2, ["e2:1"]),
    "curvature of the wrong sign": ("train traj.dcd -o t.h5 --backend product --signature s2:-1", 2, ["s2:-1"]),
    "curvature out of range": ("train traj.dcd -o t.h5 --backend product --signature h2:1000", 2, ["1000", "20"]),
    "signature by --set": ("train traj.dcd -o t.h5 --backend product --set signature=h2", 2, ["--signature"]),
    "another posterior": (
        "train traj.dcd -o t.h5 --backend hyperspherical --set posterior=normal",
        2,
        ["normal", "power_spherical"],
    ),
    "--batch-size 0": ("train traj.dcd -o t.h5 --batch-size 0", 2, ["batch", "0"]),
    "--beta -1": ("train traj.dcd -o t.h5 --beta -1", 2, ["beta", "-1"]),
    "--beta nan": ("train traj.dcd -o t.h5 --beta nan", 2, ["beta", "nan"]),
    "--seed -1": ("train traj.dcd -o t.h5 --seed -1", 2, ["seed", "-1"]),
    "--seed beyond 64 bits": ("generate -o t.h5md --seed 99999999999999999999", 2, ["seed"]),
    "model exists": ("embed traj.dcd -o t.h5 --latent-dim 3", 2, ["--latent-dim", "train"]),
    "model exists, --set": ("embed traj.dcd -o t.h5 --set min_scale=0.1", 2, ["--set", "train"]),
    "model exists, -m": ("embed traj.dcd -o t.h5 -m model.h5 --epochs 3", 2, ["--epochs", "train"]),
    "path from nowhere": ("path --from 99999 --to 3 -o t.h5md", 2, ["99999"]),
    "path of one frame": ("path --from 1 --to 3 --frames 1 -o t.h5md", 2, ["frames", "1"]),
    "path in no metric": ("path --from 1 --to 3 --metric round -o t.h5md", 2, ["round", "density"]),
    "path from a missing file": ("path --from no.pdb --to 3 -o t.h5md", 1, ["no.pdb"]),
    "info of nothing": ("info", 2, ["--options"]),
    "info of a backend": ("info --options foo", 2, ["foo", "euclidean"]),
}
OBJECTIVES = {
    "none": ("", 2, ["--objective"]),
    "unknown": ("--objective foo", 2, ["foo", "rg"]),
    "distance out of range": ("--objective distance:0,99", 2, ["distance:0,99", "11"]),
    "distance of one atom": ("--objective distance:3,3", 2, ["distance:3,3"]),
    "distance of nothing": ("--objective distance:a", 2, ["distance:a"]),
    "an angle of two atoms": ("--objective angle:0,4", 2, ["angle:0,4", "3 different atom numbers"]),
    "a dihedral in the plane": ("--objective dihedral:0,1,2,3 --goal 60", 2, ["dihedral:0,1,2,3", "plane"]),
    "missing reference": ("--objective rmsd:missing.pdb", 1, ["missing.pdb"]),
    "reference of another molecule": ("--objective rmsd:alanine_dipeptide.pdb", 1, ["alanine_dipeptide.pdb"]),
    "unknown module": ("--objective nomodule:f", 2, ["nomodule:f"]),
    "unknown function": ("--objective mine:f", 2, ["mine:f"]),
    "module that does not parse": ("--objective unparsed:f", 2, ["unparsed:f"]),
    "no function": ("--objective mine:number", (1, 2), ["mine:number"]),
    "a function that fails": ("--objective mine:broken", (1, 2), ["mine:broken", "boom"]),
    "a function without gradient": ("--objective mine:constant", (1, 2), ["mine:constant"]),
    "a function of another shape": ("--objective mine:whole", 2, ["mine:whole"]),
    "a function that is not finite": ("--objective mine:endless", 1, ["mine:endless", "finite"]),
    "goal": ("--objective rg --goal foo", 2, ["goal", "foo"]),
    "goal nan": ("--objective rg --goal nan", 2, ["goal", "nan"]),
    "of": ("--objective rg --of foo", 2, ["--of", "foo"]),
}


# the rows of the first issue's table, by processes of their own
SHOWN = {
    "missing file": READING["missing file"],
    "wrong topology": READING["wrong topology"],
    "empty selection": READING["empty selection"],
    "one frame": READING["one frame"],
    "NaN in frame 57": READING["NaN"],
    "file cut in mid-frame": READING["cut DCD"],
    "-n 0": OPTIONS["-n 0"],
    "output exists": OUTPUTS["generate"],
    "unwritable folder": OUTPUTS["unwritable"],
    "a model of another molecule": MODELS["another molecule"],
}


def cases(table):
    """One test a row."""
    return pytest.mark.parametrize("line, code, words", table.values(), ids=table)


def check_row(run, folder, line, code, words):
    """Refused as the row says."""
    message = check_refused(run, folder, line, code)
    for word in words:
        assert word in message


@pytest.fixture
def folder(inputs, tmp_path):
    """A copy of the inputs for one command."""
    return shutil.copytree(inputs, tmp_path / "folder")


@cases(SHOWN)
def test_shown(folder, line, code, words):
    """What a user sees, from start to end."""
    check_row(alone, folder, line, code, words)


@cases(READING)
def test_reading(forked, folder, line, code, words):
    """Trajectories, topologies and selections that cannot be used."""
    check_row(forked, folder, line, code, words)


@cases(OUTPUTS)
def test_outputs(forked, folder, line, code, words):
    """Where nothing can or may be written; said before any work."""
    check_row(forked, folder, line, code, words)


@cases(MODELS)
def test_models(forked, folder, line, code, words):
    """Files that are no model, or not this molecule's."""
    check_row(forked, folder, line, code, words)


@cases(OPTIONS)
def test_options(forked, folder, line, code, words):
    """Options outside their range: wrong usage."""
    check_row(forked, folder, line, code, words)


@cases(OBJECTIVES)
def test_objectives(forked, folder, line, code, words):
    """What `optimize` cannot follow."""
    check_row(forked, folder, f"optimize -o t.h5md {line}", code, words)


def test_cuda_without_a_device(forked, folder):
    """The way out is named."""
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert "--device cpu" in check_refused(forked, folder, "generate -o t.h5md --device cuda", 2)


def test_no_model_in_the_folder(forked, tmp_path):
    """The first thing that goes wrong for a newcomer: the message says what to type."""
    (tmp_path / "folder").mkdir()
    assert "trajvae embed" in check_refused(forked, tmp_path / "folder", "generate", 1)


def test_failed_training_leaves_nothing(forked, folder):
    """`embed` that cannot train leaves neither model nor output, and no unfinished file."""
    (folder / "model.h5").unlink()
    (folder / "embed.h5").unlink()
    assert "frame 57" in check_refused(forked, folder, "embed nan.npy --epochs 2", 1)


def test_files_are_not_read_while_they_are_locked_away(forked, folder):
    """A trajectory that may not be read is named; the command has no rights of the superuser."""
    (folder / "traj.dcd").chmod(0)
    done = forked(folder, "train", "traj.dcd", "-o", "t.h5", as_user=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "traj.dcd" in done.stderr.splitlines()[-1] and "ermission" in done.stderr.splitlines()[-1]
