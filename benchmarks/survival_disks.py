"""Disks that are full and folders that are read-only: each command says one line and leaves what was there."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from survival_runs import Row, begin, different, hidden, make_frames, run, unreadable, whole_run

SIZE = 2 << 20  # bytes of the disk
ROOMS = (0, 8 << 10, 20 << 10)  # bytes that are left on it: less than the smallest output takes
TRAINING = ("--epochs", "20", "--hidden", "32", "--checkpoint", "0.2")
COMMANDS = {
    "train": ("train", "traj.npy", *TRAINING, "-o", "new.h5"),
    "train -f": ("train", "traj.npy", *TRAINING, "-f"),
    "embed": ("embed", "traj.npy", "-f"),
    "generate": ("generate", "-n", "2000", "-f"),
    "optimize": ("optimize", "--objective", "rg", "-f"),
    "path": ("path", "--from", "0", "--to", "97", "--metric", "posterior", "--frames", "500", "-f"),
    "marginals": ("marginals", "-f"),
    "compare": ("compare", "traj.npy", "--backend", "euclidean", "--backend", "hyperspherical", *TRAINING[:4], "-f"),
    "plot": ("plot", "model.h5", "-f"),
}
SMALL = {"generate": ("-n", "2"), "path": ("--frames", "3")}  # for the outputs that stand there before
BOUND = "exit 1, one line, nothing half written, earlier files as they were"


def _mount(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True).returncode == 0


@contextlib.contextmanager
def mounted(folder: Path, *words: str) -> Iterator[bool]:
    """A mount that ends with its block; whether this machine allows it."""
    done = _mount(*words, str(folder))
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", str(folder)], check=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files with their bytes."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "fill"}


def refused(folder: Path, name: str, **more: Any) -> list[str]:
    """What is wrong with how a command takes it that it cannot write."""
    before = snapshot(folder)
    status, said = run(folder, *COMMANDS[name], **more)
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    wrong = [] if status == 1 else [f"{name}: exit {status}"]
    wrong += [] if len(errors) == 1 and said.splitlines()[-1] == errors[0] else [f"{name}: says {said[-300:]}"]
    wrong += [f"{name}: a traceback"] if "Traceback" in said else []
    now = snapshot(folder)
    changed = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    return wrong + [f"{name}: {changed} changed"] * bool(changed) + unreadable(folder)


def fill(folder: Path, room: int) -> None:
    """Take all of a disk but for some bytes."""
    with contextlib.suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    os.truncate(folder / "fill", max(0, (folder / "fill").stat().st_size - room))


def row(what: str, wrong: list[str], tries: int, bound: str = BOUND) -> Row:
    """A row of the table."""
    return what, f"{tries} runs, {len(wrong)} failures" + "".join(f"; {text}" for text in wrong[:3]), bound, not wrong


def prepare(folder: Path) -> None:
    """A folder with a model, and an earlier output of every command."""
    make_frames(folder / "traj.npy")
    whole_run(folder, "train", "traj.npy", *TRAINING)
    for name, command in COMMANDS.items():
        if not name.startswith("train"):
            whole_run(folder, *command, *SMALL.get(name, ()))


def full_rows(folder: Path) -> Iterator[Row]:
    """A small disk, filled but for some room."""
    for name in COMMANDS:
        wrong = []
        for space in ROOMS:
            fill(folder, space)
            wrong += refused(folder, name)
        yield row(f"full disk: {name}", wrong, len(ROOMS))
    (folder / "fill").unlink()


def checkpoint_rows(folder: Path) -> Iterator[Row]:
    """A training on a full disk: it goes on without checkpoints, and an earlier one can be gone on with."""
    command = ("train", "traj.npy", *TRAINING, "-o", "late.h5")
    whole_run(folder, *command)
    (folder / "late.h5").rename(folder / "wanted.h5")
    process = begin(folder, *command, "--checkpoint", "0")
    while process.poll() is None and not (folder / "late.h5").exists():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    fill(folder, 0)
    before = snapshot(folder)
    status, said = run(folder, *command, "--resume")
    wrong = [] if status == 1 and said.splitlines()[-1].endswith("goes on from its last checkpoint") else [said[-300:]]
    wrong += [] if said.count("no checkpoint") <= 1 else ["warns more than once"]
    wrong += [] if before == snapshot(folder) else ["the checkpoint is not as it was"]
    (folder / "fill").unlink()
    whole_run(folder, *command, "--resume")
    wrong += different(folder / "late.h5", folder / "wanted.h5") + hidden(folder)
    bound = "says so once and trains on; then an error that names --resume, which ends in the same bits"
    yield row("full disk: train --resume", wrong, 3, bound)


def cache_row(folder: Path, small: Path) -> Row:
    """A streamed training whose TMPDIR is full."""
    make_frames(folder / "many.npy", 12_000)
    fill(small, 200 << 10)
    words = ("train", "many.npy", *TRAINING, "--memory", "10MB", "-o", "many.h5")
    status, said = run(folder, *words, environment={"TMPDIR": str(small)})
    wrong = [] if status == 1 and said.splitlines()[-1].startswith("Error: ") else [f"exit {status}: {said[-300:]}"]
    (small / "fill").unlink()
    return row("full TMPDIR: train, streamed", wrong, 1)


def limit_rows(folder: Path) -> Iterator[Row]:
    """Files that may not grow beyond a limit, as quotas have it."""
    wrong: list[str] = []
    for name in COMMANDS:
        wrong += refused(folder, name, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    yield row("RLIMIT_FSIZE 4 kB: all commands", wrong, len(COMMANDS))


def read_only_rows(folder: Path) -> Iterator[Row]:
    """A folder that cannot be written to: a read-only mount, as root may write anywhere else."""
    with mounted(folder, "--bind", str(folder)) as bound:
        if bound and _mount("-o", "remount,bind,ro", str(folder)):
            what = "read-only mount"
        else:
            folder.chmod(0o500)
            what = "read-only folder" if os.geteuid() else "read-only folder (root: does not bind)"
        wrong = [text for name in COMMANDS for text in refused(folder, name)]
    folder.chmod(0o700)
    yield row(f"{what}: all commands", wrong, len(COMMANDS))


def disk_rows(root: Path) -> Iterator[Row]:
    """All of it; full disks only where a small one may be mounted."""
    small, folder = root / "small", root / "folder"
    small.mkdir()
    folder.mkdir()
    with mounted(small, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs") as done:
        if done:
            prepare(small)
            yield from full_rows(small)
            yield from checkpoint_rows(small)
            yield cache_row(folder, small)
        else:
            yield "full disk", "not tried: no tmpfs may be mounted here", BOUND, True
    prepare(folder)
    yield from limit_rows(folder)
    yield from read_only_rows(folder)
