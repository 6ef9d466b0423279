"""Progress bars of long commands on a terminal: when the first appears, and how long any stands still.

Heavy atoms of adenylate kinase (MDAnalysisTests), each command under a pseudo-terminal. The bar stands still where what
is written to the terminal does not change; the count stands still where its bar changes in nothing but its clock.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from MDAnalysisTests.datafiles import DCD, PSF

FIRST, STANDS = 3.0, 10.0  # seconds: the bounds
_CLOCK = re.compile(r"\d+:\d\d(:\d\d)?|[\d.?]+(s/|[^ ]*/s)[^ ,\]]*|[#█▏▎▍▌▋▊▉]+")
ATOMS = ("--select", "not name H*")
COMMANDS: dict[str, tuple[str, ...]] = {
    "embed, which trains first": ("embed", DCD, "-s", PSF, *ATOMS, "-o", "embed.h5"),
    "train": ("train", DCD, "-s", PSF, *ATOMS, "-o", "model.h5"),
    "embed": ("embed", DCD, "-s", PSF, "-o", "embed.h5"),
    "generate --project": ("generate", "-n", "200", "--project"),
    "marginals": ("marginals",),
    "path": ("path", "--from", "0", "--to", "97"),
    "optimize": ("optimize", "--objective", "rg"),
    "compare": ("compare", DCD, "-s", PSF, *ATOMS, "--backend", "euclidean", "--epochs", "10"),
}


def watch(folder: Path, arguments: tuple[str, ...], limit: float) -> tuple[int | None, list[tuple[float, str]], float]:
    """Run a command on a terminal: exit status (None: it was ended at the limit), what was shown when, and the time."""
    ours, theirs = pty.openpty()
    begun, seen = time.monotonic(), []
    command = [sys.executable, "-m", "trajvae_cli", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=theirs) as running:
        os.close(theirs)
        while time.monotonic() - begun < limit:
            ready, _, _ = select.select([ours], [], [], 0.2)
            try:
                text = os.read(ours, 65536).decode(errors="replace") if ready else ""
            except OSError:
                break
            seen += [(time.monotonic() - begun, line.strip()) for line in re.split("[\r\n]", text) if line.strip()]
        ended = running.poll() is None and time.monotonic() - begun >= limit
        if ended:
            running.terminate()
        status = running.wait()
    os.close(ours)
    return (None if ended else status), seen, time.monotonic() - begun


def longest(seen: list[tuple[float, str]], end: float) -> float:
    """The longest time in which what is shown did not change."""
    changes = [0.0] + [t for (t, text), (_, before) in zip(seen, [(0.0, ""), *seen], strict=False) if text != before]
    return max(b - a for a, b in itertools.pairwise([*changes, end]))


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a command may take")
    parser.add_argument("--only", nargs="*", choices=list(COMMANDS), help="some of the commands, in order")
    parser.add_argument("--folder", type=Path, help="where a model.h5 may be already")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp())
    print("| command | seconds | first bar (s) | bar stands (s) | count stands (s) | bounds |")
    for name in chosen.only or COMMANDS:
        status, seen, spent = watch(folder, (*COMMANDS[name], "-f"), chosen.limit)
        bars = [(t, text) for t, text in seen if re.search(r"\d:\d\d", text)]
        first = bars[0][0] if bars else spent
        stands = longest(bars, spent)
        counts = longest([(t, _CLOCK.sub("", text)) for t, text in bars], spent)
        met = "met" if first <= FIRST and stands <= STANDS and status in (0, None) else f"MISSED (exit status {status})"
        print(f"| {name} | {spent:.1f} | {first:.1f} | {stands:.1f} | {counts:.1f} | {met} |", flush=True)


if __name__ == "__main__":
    main()
