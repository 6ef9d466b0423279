"""Damaged topologies and trajectories: each must be read or refused in one line.

    python benchmarks/fuzz_inputs.py --count 2000 --seed 0

Operators: bits and words of headers, truncations, chunks twice or exchanged, numbers of texts replaced, lines twice or
removed, garbage, and the beginnings of one format before the ends of another. Every input is read in a forked process
with 4 GB of address space and 10 s.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from files import PAIRS, stored_files
from MDAnalysisTests import datafiles

from trajvae.errors import SelectionError, TrajvaeError
from trajvae.readers.formats import FORMATS
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
LARGEST, LARGEST_OF_PAIRS = 300_000, 6_000_000  # bytes of a file that is damaged
PAIRED = 0.4  # of the inputs are a topology and a trajectory
PAIRS_OF_EXAMPLES = (("peptide.pdb", "peptide.xtc"), ("chain.pdb", "chain2d.dcd"), ("chain.pdb", "chain2d.npz"))
WORDS = [0, 1, -1, 2**31 - 1, -(2**31), 10**9, 0x7F800000, 0x7FC00000, 0x3F800000]
TOKENS = [b"999999999999", b"-1", b"nan", b"inf", b"1e308", b"", b"0", b"abc", b"-99999.999"]
KNOWN = {suffix for f in FORMATS for suffix in f.suffixes}


def damaged(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes of a file's bytes."""
    for _ in range(int(rng.integers(1, 4))):
        data = OPERATORS[int(rng.integers(len(OPERATORS)))](data or b"\0", other, rng)
    return data


def _bit(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    out, place = bytearray(data), int(rng.integers(min(len(data), 400)))
    out[place] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _word(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    reach = min(len(data), 400) if rng.random() < 0.7 else len(data)
    place = int(rng.integers(reach)) // 4 * 4
    word = struct.pack(rng.choice(["<I", ">I"]), WORDS[int(rng.integers(len(WORDS)))] % 2**32)
    return data[:place] + word + data[place + 4 :]


def _cut(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _twice(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(0, len(data), 2).tolist())
    return data[:b] + data[a:]


def _exchange(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    a, b, c = sorted(rng.integers(0, len(data), 3).tolist())
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _token(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    found = [m.span() for m in re.finditer(rb"[-+.\d]+", data[:20000])]
    if not found:
        return data
    a, b = found[int(rng.integers(len(found)))]
    return data[:a] + TOKENS[int(rng.integers(len(TOKENS)))] + data[b:]


def _line(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    k = int(rng.integers(min(len(lines), 200)))
    lines[k : k + 1] = [] if rng.random() < 0.5 else [lines[k]] * 2
    return b"\n".join(lines)


def _garbage(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 2000))) if rng.random() < 0.2 else data


def _splice(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))] + other[int(rng.integers(max(len(other), 1))) :]


OPERATORS = [_bit, _word, _word, _cut, _twice, _exchange, _token, _token, _line, _garbage, _splice]


def outcome(path: Path, topology: Path | None) -> str:
    """Read a file in a forked process: `read`, `refused`, or what went wrong."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
        signal.alarm(10)
        os.write(writable, _attempt(path, topology).encode()[:2000])
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        text = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return text


def _attempt(path: Path, topology: Path | None) -> str:
    warnings.simplefilter("ignore")
    try:
        try:
            frames = open_source(path, Reading(topology, stop=50))
        except SelectionError:  # too many atoms, or solvent alone
            frames = open_source(path, Reading(topology, "index 0:50", stop=50))
        for _ in frames.chunks(10):
            pass
        frames.times(*frames.origins())
    except TrajvaeError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"many lines: {error}"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"traceback: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"
    return "read"


def _pairs() -> list[tuple[Path, Path]]:
    """Topologies and trajectories of MDAnalysisTests."""
    named = [(Path(getattr(datafiles, a)), Path(getattr(datafiles, b))) for a, b in PAIRS]
    return [pair for pair in named if all(path.stat().st_size < LARGEST_OF_PAIRS for path in pair)]


def fuzz(count: int, seed: int, keep: Path | None = None) -> Counter[str]:
    """Damage files and read them; prints what is neither read nor refused."""
    sources = [p for p in stored_files().values() if p.suffix.lower() in KNOWN and 0 < p.stat().st_size < LARGEST]
    pairs = [*_pairs(), *((EXAMPLES / a, EXAMPLES / b) for a, b in PAIRS_OF_EXAMPLES)]
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            one, two = (sources[int(k)] for k in rng.integers(len(sources), size=2))
            path, topology = Path(folder) / f"damaged{one.suffix}", None
            if rng.random() < PAIRED:
                topology, one = pairs[int(rng.integers(len(pairs)))]
                path = Path(folder) / f"damaged{one.suffix}"
                path.write_bytes(one.read_bytes())
                if rng.random() < 0.5:  # the topology is damaged, and the trajectory whole
                    one, topology, whole = topology, Path(folder) / f"topology{topology.suffix}", path
                    topology.write_bytes(damaged(one.read_bytes(), two.read_bytes(), rng))
                    path = whole
                else:
                    path.write_bytes(damaged(one.read_bytes(), two.read_bytes(), rng))
            else:
                path.write_bytes(damaged(one.read_bytes(), two.read_bytes(), rng))
            found = outcome(path, topology)
            tally[found.partition(":")[0]] += 1
            if found not in ("read", "refused"):
                print(f"{seed} {number} {one.name}: {found}", flush=True)
                if keep is not None:
                    (keep / f"{seed}-{number}-{one.name}").write_bytes(path.read_bytes())
    return tally


def main() -> None:
    """Print the counts; exit 1 where an input was neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that were neither read nor refused")
    chosen = parser.parse_args()
    tally = fuzz(chosen.count, chosen.seed, chosen.keep)
    print(", ".join(f"{count} {kind}" for kind, count in tally.most_common()))
    sys.exit(bool(set(tally) - {"read", "refused"}))


if __name__ == "__main__":
    main()
