"""Signals: work ends cleanly, says how to go on, and the same command with --resume ends in the same bits."""

from __future__ import annotations

import resource
import signal
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from processes import LIMIT, started, wait_for


def _weights(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: value[()] for name, value in file["trajvae/weights"].items()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_training_survives(beads: Path, number: signal.Signals) -> None:
    """Stopped by Ctrl-C, SIGTERM or SIGKILL it goes on with --resume, to the weights of an uninterrupted run."""
    options = ("train", "traj.npy", "--epochs", "150", "--hidden", "32", "--seed", "4")
    process = started(beads, *options, "--checkpoint", "0")
    wait_for(beads / "model.h5", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert out == "" and "Traceback" not in err
    if number != signal.SIGKILL:
        assert err.splitlines()[-1].endswith("'trajvae train --resume -o model.h5' goes on")
        assert {p.name for p in beads.iterdir()} == {"traj.npy", "model.h5"}
    again, whole = started(beads, *options, "--resume"), started(beads, *options, "-o", "whole.h5")
    assert "going on" in again.communicate(timeout=LIMIT)[1]
    whole.communicate(timeout=LIMIT)
    assert (again.returncode, whole.returncode) == (0, 0)
    one, other = _weights(beads / "model.h5"), _weights(beads / "whole.h5")
    assert all(np.array_equal(value, other[name]) for name, value in one.items())
    done = started(beads, "train", "--resume")
    assert "is complete" in done.communicate(timeout=LIMIT)[1] and done.returncode == 0
    assert {p.name for p in beads.iterdir()} == {"traj.npy", "model.h5", "whole.h5"}  # nor what SIGKILL left


def test_embed_goes_on_with_its_training(beads: Path) -> None:
    """`embed` that was stopped while it trained takes the training up; another option is refused."""
    options = ("embed", "traj.npy", "--epochs", "150", "--hidden", "32")
    process = started(beads, *options, "--checkpoint", "0")
    wait_for(beads / "model.h5", process)
    process.terminate()
    process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM and not (beads / "embed.h5").exists()
    other = started(beads, "embed", "traj.npy", "--epochs", "151", "--hidden", "32")
    assert "was begun with epochs 150, got 151" in other.communicate(timeout=LIMIT)[1] and other.returncode == 2
    again = started(beads, *options)
    assert "going on" in again.communicate(timeout=LIMIT)[1] and again.returncode == 0
    assert (beads / "embed.h5").exists()


def test_embed_goes_on_after_its_training(beads: Path) -> None:
    """`embed` that was killed between model.h5 and embed.h5 may be typed again as it was, and only so."""
    options = ("embed", "traj.npy", "--epochs", "2", "--hidden", "8", "--json")
    for _ in range(2):
        process = started(beads, *options)
        err = process.communicate(timeout=LIMIT)[1]
        assert process.returncode == 0, err
        (beads / "embed.h5").rename(beads / "first.h5")
    other = started(beads, *options[:-1])
    assert "would need a training" in other.communicate(timeout=LIMIT)[1] and other.returncode == 2


def test_a_disk_that_refuses(beads: Path) -> None:
    """A training says once that there are no checkpoints, and all end with one line and leave nothing."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (4096, 4096))
    options = ("train", "traj.npy", "--epochs", "4", "--hidden", "8", "--checkpoint", "0")
    process = started(beads, *options, preexec_fn=limit)
    lines = process.communicate(timeout=LIMIT)[1].splitlines()
    assert process.returncode == 1
    assert lines[-1].startswith("Error: cannot write 'model.h5': the file would be larger than allowed")
    assert sum("no checkpoint" in line for line in lines) == 1 and not any("Traceback" in line for line in lines)
    assert {p.name for p in beads.iterdir()} == {"traj.npy"}


def test_resume_begins_where_there_is_nothing(beads: Path) -> None:
    """In a job script the first run has the same command line as the next; without a trajectory there is no first."""
    process = started(beads, "train", "traj.npy", "--epochs", "2", "--hidden", "8", "--resume")
    process.communicate(timeout=LIMIT)
    assert process.returncode == 0 and (beads / "model.h5").exists()
    empty = started(beads, "train", "--resume", "-o", "other.h5")
    assert "wanted at least one trajectory" in empty.communicate(timeout=LIMIT)[1] and empty.returncode == 2


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.8, 2.6])
@pytest.mark.parametrize("pair", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)])
def test_two_signals_leave_no_traceback(beads: Path, seconds: float, pair: tuple[signal.Signals, ...]) -> None:
    """While modules are imported, while frames are read, between two steps: the second one comes 20 ms later."""
    process = started(beads, "train", "traj.npy", "--epochs", "20000", "--hidden", "32", "--checkpoint", "0")
    time.sleep(seconds)
    for number in pair:
        process.send_signal(number)
        time.sleep(0.02)
    out, err = process.communicate(timeout=10.0)
    assert process.returncode in {code for n in pair for code in (128 + n, -n)}, err
    assert out == "" and "Traceback" not in err
