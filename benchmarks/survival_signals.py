"""Two signals, one after the other, at many moments of commands: `python benchmarks/survival_signals.py`.

After every strike the process must have ended within ten seconds, without a traceback, and every file that it leaves
must open. Five minutes on two cores; `--moments` strikes of each command.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from survival import CASES, Case, fresh, timed
from survival_runs import Row, begin, make_frames, unreadable, whole_run

PAIRS = ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM))
LIMIT = 10.0  # seconds until a process that got two signals has ended
STARTING = 0.1  # seconds in which Python itself starts, and has handlers of its own


def struck(folder: Path, case: Case, moment: float, apart: float, pair: tuple[signal.Signals, ...]) -> list[str]:
    """Return what is wrong after two signals to a command."""
    process = begin(folder, *case.command)
    time.sleep(moment)
    for number in pair:
        process.send_signal(number)
        time.sleep(apart)
    try:
        said = process.communicate(timeout=LIMIT)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return [f"still running {LIMIT:g} s after the second signal"]
    wrong = ["a traceback"] if "Traceback" in said or "Exception ignored" in said else []
    if process.returncode not in {0, *(code for n in pair for code in (128 + n, -n))}:
        wrong.append(f"exit {process.returncode}: {said[-200:]}")
    return wrong + unreadable(folder)


def rows(moments: int, seed: int) -> Iterator[Row]:
    """One row for each command."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        like = Path(name) / "like"
        like.mkdir()
        make_frames(like / "traj.npy")
        whole_run(like, "train", "traj.npy", "--epochs", "40", "--hidden", "32")
        for case in CASES:
            whole = timed(fresh(Path(name) / f"{case.name} whole", like, case), case).whole
            wrong = []
            for k in range(moments):
                folder = fresh(Path(name) / f"{case.name} {k}", like, case)
                apart = float(rng.choice([0.0, 0.002, 0.02, 0.2]))
                wrong += struck(folder, case, rng.uniform(STARTING, whole), apart, PAIRS[k % len(PAIRS)])
            yield case.name, f"{moments} moments", f"{len(wrong)} failures {'; '.join(wrong[:3])}", not wrong


def main() -> None:
    """Print the rows; exit with 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    good = True
    for name, what, found, passed in rows(given.moments, given.seed):
        good &= passed
        print(f"{'ok  ' if passed else 'MISS'} {name}: {what}, {found}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
