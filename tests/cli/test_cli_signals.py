"""Signals that end a command: whatever frame they strike, and however often; nothing hidden is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processes import LIMIT, started, wait_for

STRUCK = """
import gc, os, signal, time, weakref
from trajvae_cli.interrupts import Stopped, own_process, sigterm_as_interrupt
class Thing: pass
def strike(*_):
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.01)
def by_reference():
    thing = Thing()
    reference = weakref.ref(thing, strike)
    del thing
def by_deletion():
    Thing.__del__ = strike
    Thing()
def by_collection():
    gc.callbacks.append(lambda phase, _: phase == "start" and strike())
    gc.collect()
    gc.callbacks.clear()
def by_suppression():
    try:
        strike()
    except BaseException:
        pass
own_process()
try:
    with sigterm_as_interrupt():
        {frame}()
        end = time.monotonic() + 10.0
        while time.monotonic() < end:
            time.sleep(0.001)
        print("went on")
except Stopped as halt:
    print(halt.exit_code)
"""


@pytest.mark.parametrize("frame", ["by_reference", "by_deletion", "by_collection", "by_suppression"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_ends_the_work_whatever_frame_it_strikes(frame: str, name: str) -> None:
    """Callbacks whose exceptions Python prints and forgets, and code that swallows all: it ends, and says nothing."""
    script = STRUCK.format(frame=frame, name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert (done.stdout, done.stderr) == (f"{128 + getattr(signal, name)}\n", "")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGXCPU])
def test_a_training_ends_with_a_checkpoint(beads: Path, number: signal.Signals) -> None:
    """A closed terminal, Ctrl-backslash, a batch system's warnings: as Ctrl-C."""
    process = started(beads, "train", "traj.npy", "--epochs", "20000", "--hidden", "32")
    wait_for(beads / "model.h5", process)
    before = (beads / "model.h5").stat().st_mtime_ns
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + number and "Traceback" not in err
    assert err.splitlines()[-1].endswith("'trajvae train --resume -o model.h5' goes on")
    assert (beads / "model.h5").stat().st_mtime_ns > before
    assert {p.name for p in beads.iterdir()} == {"traj.npy", "model.h5"}


def test_a_hangup_that_is_ignored_stays_so(beads: Path) -> None:
    """Below nohup a training goes on when its terminal is closed."""
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = started(beads, "train", "traj.npy", "--epochs", "60", "--hidden", "32", "--checkpoint", "0", **ignoring)
    wait_for(beads / "model.h5", process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 0


@pytest.mark.parametrize("apart", [0.0, 0.001, 0.05])
@pytest.mark.parametrize("pair", [(signal.SIGHUP, signal.SIGTERM), (signal.SIGTERM, signal.SIGTERM)])
def test_two_signals_leave_nothing_hidden(beads: Path, apart: float, pair: tuple[signal.Signals, ...]) -> None:
    """While checkpoints are written one after the other: the second one ends it at once, and without a traceback."""
    process = started(beads, "train", "traj.npy", "--epochs", "20000", "--hidden", "32", "--checkpoint", "0")
    wait_for(beads / "model.h5", process)
    for number in pair:
        process.send_signal(number)
        time.sleep(apart)
    out, err = process.communicate(timeout=10.0)
    assert process.returncode in {code for n in pair for code in (128 + n, -n)}, err
    assert out == "" and "Traceback" not in err and "Exception" not in err
    assert {p.name for p in beads.iterdir()} == {"traj.npy", "model.h5"}


def test_a_signal_while_frames_are_drawn_leaves_nothing(beads: Path) -> None:
    """Neither a hidden file nor half of an output."""
    training = started(beads, "train", "traj.npy", "--epochs", "2", "--hidden", "8")
    training.communicate(timeout=LIMIT)
    process = started(beads, "generate", "-n", "2000000", "--redraws", "0")
    end = time.monotonic() + LIMIT
    while not any(p.name.endswith(".part.h5md") for p in beads.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGHUP
    assert err.splitlines()[-1] == "stopped; what was not finished was not written"
    assert {p.name for p in beads.iterdir()} == {"traj.npy", "model.h5"}
