"""How many single flipped bits are found in each array of each kind of file, and what the checksums cost.

    python benchmarks/integrity.py                            every array of every kind of file
    python benchmarks/integrity.py --beside FOLDER            and loading and saving beside another checkout, in turns

A file of a model is loaded, one of results is read as `trajvae info` reads it. Arrays of up to 8 bytes have every bit
flipped in turn, larger ones the first, the last and some between.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from seeds import EXAMPLES, make_seeds

from trajvae import Model, TrainConfig
from trajvae.errors import TrajvaeError
from trajvae.store import describe, read_model

FLIPS = 8  # of a larger array
SMALL = 8  # bytes
ROUNDS = 60
SERVER = """
import sys, time
from pathlib import Path
from trajvae import Model
path = sys.argv[1]
model = Model.load(sys.argv[2], "cpu")
model.save(path, force=True)
acts = {"load": lambda: Model.load(path, "cpu"), "save": lambda: model.save(path, force=True)}
for line in sys.stdin:
    began = time.perf_counter()
    acts[line.strip()]()
    print(time.perf_counter() - began, flush=True)
"""


class Tally(NamedTuple):
    """Of one file: arrays, bits that were flipped, those that were found, and the arrays where one was not."""

    arrays: int
    flipped: int
    found: int
    missed: list[str]


def arrays_of(path: Path) -> dict[str, tuple[int, int]]:
    """Where each array lies: its first byte, and how many there are."""
    items: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: items.append(item) if isinstance(item, h5py.Dataset) else None)
        return {i.name: (i.id.get_offset(), i.id.get_storage_size()) for i in items if i.id.get_offset() is not None}


def exact_fingerprints(first: int, size: int, rng: np.random.Generator) -> list[int]:
    """Some bits of an array, by their number in the file."""
    if size <= SMALL:
        return list(range(8 * first, 8 * (first + size)))
    between = rng.integers(8 * size, size=FLIPS - 2)
    return [8 * first, 8 * (first + size) - 1, *(8 * first + int(k) for k in between)]


def is_found(path: Path, kind: str) -> bool:
    """Whether a damaged file is refused."""
    try:
        read_model(path) if kind in ("model", "unfinished") else describe(path)
    except TrajvaeError:
        return True
    return False


def flip_all(path: Path, kind: str, damaged: Path, rng: np.random.Generator) -> Tally:
    """Flip bits of each array of a file, one at a time."""
    content, arrays, flipped, missed = path.read_bytes(), arrays_of(path), 0, []
    for name, (first, size) in arrays.items():
        for bit in exact_fingerprints(first, size, rng):
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            damaged.write_bytes(changed)
            flipped += 1
            if not is_found(damaged, kind):
                missed.append(name)
    return Tally(len(arrays), flipped, flipped - len(missed), sorted(set(missed)))


def all_kinds(folder: Path) -> bool:
    """Flip bits in every kind of file; whether all were found."""
    rng, whole = np.random.default_rng(0), True
    for path, kind in make_seeds(folder, checksums=True).items():
        if kind == "arrays":
            continue
        tally = flip_all(path, kind, folder / f"damaged{path.suffix}", rng)
        whole &= tally.flipped == tally.found
        missed = f"; missed in {', '.join(tally.missed)}" if tally.missed else ""
        print(
            f"{path.name:24} {tally.arrays:4} arrays {tally.found:5} of {tally.flipped} bits found{missed}", flush=True
        )
    return whole


def _ask(server: subprocess.Popen[str], word: str) -> float:
    """Let a server do something; its seconds."""
    into, out = server.stdin, server.stdout
    assert into is not None and out is not None
    into.write(word + "\n")
    into.flush()
    return float(out.readline())


def beside(other: Path, folder: Path) -> None:
    """Load and save a model of 10 MB by this checkout and another one, in turns."""
    model = folder / "large.h5"
    frames = np.load(EXAMPLES / "chain2d.npz")["positions"][:400].copy()
    Model.train(frames, TrainConfig(epochs=1, hidden=(1100, 1100)), device="cpu").save(model, force=True)
    servers = []
    for name, root in (("own", Path(__file__).parents[1]), ("other", other)):
        env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SERVER, str(folder / f"{name}.h5"), str(model)]
        servers.append(subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=env, cwd=folder))
    print(f"a model of {model.stat().st_size / 1e6:.1f} MB, {ROUNDS} times each, in turns")
    for word in ("load", "save"):
        took: list[list[float]] = [[], []]
        for k in range(ROUNDS):
            for i in (0, 1) if k % 2 else (1, 0):
                took[i].append(_ask(servers[i], word))
        own, twin = (1e3 * statistics.median(t) for t in took)
        ratios = own / twin, min(took[0]) / min(took[1])
        print(f"{word}: {own:.1f} ms, beside {twin:.1f}: {ratios[0]:.3f} x in the median, {ratios[1]:.3f} x at best")
    for server in servers:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()


def main() -> None:
    """Print what was found, and what it costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout, to load and save beside")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if chosen.beside is not None:
            beside(chosen.beside, Path(name))
        whole = all_kinds(Path(name) / "kinds")
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
