"""Commands struck by seven signals at random moments: `python benchmarks/survival_signals.py`.

A third of the strikes are two signals, one shortly after the other; some strike one of two commands that share a
folder. Afterwards every file that is seen must open, nothing hidden may be left (after SIGKILL: once the command is
given again), nothing may have been printed that looks like a traceback, and the command, given again, must end in the
same bits as one that was not struck. 200 strikes take twenty minutes on two cores; `--strikes`, `--shared`, `--seed`
choose a part.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from survival import CASES, Case, after, fresh, timed
from survival_runs import begin, hidden, make_frames, whole_run

SIGNALS = tuple(getattr(signal, f"SIG{name}") for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "XCPU", "KILL"))
LIMIT = 60.0  # seconds until a process that was struck has ended
DOUBLE = 1 / 3  # share of strikes that are two signals
STARTING = 0.1  # seconds in which Python itself starts, and has handlers of its own
NEIGHBOUR = ("marginals", "-o", "neighbour.h5")  # a command that shares a folder with the one that is struck


@dataclass
class Strike:
    """What is done to a command, and what came of it.

    Attributes
    ----------
    case : Case
    moment : float
        Seconds after its start.
    numbers : tuple of signal
    apart : float
        Seconds between two signals.
    shared : bool
        Whether another command works in the folder.
    hit : bool
        Whether it was running.
    wrong : list of str
    """

    case: Case
    moment: float
    numbers: tuple[signal.Signals, ...]
    apart: float
    shared: bool
    hit: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Which command and which signals."""
        return f"{self.case.name} at {self.moment:.2f} s by {'+'.join(n.name for n in self.numbers)}"


def planned(count: int, shared: int, seconds: dict[str, float], seed: int) -> list[Strike]:
    """Strikes over all commands, at random."""
    rng, strikes = np.random.default_rng(seed), []
    alone = [case for case in CASES if "model.h5" in case.before]
    for k in range(count):
        together = k < shared
        case = (alone if together else CASES)[k % len(alone if together else CASES)]
        numbers = tuple(SIGNALS[int(j)] for j in rng.integers(len(SIGNALS), size=1 + (rng.random() < DOUBLE)))
        moment = rng.uniform(STARTING, seconds[case.name] * (1.5 if together else 1.0))
        strikes.append(Strike(case, moment, numbers, float(rng.choice([0.0, 0.001, 0.01, 0.1])), together))
    return strikes


def struck(root: Path, number: int, strike: Strike) -> Strike:
    """Carry a strike out, and look at what it left."""
    case, folder = strike.case, fresh(root / str(number), root / "start", strike.case)
    process, neighbour = begin(folder, *case.command), begin(folder, *NEIGHBOUR) if strike.shared else None
    time.sleep(strike.moment)
    strike.hit = process.poll() is None
    for each in strike.numbers:
        process.send_signal(each)
        time.sleep(strike.apart)
    try:
        said = process.communicate(timeout=LIMIT)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[1]
        strike.wrong.append(f"still running {LIMIT:g} s after the signal")
    if neighbour is not None and (neighbour.communicate(timeout=5 * LIMIT)[1], neighbour.returncode)[1]:
        strike.wrong.append(f"the neighbour ended with {neighbour.returncode}")
    if "Traceback" in said or "Exception ignored" in said:
        strike.wrong.append(f"a traceback: {said[-300:]}")
    if process.returncode not in {0, *(code for n in strike.numbers for code in (128 + n, -n))}:
        strike.wrong.append(f"exit {process.returncode}: {said[-200:]}")
    if signal.SIGKILL not in strike.numbers:
        strike.wrong += hidden(folder)
    strike.wrong += after(folder, root / f"{case.name} whole", case)
    shutil.rmtree(folder)
    return strike


def main() -> None:
    """Print what failed, and a line of totals; exit with 1 where something did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strikes", type=int, default=200)
    parser.add_argument("--shared", type=int, default=20, help="of them, with two commands in one folder")
    parser.add_argument("--seed", type=int, default=0)
    given, done = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        root = Path(name)
        (root / "start").mkdir()
        make_frames(root / "start" / "traj.npy")
        whole_run(root / "start", "train", "traj.npy", "--epochs", "40", "--hidden", "32")
        seconds = {c.name: timed(fresh(root / f"{c.name} whole", root / "start", c), c).whole for c in CASES}
        strikes = planned(given.strikes, given.shared, seconds, given.seed)
        for strike in pool.map(lambda pair: struck(root, *pair), enumerate(strikes)):
            done.append(strike)
            if strike.wrong:
                print(f"MISS {strike.name}: {'; '.join(strike.wrong[:3])}", flush=True)
    bad, hit = sum(bool(s.wrong) for s in done), sum(s.hit for s in done)
    double, shared = sum(len(s.numbers) > 1 for s in done), sum(s.shared for s in done)
    print(
        f"{len(done)} strikes, {hit} of running commands, {double} double, {shared} in shared folders: {bad} failures"
    )
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
