"""Hostile files: models, results and arrays are damaged at random and read; each must be read or refused in one line.

    python benchmarks/fuzz.py --models 5000 --others 2000 --seed 0

A process of its own reads them. It may take 10 s of a processor a file and 2 GB of memory beyond what it takes for
sound files, must execute nothing, open no other file, and leave the folder as it was.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from commands import OF_MODELS, OF_RESULTS, run
from mutations import header, raw, structured
from seeds import make_seeds

SECONDS, MEMORY = 10.0, 2 * 10**9
START = 4.0  # seconds that a command takes for its libraries
PATIENCE = 6 * SECONDS  # by the clock, since other programs may run beside it
NOTHING: dict[str, Any] = {"seen": [], "memory": 0, "seconds": 0.0}
WHOLLY = 7  # of every seventh file everything is made: of a model marginals, an optimum, a path, and figures of each


def mutate(seed: Path, target: Path, rng: np.random.Generator) -> None:
    """A damaged copy: of its bytes, of its structure, or first this and then that."""
    content = seed.read_bytes()
    hdf5, way = content.startswith(b"\x89HDF"), rng.random()
    target.write_bytes(content)
    if hdf5 and way < 0.5:
        structured(target, rng)
    elif not hdf5 and way < 0.4:
        target.write_bytes(header(content, rng))
    if way > 0.4:
        target.write_bytes(raw(target.read_bytes(), rng))


class Reader:
    """The process that reads; begun anew where it crashed or hangs."""

    def __init__(self, seeds: dict[Path, str], folder: Path) -> None:
        self.seeds, self.folder = seeds, folder
        self.process: subprocess.Popen[str] | None = None
        self.base = 0

    def ask(self, kind: str, path: Path, seconds: float) -> dict[str, Any]:
        """What the process says of a file, or that it says nothing."""
        process = self.begin()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], seconds)[0]:
            self.end()
            return {"outcome": f"hang: no answer in {seconds:g} s", **NOTHING}
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.end()
            return {"outcome": f"crash: exit code {code}", **NOTHING}
        answer: dict[str, Any] = json.loads(line)
        if answer["memory"] - self.base > MEMORY:
            self.end()  # its peak would be that of every file after it
        return answer

    def begin(self) -> subprocess.Popen[str]:
        """The process, which has read all sound files."""
        if self.process is not None:
            return self.process
        command = [sys.executable, str(Path(__file__).with_name("reading.py")), str(len(self.seeds))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, cwd=self.folder, **pipes)
        for seed, kind in self.seeds.items():
            wholly = kind != "model" or seed.stem in ("euclidean", "internal")
            answer = self.ask(f"{kind} wholly" if wholly else kind, seed, 2.0 * PATIENCE)
            if answer["outcome"] != "read":
                raise RuntimeError(f"a sound file, {seed.name}: {answer['outcome']}")
            self.base = answer["memory"]
        return self.process

    def end(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def is_model(kind: str) -> bool:
    """Of a training that is complete or goes on."""
    return kind in ("model", "unfinished")


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and the time of its last change."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


@dataclass
class Tally:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    slowest: float = 0.0
    memory: int = 0

    def add(self, name: str, answer: dict[str, Any], grown: int, touched: bool) -> bool:
        """Count one; whether all was well."""
        outcome = answer["outcome"].partition(":")[0]
        failed = [] if outcome in ("read", "refused") else [answer["outcome"]]
        failed += ["executed or opened: " + "; ".join(answer["seen"])] if answer["seen"] else []
        failed += ["touched the folder"] if touched else []
        failed += [f"hang: {answer['seconds']:.1f} s"] if answer["seconds"] > SECONDS else []
        failed += [f"memory: {grown / 1e9:.2f} GB"] if grown > MEMORY else []
        self.outcomes[failed[0].partition(":")[0] if failed else outcome] += 1
        self.failures += len(failed)
        self.slowest, self.memory = max(self.slowest, answer["seconds"]), max(self.memory, grown)
        for text in failed:
            print(f"{name}: {text}", file=sys.stderr, flush=True)
        return not failed


def fuzz(seeds: dict[Path, str], count: int, first: int, reader: Reader, folder: Path, keep: Path | None) -> Tally:
    """Damage sound files, one after the other, `count` times, and read what came of it."""
    tally, names = Tally(), list(seeds)
    for number in range(first, first + count):
        seed, rng = names[number % len(names)], np.random.default_rng(number)
        target = folder / f"damaged{seed.suffix}"
        mutate(seed, target, rng)
        reader.begin()
        before, wholly = state(folder), number % WHOLLY == 0
        answer = reader.ask(seeds[seed] + " wholly" * wholly, target, PATIENCE)
        grown = max(0, answer["memory"] - reader.base)
        well = tally.add(f"{seed.stem} {number}", answer, grown, state(folder) != before)
        if keep is not None and not well:
            (keep / f"{number}-{seed.name}").write_bytes(target.read_bytes())
        target.unlink()
    return tally


def fuzz_commands(seeds: dict[Path, str], count: int, first: int, folder: Path, keep: Path | None) -> Tally:
    """As `fuzz`, by the command line."""
    tally, names = Tally(), [path for path, kind in seeds.items() if kind != "arrays"]
    for number in range(first, first + count):
        seed, rng = names[number % len(names)], np.random.default_rng(number)
        target = folder / f"damaged{seed.suffix}"
        mutate(seed, target, rng)
        some = OF_MODELS if is_model(seeds[seed]) else OF_RESULTS
        command = some[int(rng.integers(len(some)))]
        outcome, seconds, memory = run(command, target, folder)
        answer = {"outcome": outcome, "seen": [], "seconds": max(0.0, seconds - START)}
        if not tally.add(f"{seed.stem} {number}: {command}", answer, memory, False) and keep is not None:
            (keep / f"{number}-{seed.name}").write_bytes(target.read_bytes())
        target.unlink(missing_ok=True)
    return tally


def report(what: str, tally: Tally) -> None:
    """A row of the table."""
    counts = ", ".join(f"{count} {name}" for name, count in tally.outcomes.most_common())
    print(f"| {what} | {counts} | {tally.slowest:.1f} s | {tally.memory / 1e9:.2f} GB |", flush=True)


def main() -> None:
    """Print the table; exit 1 where a file was neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=5000)
    parser.add_argument("--others", type=int, default=2000)
    parser.add_argument("--commands", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that were neither read nor refused")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = make_seeds(folder)
        reader, failed = Reader(seeds, folder), False
        print("| files | outcomes | longest | memory |\n|---|---|---|---|", flush=True)
        for what, count in (("models", chosen.models), ("results and arrays", chosen.others)):
            some = {path: kind for path, kind in seeds.items() if is_model(kind) == (what == "models")}
            tally = fuzz(some, count, chosen.seed * 10**6, reader, folder, chosen.keep)
            report(f"{count} {what}", tally)
            failed |= tally.failures > 0
        reader.end()
        tally = fuzz_commands(seeds, chosen.commands, chosen.seed * 10**6, folder, chosen.keep)
        report(f"{chosen.commands} commands", tally)
    sys.exit(failed or tally.failures > 0)


if __name__ == "__main__":
    main()
