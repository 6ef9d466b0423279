"""Many commands at once in one folder with one target: `python benchmarks/survival_crowd.py`.

Half of them stand in containers of their own, whose processes are numbered anew (`unshare`, where this machine allows
it). One must win; the others must be told who writes, or that the file exists, and must remove nothing of the winner's.
Each round takes a minute on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from survival_runs import hidden, make_frames, unreadable, whole_run

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")
OF_A_USER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
COMMANDS = {
    "train": ("train", "traj.npy", "--epochs", "60", "--hidden", "32", "--checkpoint", "0.1", "-o", "new.h5"),
    "train -f": ("train", "traj.npy", "--epochs", "60", "--hidden", "32", "--checkpoint", "0.1", "-o", "new.h5", "-f"),
    "embed, training first": ("embed", "traj.npy", "--epochs", "40", "--hidden", "32"),
    "generate": ("generate", "-n", "10000", "-m", "like.h5", "-o", "new.h5md"),
}
TOLD = ("is being written by", "exists", "is complete")


def container() -> tuple[str, ...]:
    """What begins a command in a container of its own; nothing where this machine allows none."""
    for words in (CONTAINER, OF_A_USER):
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return ()


def crowd(folder: Path, command: tuple[str, ...], count: int, around: tuple[str, ...]) -> list[tuple[int, str]]:
    """Exit status and the last line of commands that begin together."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    processes = [
        subprocess.Popen(
            [*(around if k % 2 else ()), sys.executable, "-m", "trajvae_cli", *command],
            cwd=folder,
            env=environment,
            **pipes,
        )
        for k in range(count)
    ]
    said = [process.communicate()[1] for process in processes]
    return [(p.returncode, (text.splitlines() or [""])[-1]) for p, text in zip(processes, said, strict=True)]


def rounds(count: int, names: list[str]) -> Iterator[tuple[str, str, bool]]:
    """A row a command: what is measured, and whether it is as it should be."""
    around = container()
    with tempfile.TemporaryDirectory() as name:
        for k, what in enumerate(names):
            folder = Path(name, str(k))
            folder.mkdir()
            make_frames(folder / "traj.npy")
            whole_run(folder, "train", "traj.npy", "--epochs", "2", "--hidden", "8", "-o", "like.h5")
            ends = crowd(folder, COMMANDS[what], count, around)
            won = sum(code == 0 for code, _ in ends)
            told = sum(code == 1 and any(words in line for words in TOLD) for code, line in ends)
            wrong = unreadable(folder) + hidden(folder)
            wrong += [line for code, line in ends if code and not any(words in line for words in TOLD)]
            inside = f"{count // 2} in containers" if around else "no containers here"
            text = f"{count} at once, {inside}: {won} won, {told} told, {len(wrong)} failures {'; '.join(wrong[:3])}"
            yield what, text, won == 1 and won + told == count and not wrong


def main() -> None:
    """Print the rows; exit with 1 where one is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS), choices=COMMANDS)
    given, good = parser.parse_args(), True
    for what, text, met in rounds(given.count, given.commands):
        good &= met
        print(f"{'ok  ' if met else 'MISS'} {what}: {text}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
