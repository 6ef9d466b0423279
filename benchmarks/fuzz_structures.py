"""Hostile HDF5 files and the whole command line: each file must be read, or refused in one line that names the cause.

    python benchmarks/fuzz_structures.py --count 5000 --seed 0

Sound files get other types, shapes, links, attributes, names and JSON: see `structures.py`. A command of `trajvae` then
uses each, in a process that is forked from one which has the libraries already, with 2 GB of address space and 10 s of
a processor. It must not end by a signal or a traceback, leave an output where it failed, import a module or open a file
whose name stands in the file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from seeds import EXAMPLES, make_seeds
from structures import damage

from trajvae_cli import main as trajvae

SPACE, SECONDS, PATIENCE = 2 * 10**9, 10, 120  # bytes; s of a processor, and by the clock
_SHOWN = 500  # files between lines that say how far it is
CHAIN = str(EXAMPLES / "chain2d.npz")
PEPTIDE = f"{EXAMPLES / 'alanine_dipeptide.xtc'} -s {EXAMPLES / 'alanine_dipeptide.pdb'} --stop 40"
USES: dict[str, tuple[str, ...]] = {
    "model": (
        "info FILE", "info FILE --json", "plot FILE -o out.png --dpi 20", "embed TRAJ -m FILE -o out.h5",
        "generate -m FILE -n 4 -o out.h5md",
        "generate -m FILE -n 4 -o out.h5md --project --novelty", "embed TRAJ -o out.h5", "train --resume -o FILE",
        "marginals -m FILE -o out.h5",
    ),
    "unfinished": ("info FILE", "train TRAJ --resume -o FILE", "train TRAJ --resume -o FILE", "train --resume -o FILE",
                   "embed TRAJ -o out.h5", "generate -m FILE -n 4 -o out.h5md"),
    "result": ("info FILE", "info FILE --json", "plot FILE -o out.png --dpi 20"),
    "h5md": ("info FILE --json", "plot FILE -o out.png --dpi 20", "embed FILE -s topology.pdb -m other.h5 -o out.h5"),
}  # fmt: skip


class Outcome(NamedTuple):
    """What became of a command: `read`, `refused`, or what went wrong; and the seconds of a processor."""

    text: str
    seconds: float


def watch(notes: list[str]) -> None:
    """Note what is opened or imported by a name that only a damaged file holds."""

    def note(event: str, details: tuple[Any, ...]) -> None:
        """Called by Python at each event."""
        if event == "open" and Path(str(details[0])).name in ("opened.npy", "evil.py"):
            notes.append(f"opened {details[0]}")
        if event.startswith(("subprocess.", "os.system", "os.exec", "pickle.")):
            notes.append(event)

    sys.addaudithook(note)


def run_command(words: list[str]) -> int:
    """Run a command in this process; the exit code."""
    sys.argv = ["trajvae", *words]
    try:
        trajvae()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def child(words: list[str], folder: Path) -> str:
    """Run a command under limits, and judge what it says."""
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    signal.alarm(PATIENCE)
    os.chdir(folder)
    notes: list[str] = []
    watch(notes)
    before = {p.name for p in folder.iterdir()}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = run_command(words)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"traceback: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"
    left = {p.name for p in folder.iterdir()} - before
    last_line = (said.getvalue().strip().splitlines() or [""])[-1]
    if notes:
        return f"executed or opened: {notes[0]}"
    if "Traceback" in said.getvalue() or "Exception ignored" in said.getvalue():
        return f"traceback: said: {last_line}"
    if code == 0:
        return "read"
    clean = code in (1, 2) and last_line.startswith("Error: ") and last_line.isprintable()
    return "refused" if clean and not left else f"no clean end: exit code {code}, {sorted(left)}: {last_line[:200]}"


def in_fork(words: list[str], folder: Path) -> Outcome:
    """Run a command in a process of its own."""
    readable, writable = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(readable)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(writable, child(words, folder).encode(errors="replace")[:2000])
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        text = pipe.read().decode()
    _, status, used = os.wait4(number, 0)
    if os.WIFSIGNALED(status):
        text = f"signal: {signal.Signals(os.WTERMSIG(status)).name}"
    return Outcome(text or "no answer", used.ru_utime + used.ru_stime)


def prepared(seed: Path, folder: Path, rng: np.random.Generator | None) -> Path:
    """A folder with a damaged copy, and the names that it may hold; without a generator of numbers a sound one."""
    (folder / "opened.npy").write_bytes(b"")
    (folder / "evil.py").write_text("raise SystemExit(99)\n")
    for name in ("topology.pdb", "euclidean.h5"):
        shutil.copy(seed.parent / name, folder / {"euclidean.h5": "other.h5"}.get(name, name))
    target = folder / ("model.h5" if seed.suffix == ".h5" else f"result{seed.suffix}")
    shutil.copy(seed, target)
    if rng is not None:
        with h5py.File(target, "r+") as file:
            _without_checksums(file)
            damage(file, rng)
    return target


def _without_checksums(file: h5py.File) -> None:
    """Take out what would refuse every change: whoever makes a file can leave it out, as older versions do."""
    with contextlib.suppress(KeyError):
        del file["trajvae/checksums"]
    with contextlib.suppress(KeyError):
        del file["trajvae"].attrs["checksum"]


def words_of(use: str, target: Path, seed: Path) -> list[str]:
    """The words of a command for a file."""
    trajectory = PEPTIDE if seed.stem == "internal" else CHAIN
    return use.replace("FILE", target.name).replace("TRAJ", trajectory).split()


def one(seed: Path, kind: str, number: list[int], keep: Path | None) -> tuple[str, Outcome]:
    """Damage a file, and use it by a command."""
    rng = np.random.default_rng(number)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        use = USES[kind][int(rng.integers(len(USES[kind])))]
        target = prepared(seed, folder, rng)
        content = target.read_bytes() if keep else b""
        outcome = in_fork(words_of(use, target, seed), folder)
        if keep is not None and outcome.text not in ("read", "refused"):
            (keep / f"{'-'.join(map(str, number))}-{seed.name}").write_bytes(content)
    return use, outcome


def main() -> None:
    """Print the counts; exit 1 where a file was neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that were neither read nor refused")
    chosen = parser.parse_args()
    tally: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        seeds = [(p, k) for p, k in make_seeds(Path(name)).items() if k in USES and h5py.is_hdf5(p)]
        for seed, kind in seeds:  # sound files: what they need is imported before any fork
            for use in USES[kind]:
                with tempfile.TemporaryDirectory() as inner, contextlib.chdir(inner), contextlib.suppress(Exception):
                    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                        run_command(words_of(use, prepared(seed, Path(inner), None), seed))
        for number in range(chosen.first, chosen.first + chosen.count):
            seed, kind = seeds[number % len(seeds)]
            use, outcome = one(seed, kind, [chosen.seed, number], chosen.keep)
            tally[outcome.text.partition(":")[0]] += 1
            if number % _SHOWN == 0:
                print(f"{number}: {dict(tally)}", file=sys.stderr, flush=True)
            slowest = max(slowest, outcome.seconds)
            if outcome.text not in ("read", "refused"):
                print(f"{chosen.seed} {number} {seed.stem}: {use}: {outcome.text}", file=sys.stderr, flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in tally.most_common()) + f"; longest {slowest:.1f} s")
    sys.exit(bool(set(tally) - {"read", "refused"}))


if __name__ == "__main__":
    main()
