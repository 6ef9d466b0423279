"""`trajvae compare`, by real processes in a folder of their own."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from trajvae.latents import LATENTS

QUICK = ("--epochs", "2", "--hidden", "8", "--draws", "10", "--held-out", "40")


def run(folder, *arguments, code=0):
    """`trajvae ARGUMENTS` in a folder."""
    command = [sys.executable, "-m", "trajvae_cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def alanine(examples):
    """Every twentieth frame of alanine dipeptide."""
    stem = examples / "alanine_dipeptide"
    return (stem.with_suffix(".xtc"), "-s", stem.with_suffix(".pdb"), "--step", "20")


def test_all_backends_by_default(tmp_path, alanine):
    """Every row finite, in the JSON's contract and in the file; `info` names the best."""
    said = json.loads(run(tmp_path, "compare", *alanine, *QUICK, "--json").stdout)
    assert set(said["backends"]) == set(LATENTS)
    for row in said["backends"].values():
        assert {"elbo", "iwae", "iwae_se", "rmsd"} <= row.keys()
        assert all(np.isfinite(v) for v in row.values() if isinstance(v, float))
        assert row["elbo"] <= row["iwae"] + 1e-9
    best = max(said["backends"], key=lambda name: said["backends"][name]["iwae"])
    assert said["best"] == best and said["output"] == "compare.h5"
    with h5py.File(tmp_path / "compare.h5") as file:
        assert set(file["compare"]) == set(LATENTS) and file["trajvae"].attrs["best"] == best
        mean = float(np.mean(file[f"compare/{best}/iwae"]))
        assert file[f"compare/{best}"].attrs["iwae"] == pytest.approx(mean)
        assert file[f"compare/{best}/iwae"].attrs["unit"] == "nat"
    assert "compare" in run(tmp_path, "info", "compare.h5").stdout


def test_dimensions_repeats_processes_and_the_table(tmp_path, alanine):
    """Names carry the dimension; the table has a row each and says which is best; nothing is overwritten."""
    arguments = ("compare", *alanine, *QUICK, "--backend", "euclidean", "--backend", "embedded", "--latent-dim", "1,2")
    text = run(tmp_path, *arguments, "--repeats", "2", "--jobs", "2").stdout
    for name in ("euclidean:1", "euclidean:2", "embedded:1", "embedded:2"):
        assert text.count(f"  {name} ") == 1
    assert "best: " in text and "compare.h5" in text
    before = (tmp_path / "compare.h5").read_bytes()
    assert "--force" in run(tmp_path, *arguments, code=1).stderr
    assert (tmp_path / "compare.h5").read_bytes() == before


def test_a_model_beside_new_ones(tmp_path, alanine):
    """`--with` takes a model of these frames, and refuses one that was aligned in another way."""
    run(tmp_path, "train", *alanine, "--epochs", "2", "--hidden", "8")
    text = run(tmp_path, "compare", *alanine, *QUICK, "--with", "model.h5", "--backend", "hyperspherical").stdout
    assert "model.h5" in text and "hyperspherical" in text
    run(tmp_path, "train", *alanine, "--epochs", "2", "--hidden", "8", "--center", "mass", "-o", "other.h5")
    error = run(tmp_path, "compare", *alanine, *QUICK, "-f", "--with", "model.h5", "--with", "other.h5", code=1).stderr
    assert "do not compare" in error and "reference or weights" in error


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--backend", "no_such"), "no backend"),
        (("--latent-dim", "1,x"), "1,2,4"),
        (("--latent-dim", "0"), "1 or more"),
        (("--set", "no_such=1"), "no option"),
        (("--draws", "0"), "draws must be 1 or more"),
        (("--backend", "euclidean", "--signature", "h2"), "product"),
        (("--with", "missing.h5"), "missing.h5"),
    ],
)
def test_errors_are_one_line(tmp_path, alanine, wrong, words):
    """What was wanted and what came; nothing is written."""
    done = subprocess.run(
        [sys.executable, "-m", "trajvae_cli", "compare", *map(str, alanine), *QUICK, *wrong],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
