"""Commands where the system refuses, where numbers are none, and where names and settings of others meet figures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from trajvae.config import TrainConfig
from trajvae.errors import OptionError
from trajvae.latents import LATENTS, latent_options, make_latent
from trajvae.store import describe
from trajvae_cli.main import main

ABSURD = ("nan", "inf", "-inf", "1e300", "-1e300", "-1")
_WITHOUT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
AS_USER = [] if os.geteuid() else _WITHOUT  # root reads everything, unless it gives up that right


def run(folder: Path, line: list[str], *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command as it is typed."""
    command = [*before, sys.executable, "-m", "trajvae_cli", *line]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def folder(written: Path, chain: np.ndarray, tmp_path: Path) -> Path:
    """A model, an embedding and frames."""
    for name in ("model.h5", "embed.h5"):
        shutil.copy(written / name, tmp_path)
    np.save(tmp_path / "traj.npy", chain[:50])
    return tmp_path


@pytest.mark.skipif(bool(AS_USER) and shutil.which("setpriv") is None, reason="root cannot be refused anything")
@pytest.mark.parametrize(
    "name, line",
    [
        ("model.h5", ["info", "model.h5"]),
        ("model.h5", ["generate", "-n", "2"]),
        ("traj.npy", ["embed", "traj.npy", "-m", "model.h5", "-o", "e.h5"]),
        ("embed.h5", ["plot", "embed.h5"]),
    ],
)
def test_permission_denied(folder: Path, name: str, line: list[str]) -> None:
    """It is said, with what to do; the file is neither damaged nor missing."""
    (folder / name).chmod(0)
    done = run(folder, line, *AS_USER)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "permission denied" in last and name in last and "Traceback" not in done.stderr
    assert "damaged" not in last and "no file" not in last


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(folder: Path, closed: str) -> None:
    """The result is written and is whole: nothing that is printed goes into it."""
    done = run(folder, ["generate", "-n", "3", "-o", "g.h5md"], "bash", "-c", f'"$@" {closed}', "sh")
    assert done.returncode == 0 and describe(folder / "g.h5md")["kind"] == "conformations"


def test_a_figure_for_which_there_is_no_room(folder: Path) -> None:
    """One line, and nothing of it is left."""
    done = run(folder, ["plot", "embed.h5", "-o", "x.pdf"], "bash", "-c", 'ulimit -f 8; "$@"', "sh")
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].startswith("Error: cannot write 'x.pdf'")
    assert "Traceback" not in done.stderr and not [p for p in folder.iterdir() if "x" in p.name and p.suffix == ".pdf"]


def test_settings_of_others_change_no_figure(folder: Path) -> None:
    """A `matplotlibrc` in the working folder, or in the environment, that asks for LaTeX, sizes, or is no text."""
    (folder / "other").write_text("figure.dpi: 30\nfont.size: 30\naxes.facecolor: black\n")
    pictures = []
    for content in (None, b"text.usetex: True\nfont.size: 30\nsavefig.bbox: tight\n", b"\xff\xfe\x00"):
        if content is not None:
            (folder / "matplotlibrc").write_bytes(content)
        more = {} if content is None else {"MATPLOTLIBRC": str(folder / "other")}
        done = run(folder, ["plot", "embed.h5", "-o", "x.png", "-f", "--dpi", "40"], **more)
        assert done.returncode == 0, done.stderr
        pictures.append((folder / "x.png").read_bytes())
    assert pictures[0] == pictures[1] == pictures[2]


@pytest.mark.parametrize("word", [r"$\frac{$", r"a_$b$", r"\$$_{", "$$"])
def test_names_and_units_begin_no_formula(folder: Path, edited, word: str) -> None:
    """Of observables, in axes and colour bars."""
    with edited(folder / "embed.h5") as file:
        file["observables/rmsd/value"].attrs["unit"] = word
        file.copy("observables/rmsd", f"observables/{word}")
    done = run(folder, ["plot", "embed.h5", "-o", "x.svg", "-f", "--color", "rmsd", "--color", word])
    assert done.returncode == 0, done.stderr
    assert word.replace("\\$", "$") in (folder / "x.svg").read_text()


@pytest.mark.parametrize("value", ["nan", "inf", "1e9", "0", "-1"])
def test_dots_an_inch_have_a_range(folder: Path, value: str) -> None:
    """It is named, and nothing is written."""
    done = run(folder, ["plot", "embed.h5", "-o", "x.png", "--dpi", value])
    assert done.returncode == 2 and "20<=x<=1200" in done.stderr and not (folder / "x.png").exists()


@pytest.mark.parametrize("name", ["beta", "free_bits"])
@pytest.mark.parametrize("value", ABSURD)
def test_weights_of_training_have_a_range(name: str, value: str) -> None:
    """Of the divergence and of free bits."""
    with pytest.raises(OptionError, match=rf"{name} must be a number from 0 to 1000000, got"):
        TrainConfig(**{name: float(value)})


@pytest.mark.parametrize("name", ["epochs", "batch_size", "latent_dim"])
@pytest.mark.parametrize("value", [0, -1, 10**300])
def test_counts_of_training_have_a_range(name: str, value: int) -> None:
    """And widths of layers."""
    with pytest.raises(OptionError, match=rf"{name} must be 1 or more, up to \d+, got"):
        TrainConfig(**{name: value})
    with pytest.raises(OptionError, match="widths of 1 to 1000000"):
        TrainConfig(hidden=(8, value))


@pytest.mark.parametrize("backend", LATENTS)
def test_numbers_of_every_latent_space_have_a_range(backend: str) -> None:
    """Each of them, by the table that `info --options` prints."""
    numbers = [o["name"] for o in latent_options(backend) if o["type"] in ("float", "int")]
    for name in numbers:
        for value in ABSURD:
            with pytest.raises(OptionError, match=name):
                make_latent(backend, 2, {name: value})


@pytest.mark.parametrize(
    "line",
    [
        ["compare", "traj.npy", "--draws"],
        ["compare", "traj.npy", "--repeats"],
        ["path", "--from", "0", "--to", "5", "--frames"],
        ["plot", "embed.h5", "--temperature"],
        ["train", "traj.npy", "-o", "new.h5", "--checkpoint"],
        ["train", "traj.npy", "-o", "new.h5", "--batch-size"],
    ],
)
def test_options_of_commands_have_ranges(folder: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]) -> None:
    """What is absurd ends at once, in one line, and nothing is written."""
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    for value in ("-1", "nan", "inf", str(10**300)):
        done = CliRunner().invoke(main, [*line, value])
        assert done.exit_code == 2 and isinstance(done.exception, SystemExit), (value, done.exception)
    assert sorted(folder.iterdir()) == before


def test_what_was_altered_is_read_by_a_word(folder: Path) -> None:
    """A number that differs is one line that names the array and the option; with it the file is read."""
    with h5py.File(folder / "embed.h5", "r+") as file:
        file["observables/rmsd/value"][3] += 1.0
    for line in (["info", "embed.h5"], ["plot", "embed.h5", "-o", "x.png", "-f", "--dpi", "40"]):
        done = run(folder, line)
        assert done.returncode == 1 and "'/observables/rmsd/value'" in done.stderr and "--no-verify" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert run(folder, [*line, "--no-verify"]).returncode == 0
