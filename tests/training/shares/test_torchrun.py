"""Trainings that torchrun starts, as programs: one model, one line where they end before their time, and go on."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from trajvae import Model
from trajvae.errors import TrajvaeWarning
from trajvae.store import read_model

from processes import LIMIT, wait_for

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
OWN = re.compile(r"^(Error|note|warning|selected|training|going on|stopped|Usage|trained on|verdict)\b.*", re.MULTILINE)
ENDS = 10.0  # seconds that all processes have to end


@pytest.fixture
def beads(tmp_path: Path, examples: Path) -> Path:
    """A folder with a trajectory of beads."""
    with np.load(examples / "chain2d.npz") as arrays:
        np.save(tmp_path / "traj.npy", arrays["positions"][:300])
    return tmp_path


def begun(
    folder: Path, size: int, *arguments: str, machines: tuple[str, ...] = ("--standalone",)
) -> subprocess.Popen[str]:
    """Start `trajvae ARGUMENTS` in several processes."""
    command = [*TORCHRUN, *machines, "--nproc-per-node", str(size), "-m", "trajvae_cli", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def said(err: str) -> list[str]:
    """The lines that are trajvae's own, among those of torchrun."""
    return [match[0] for match in OWN.finditer(err) if not match[0].startswith("warning: draws")]


def children(process: subprocess.Popen[str]) -> list[int]:
    """Numbers of the processes that torchrun has started, by rank."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sorted(map(int, found))


def files(folder: Path) -> set[str]:
    """Names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def free_port() -> int:
    """Number of a port that nobody listens to."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return int(listening.getsockname()[1])


def test_two_machines_write_one_model(beads: Path) -> None:
    """As two torchruns on this one: all is said once, nothing else is written, and it is as good as one process's."""
    endpoint = f"localhost:{free_port()}"
    machines = ("--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", "1")
    np.save(beads / "weights.npy", np.linspace(0.5, 1.5, 300))
    arguments = ("traj.npy", "--epochs", "10", "--hidden", "32", "--weights", "weights.npy")
    both = [begun(beads, 1, "train", *arguments, machines=machines) for _ in range(2)]
    ended = [process.communicate(timeout=LIMIT) for process in both]
    out, err = ("".join(texts) for texts in zip(*ended, strict=True))
    assert [process.returncode for process in both] == [0, 0], err
    assert files(beads) == {"traj.npy", "weights.npy", "model.h5"}
    assert len(re.findall(r"trained on \d+ of 300 frames", out)) == 1
    assert [line for line in said(err) if not line.startswith("warning")] == [
        "selected: all atoms (12 atoms, 300 frames)",
        "training in 2 processes",
    ]
    assert len(set(said(err))) == len(said(err))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        alone = Model.train(str(beads / "traj.npy"), epochs=10, hidden=(32,), weights=beads / "weights.npy").figures
    figures = Model.load(beads / "model.h5").figures
    assert (figures.epochs, figures.batch_size) == (alone.epochs, alone.batch_size)
    assert figures.elbo == pytest.approx(alone.elbo, abs=0.5)


@pytest.mark.parametrize("rank", [0, 1])
def test_all_end_where_one_is_killed(beads: Path, rank: int) -> None:
    """Within seconds, with one line; in another number of processes the training goes on, and says what that means."""
    process = begun(beads, 2, "train", "traj.npy", "--epochs", "20000", "--hidden", "32", "--checkpoint", "1")
    wait_for(beads / "model.h5", process)
    workers, since = children(process), time.monotonic()
    os.kill(workers[rank], signal.SIGKILL)
    out, err = process.communicate(timeout=LIMIT)
    assert time.monotonic() - since < ENDS
    assert process.returncode != 0 and out == ""
    assert not any(Path(f"/proc/{number}").exists() for number in workers)
    (line,) = [line for line in said(err) if line.startswith(("Error", "stopped"))]
    kept = "'model.h5' holds a checkpoint: the same command with --resume goes on"
    # a process that is busy for long may hear of torchrun's signal before it sees that the other one is lost
    assert line in (f"Error: one of the 2 processes has ended before its time; {kept}", f"stopped; {kept}")
    if rank:
        return
    going_on = subprocess.Popen(
        [sys.executable, "-m", "trajvae_cli", "train", "--resume"],
        cwd=beads,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert going_on.stderr is not None
    first = going_on.stderr.readline(), going_on.stderr.readline()
    going_on.terminate()
    going_on.communicate(timeout=LIMIT)
    assert "note: the training began in 2 processes, and goes on in 1" in "".join(first)
    assert files(beads) == {"traj.npy", "model.h5"}


def test_a_signal_ends_all_with_a_checkpoint(beads: Path) -> None:
    """SIGTERM to torchrun: one line, and both processes go on from there, to the bits of a training never stopped."""
    arguments = ("train", "traj.npy", "--epochs", "15", "--hidden", "32", "--checkpoint", "0")
    process = begun(beads, 2, *arguments)
    wait_for(beads / "model.h5", process)
    workers, since = children(process), time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert time.monotonic() - since < ENDS
    assert not any(Path(f"/proc/{number}").exists() for number in workers)
    assert files(beads) == {"traj.npy", "model.h5"}
    (line,) = [line for line in said(err) if line.startswith(("Error", "stopped"))]
    assert re.fullmatch(
        r"stopped in epoch \d+; 'model.h5' holds what was reached: .* --resume -o model.h5' goes on", line
    )
    again = begun(beads, 2, *arguments, "--resume")
    assert again.communicate(timeout=LIMIT) and again.returncode == 0
    whole = begun(beads, 2, *arguments, "-o", "whole.h5")
    assert whole.communicate(timeout=LIMIT) and whole.returncode == 0
    stopped, straight = (read_model(beads / name) for name in ("model.h5", "whole.h5"))
    assert stopped.hash == straight.hash


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("info", "model.h5"), "Error: 'trajvae info' runs in one process, and 2 were started: leave out torchrun"),
        (("train", "none.dcd"), "Error: "),
        (("train", "traj.npy", "--lag", "1"), "Error: a training with a lag time runs in one process"),
    ],
)
def test_what_is_refused_is_said_once(beads: Path, arguments: tuple[str, ...], line: str) -> None:
    """By the first process; no other waits for it."""
    process = begun(beads, 2, *arguments)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode != 0
    errors = [found for found in said(err) if found.startswith("Error")]
    assert len(errors) == 1 and errors[0].startswith(line), err
    assert files(beads) == {"traj.npy"}


def test_one_process_of_torchrun_is_one_process(beads: Path) -> None:
    """Variables of torchrun in the environment of a single process change nothing."""
    variables = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1", "LOCAL_RANK": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "trajvae_cli", "info", "--help"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
