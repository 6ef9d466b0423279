"""Commands that share a folder: one writes a target, the others are told; odd names and devices are found out first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

TRAJVAE = [sys.executable, "-m", "trajvae_cli"]
LIMIT = 100.0
SHORT = ("--epochs", "2", "--hidden", "8")


@pytest.fixture
def folder(tmp_path: Path, examples: Path) -> Path:
    """A folder with a trajectory of beads."""
    with np.load(examples / "chain2d.npz") as arrays:
        np.save(tmp_path / "traj.npy", arrays["positions"][:600])
    return tmp_path


def begin(folder: Path, *arguments: str | bytes, **more: Any) -> subprocess.Popen[str]:
    """A command of its own process."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command: Any = [*TRAJVAE, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes, **more)


def run(folder: Path, *arguments: str | bytes) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    process = begin(folder, *arguments)
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def status(path: Path) -> str:
    """Whether a model's training is complete."""
    with h5py.File(path) as file:
        return str(file["trajvae"].attrs["status"])


def test_a_training_that_runs_is_neither_gone_on_with_nor_replaced(folder: Path) -> None:
    """`train --resume`, `train -f` and `embed` are told who trains; the model becomes complete, and stays so."""
    first = begin(folder, "train", "traj.npy", "--epochs", "20000", "--hidden", "32", "--checkpoint", "0.1")
    end = time.monotonic() + LIMIT
    while not (folder / "model.h5").exists() and time.monotonic() < end:
        time.sleep(0.02)
    for command in (("train", "--resume"), ("train", "traj.npy", *SHORT, "-f"), ("embed", "traj.npy")):
        code, out, err = run(folder, *command)
        told = f"'model.h5' is being written by process {first.pid} on {os.uname().nodename} since 20"
        assert code == 1 and out == "" and told in err.splitlines()[-1] and "wait" in err.splitlines()[-1], err
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert status(folder / "model.h5") == "training"
    going_on = begin(folder, "train", "--resume")  # at once: the dead one holds nothing
    assert going_on.stderr is not None and any("going on" in line for line in going_on.stderr)
    going_on.send_signal(signal.SIGTERM)
    going_on.communicate(timeout=LIMIT)
    assert going_on.returncode == 128 + signal.SIGTERM and status(folder / "model.h5") == "training"
    assert {p.name for p in folder.iterdir()} == {"traj.npy", "model.h5"}


def test_of_many_commands_one_wins(folder: Path) -> None:
    """Without --force there is one model, of the one command that says it made it."""
    others = [begin(folder, "train", "traj.npy", *SHORT, "--seed", str(k), "-o", "t.h5") for k in range(4)]
    said = [process.communicate(timeout=LIMIT) for process in others]
    codes = [process.returncode for process in others]
    assert sorted(codes) == [0, 1, 1, 1], said
    for code, (_, err) in zip(codes, said, strict=True):
        assert not code or "is being written by process" in err or "'t.h5' exists" in err, err
    with h5py.File(folder / "t.h5") as file:
        assert file["trajvae"].attrs["seed"] == codes.index(0)
    assert {p.name for p in folder.iterdir()} == {"traj.npy", "t.h5"}


def test_names_that_are_not_utf8_are_read_and_written(folder: Path) -> None:
    """By every step from the trajectory to a picture; stored names have their bytes escaped."""
    (folder / "traj.npy").rename(os.fsdecode(bytes(folder) + b"/tr\xff.npy"))
    model, table = b"m\xe9.h5", b"e\xff.h5"
    for command in (
        ("train", b"tr\xff.npy", *SHORT, "-o", model),
        ("embed", b"tr\xff.npy", "-m", model, "-o", table, "--json"),
        ("generate", "-m", model, "-n", "3", "-o", b"g\xff.h5md"),
        ("plot", table, "-o", b"p\xff.png"),
        ("plot", table, table, "-o", b"q\xff.svg"),
    ):
        code, _, err = run(folder, *command)
        assert code == 0, (command, err)
    with h5py.File(bytes(folder) + b"/" + table) as file:
        assert file["trajvae"].attrs["model"] == "m\\xe9.h5"
        assert file["trajvae/files"][0] == b"tr\\xff.npy" and "tr\\xff.npy" in file["trajvae"].attrs["command"]


def test_a_training_of_a_name_that_is_not_utf8_is_gone_on_with(folder: Path) -> None:
    """Without giving the trajectory again."""
    (folder / "traj.npy").rename(os.fsdecode(bytes(folder) + b"/tr\xff.npy"))
    process = begin(folder, "train", b"tr\xff.npy", "--epochs", "60", "--hidden", "32", "--checkpoint", "0")
    while not (folder / "model.h5").exists() and process.poll() is None:
        time.sleep(0.02)
    process.terminate()
    process.communicate(timeout=LIMIT)
    assert status(folder / "model.h5") == "training"
    assert run(folder, "train", "--resume")[0] == 0 and status(folder / "model.h5") == "complete"


@pytest.mark.parametrize("command", ["train", "generate", "plot"])
def test_what_cannot_be_written_is_said_before_the_work(folder: Path, command: str) -> None:
    """Names that are too long, with all that stands beside them; pipes, which stay what they are."""
    ending = {"train": "h5", "generate": "h5md", "plot": "png"}[command]
    os.mkfifo(folder / f"pipe.{ending}")
    words = {"train": ("train", "traj.npy"), "generate": ("generate",), "plot": ("plot", "model.h5")}[command]
    for name, reason in ((f"{'n' * 256}.{ending}", "too long"), (f"pipe.{ending}", "a pipe")):
        code, out, err = run(folder, *words, "-f", "-o", name)
        assert code == 1 and out == "" and reason in err.splitlines()[-1], err
        assert "selected" not in err and "no model" not in err
    assert {p.name for p in folder.iterdir()} == {"traj.npy", f"pipe.{ending}"}
