"""Work survives: SIGKILL at any moment, training gone on with, disks that refuse. `python benchmarks/survival.py`.

Ten minutes on two cores. Commands are real processes; half of the kills strike at a random moment of the run, half
while a file is being written. A part alone: `python benchmarks/survival.py kill|resume|disk`.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from survival_disks import disk_rows
from survival_runs import (
    EXAMPLES,
    PATIENCE,
    Row,
    begin,
    different,
    drafts,
    hidden,
    make_frames,
    run,
    unreadable,
    whole_run,
)

POLL = 5e-4  # seconds between looks for a file that is being written
WRITING = 0.2  # share of the kills that must have struck while one was, or nothing is shown
TRAINING = ("--epochs", "40", "--hidden", "32", "--checkpoint", "0.2")
LONGER = ("--epochs", "120", "--hidden", "32", "--checkpoint", "0.1")
ALANINE = (f"{EXAMPLES / 'alanine_dipeptide'}.xtc", "-s", f"{EXAMPLES / 'alanine_dipeptide'}.pdb", "--stop", "600")


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes
    ----------
    name : str
    command : tuple of str
    outputs : tuple of str
        Files that it makes, the main one last.
    before : tuple of str
        Files that it needs.
    again : tuple of str
        Options with which it goes on.
    """

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, ...]
    before: tuple[str, ...] = ("model.h5",)
    again: tuple[str, ...] = ()


def _pair(name: str) -> tuple[str, str]:
    return f"{name}.pdb", f"{name}.h5md"


CASES = [
    Case("train", ("train", "traj.npy", *TRAINING), ("model.h5",), (), ("--resume",)),
    Case("embed, training first", ("embed", "traj.npy", *TRAINING), ("model.h5", "embed.h5"), ()),
    Case("embed", ("embed", "traj.npy"), ("embed.h5",)),
    Case("generate", ("generate", "-n", "50000"), _pair("generate")),
    Case("optimize", ("optimize", "--objective", "rg"), _pair("optimize")),
    Case("path", ("path", "--from", "0", "--to", "97", "--metric", "posterior"), _pair("path")),
    Case("marginals", ("marginals",), ("marginals.h5",)),
]


@dataclass(frozen=True)
class Timing:
    """Of an uninterrupted run, in seconds: all of it, when the last file was being written, and for how long."""

    whole: float
    last: float
    writing: float


def fresh(folder: Path, like: Path, case: Case) -> Path:
    """A folder with what a command needs."""
    folder.mkdir()
    for name in ("traj.npy", *case.before):
        shutil.copy(like / name, folder / name)
    return folder


def timed(folder: Path, case: Case) -> Timing:
    """Run to the end, and note when hidden files were there."""
    begun, seen = time.monotonic(), []
    process = begin(folder, *case.command)
    while process.poll() is None:
        if drafts(folder):
            seen.append(time.monotonic() - begun)
        time.sleep(POLL)
    whole, (_, said) = time.monotonic() - begun, process.communicate()
    if process.returncode:
        raise RuntimeError(f"{case.name}: exit {process.returncode}: {said}")
    first = next((t for t in seen if t > seen[-1] - whole / 4), whole) if seen else whole
    return Timing(whole, seen[-1] if seen else whole, (seen[-1] if seen else whole) - first)


def strike(folder: Path, case: Case, timing: Timing, aimed: bool, rng: np.random.Generator) -> bool:
    """Kill the command at a random moment; whether it was still running, and writing where that was the aim."""
    moment, longer = rng.uniform(0.0, timing.last if aimed else timing.whole), rng.uniform(0.0, timing.writing)
    process, begun = begin(folder, *case.command), time.monotonic()
    while process.poll() is None and time.monotonic() - begun < moment:
        time.sleep(POLL)
    while aimed and process.poll() is None and not drafts(folder):
        time.sleep(POLL)
    if aimed and len(case.before):
        time.sleep(longer)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def after(folder: Path, whole: Path, case: Case) -> list[str]:
    """What is wrong with what a killed command left, and with what the same command then makes of it."""
    wrong = unreadable(folder)
    there = [name for name in case.outputs if (folder / name).exists()]
    done = case.outputs[-1] in there and "embed" in case.name and not case.before
    if not done:  # else its line would name options beside a model that is complete
        replace = ("-f",) if there and case.before else ()
        status, said = run(folder, *case.command, *case.again, *replace)
        wrong += [f"exit {status}: {said.splitlines()[-1:]}"] if status else []
    wrong += hidden(folder)
    for name in case.outputs:
        wrong += different(folder / name, whole / name)
    return wrong


