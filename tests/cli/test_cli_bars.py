"""Bars on a terminal: real commands under a pseudo-terminal; none where stderr is a pipe."""

from __future__ import annotations

import itertools
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trajvae import Model

FIRST, STANDS = 3.0, 10.0  # seconds until a bar moves, and that it may stand
SLACK = 4.0  # on a machine that is busy with other tests


def watched(folder: Path, *arguments: str) -> tuple[int, list[tuple[float, str]]]:
    """Run a command whose stderr is a terminal: its exit status, and what appeared there, and when."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "trajvae_cli", *arguments]
    seen, begun = [], time.monotonic()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=theirs) as running:
        os.close(theirs)
        while True:
            ready, _, _ = select.select([ours], [], [], 0.2)
            try:
                text = os.read(ours, 65536).decode(errors="replace") if ready else ""
            except OSError:  # the other end is closed
                break
            if text:
                seen.append((time.monotonic() - begun, text))
        os.close(ours)
        return running.wait(timeout=60), seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    """A folder with a model."""
    path = tmp_path_factory.mktemp("bars")
    tiny_model.save(path / "model.h5")
    return path


CASES = {
    "generate": (("generate", "-n", "25000", "--project"), ("generating",)),
    "optimize": (("optimize", "--objective", "rg"), ()),
    "path": (("path", "--from", "0", "--to", "300"), ("bending",)),
    "train": (("train", "{examples}/chain2d.npz", "--epochs", "12", "-o", "own.h5"), ("training",)),
    "compare": (
        (
            "compare",
            "{examples}/chain2d.npz",
            "--step",
            "4",
            "--epochs",
            "10",
            "--backend",
            "euclidean",
            "--draws",
            "50",
        ),
        ("training euclidean",),
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_bars_begin_soon_and_go_on(folder: Path, examples: Path, name: str) -> None:
    """Some bar is there within three seconds of the start of work, none stands for ten, and nothing is left of them."""
    arguments, bars = CASES[name]
    status, seen = watched(folder, *(a.format(examples=examples) for a in arguments))
    text = "".join(part for _, part in seen)
    assert status == 0, text
    shown = [(when, part) for when, part in seen if re.search("\r[^\r\n]", part)]
    assert shown and shown[0][0] <= FIRST + SLACK, seen
    times = [when for when, _ in shown]
    assert max((b - a for a, b in itertools.pairwise(times)), default=0.0) < STANDS + SLACK
    for bar in bars:
        assert bar in text
    last = text.replace("\r\n", "\n").rpartition("\n")[2]
    assert not last.rpartition("\r")[2].strip(), repr(last)


def test_a_clock_shows_what_is_not_counted(folder: Path) -> None:
    """Between stages the time goes on: as long as nothing is counted there is a clock."""
    code = (
        "import sys, time; from trajvae_cli import bars\n"
        "with bars.showing():\n"
        "    time.sleep(2.5)\n"
        "    with bars.aside(): print('said', file=sys.stderr)\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=theirs) as running:
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            text += part
        assert running.wait(timeout=60) == 0
    os.close(ours)
    assert {"00:01", "00:02"} <= set(re.findall(r"working (\d\d:\d\d)", text.decode()))
    assert re.search(rb"\r +\rsaid\r\n", text), text


def test_a_pipe_hears_nothing(folder: Path) -> None:
    """Where stderr is no terminal no bar is written."""
    command = [sys.executable, "-m", "trajvae_cli", "optimize", "--objective", "rg", "-o", "piped.h5md"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