def kills(root: Path, case: Case, count: int, pool: ThreadPoolExecutor, seed: int) -> Row:
    """A row of the table."""
    whole = fresh(root / f"{case.name} whole", root / "start", case)
    timing = timed(whole, case)

    def one(number: int) -> tuple[bool, bool, list[str]]:
        """Strike until it hits."""
        aimed, rng = number % 2 == 1, np.random.default_rng([seed, number])
        for attempt in range(5):
            folder = fresh(root / f"{case.name} {number} {attempt}", root / "start", case)
            hit = strike(folder, case, timing, aimed, rng)
            writing = bool(drafts(folder))
            if hit:
                break
        wrong = after(folder, whole, case)
        shutil.rmtree(folder)
        return hit, writing, wrong

    results = list(pool.map(one, range(count)))
    wrong = [text for *_, texts in results for text in texts]
    for text in wrong:
        print(f"{case.name}: {text}", file=sys.stderr, flush=True)
    hit, writing = sum(r[0] for r in results), sum(r[1] for r in results)
    text = f"{hit} of {count} killed, {writing} while a file was written; {len(wrong)} failures; {timing.whole:.1f} s"
    met = not wrong and hit == count and writing >= WRITING * count
    return f"SIGKILL: {case.name}", text, "none fails to open; the next run ends in the same bits", met


def kill_rows(root: Path, count: int, pool: ThreadPoolExecutor) -> Iterator[Row]:
    """All commands."""
    (root / "start").mkdir()
    make_frames(root / "start" / "traj.npy")
    whole_run(root / "start", "train", "traj.npy", *TRAINING)
    for seed, case in enumerate(CASES):
        yield kills(root, case, count, pool, seed)


BACKENDS = {
    "euclidean": ("traj.npy", "--backend", "euclidean"),
    "hyperspherical": ("traj.npy", "--backend", "hyperspherical"),
    "product h2,s2,e2": ("traj.npy", "--backend", "product", "--signature", "h2,s2,e2"),
    "rhvae": ("traj.npy", "--backend", "rhvae"),
    "embedded circle": ("traj.npy", "--backend", "embedded", "--set", "manifold=circle", "--latent-dim", "1"),
    "internal features": (*ALANINE, "--features", "internal"),
    "streamed": ("many.npy", "--memory", "10MB"),
}


def stopped_twice(
    folder: Path, whole: Path, number: signal.Signals, seconds: float, seed: int
) -> tuple[int, list[str]]:
    """Stop a training two times, let it end, and compare; how many stops hit it."""
    rng, hits, name = np.random.default_rng([seed, number]), 0, f"{whole.stem}-{number.name}.h5"
    command = ("train", *BACKENDS[whole.stem], *LONGER, "-o", name, "--resume")
    for _ in range(2):
        before, process = _written(folder / name), begin(folder, *command)
        while process.poll() is None and _written(folder / name) == before:
            time.sleep(POLL)
        time.sleep(rng.uniform(0.0, 0.05) * seconds)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        hits += process.returncode in (-number, 128 + number)
    status, said = run(folder, *command)
    wrong = [f"exit {status}: {said}"] if status else []
    return hits, wrong + different(folder / name, whole) + [x for x in hidden(folder) if name.split(".")[0] in x]


def _written(path: Path) -> int:
    """When a file was written; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def resume_row(root: Path, name: str, seed: int) -> Row:
    """A backend's row."""
    whole, begun = root / f"{name}.h5", time.monotonic()
    whole_run(root, "train", *BACKENDS[name], *LONGER, "-o", whole.name)
    seconds = time.monotonic() - begun
    numbers = (signal.SIGTERM, signal.SIGKILL)
    found = [stopped_twice(root, whole, number, seconds, seed) for number in numbers]
    wrong = [text for _, texts in found for text in texts]
    for text in wrong:
        print(f"{name}: {text}", file=sys.stderr, flush=True)
    text = "; ".join(f"{hits} of 2 {n.name} struck" for n, (hits, _) in zip(numbers, found, strict=True))
    text += f"; {len(wrong)} arrays differ; {seconds:.1f} s"
    met = not wrong and all(hits for hits, _ in found)
    return f"resume: {name}", text, "weights and latents bit-identical", met


def resume_rows(root: Path, names: list[str], pool: ThreadPoolExecutor) -> Iterator[Row]:
    """A row a backend."""
    make_frames(root / "traj.npy")
    make_frames(root / "many.npy", 12_000)
    yield from pool.map(lambda pair: resume_row(root, pair[1], pair[0]), enumerate(names))


def main() -> None:
    """Print the table; exit 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["kill", "resume", "disk"])
    parser.add_argument("--backends", nargs="*", default=list(BACKENDS), choices=BACKENDS, help="for resume")
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    chosen, good = parser.parse_args(), True
    print("| what | measured | bound | |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        parts: dict[str, Callable[[Path], Iterator[Row]]] = {
            "kill": lambda root: kill_rows(root, chosen.kills, pool),
            "resume": lambda root: resume_rows(root, chosen.backends, pool),
            "disk": disk_rows,
        }
        for part in chosen.parts:
            root = Path(name) / part
            root.mkdir()
            for what, found, bound, met in parts[part](root):
                print(f"| {what} | {found} | {bound} | {'ok' if met else 'MISS'} |", flush=True)
                good &= met
    sys.exit(not good)


if __name__ == "__main__":
    main()
