"""`trajvae compare`, as it is typed: `python benchmarks/evidence.py`, ten minutes on two cores.

A chain whose only free coordinate is a torsion at its end, over euclidean, hyperspherical and embedded of dimension 1;
and the heavy atoms of alanine dipeptide (10 000 frames) over all backends with default options.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from topology import FRAMES, NOISE, SYSTEMS

ALANINE = Path(__file__).parents[1] / "examples" / "trajectories" / "alanine_dipeptide"
Row = tuple[str, str, str, bool]


def compared(folder: str, *arguments: str) -> tuple[dict[str, Any], float]:
    """What the command says, and how long it took."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "trajvae_cli", "compare", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), time.perf_counter() - begun


def described(name: str, f: dict[str, Any]) -> str:
    """A candidate's figures."""
    behind = f"{f['behind']:.3f} +- {f['behind_se']:.3f}, ELBO {f['elbo_behind']:.3f} +- {f['elbo_behind_se']:.3f}"
    return f"{name} {f['iwae']:.3f} (ELBO {f['elbo']:.3f}; behind {behind}; {f['seconds']:.0f} s)"


def torsion(folder: str) -> Iterator[Row]:
    """One group turning: a circle."""
    system, random = SYSTEMS["one end torsion (circle)"], np.random.default_rng(100)
    clean = system.build(system.draw(FRAMES, random))
    np.save(Path(folder) / "chain.npy", clean + NOISE * random.normal(size=clean.shape))
    backends = [x for name in ("euclidean", "hyperspherical", "embedded") for x in ("--backend", name)]
    said, _ = compared(folder, "chain.npy", *backends, "--latent-dim", "1", "-o", "chain.h5")
    for name, f in said["backends"].items():
        yield "end torsion", described(name, f), "", True
    line = said["backends"]["euclidean"]
    met = said["best"] != "euclidean" and "euclidean" in said["behind_over_frames"]
    met &= line["elbo_behind"] > 2.0 * line["elbo_behind_se"]
    yield "end torsion, best", said["best"], "a circle, beyond the error in ELBO and IWAE", met


def alanine(folder: str) -> Iterator[Row]:
    """Alanine dipeptide over all backends."""
    said, seconds = compared(folder, f"{ALANINE}.xtc", "-s", f"{ALANINE}.pdb", "-o", "alanine.h5")
    for name, f in said["backends"].items():
        yield (
            "alanine dipeptide",
            described(name, f),
            "finite",
            all(map(math.isfinite, (f["elbo"], f["iwae"], f["rmsd"]))),
        )
    yield (
        "alanine dipeptide, best",
        f"{said['best']}; not known to be behind {', '.join(said['within_error'])}",
        "",
        True,
    )
    yield "alanine dipeptide, time", f"{seconds:.0f} s", "<= 600 s", seconds <= 600.0


def main() -> None:
    """Print the table."""
    good = True
    print("| what | measured | bound | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (torsion(folder), alanine(folder)):
            for name, found, bound, met in rows:
                print(f"| {name} | {found} | {bound} | {'met' if met else 'NOT MET'} |", flush=True)
                good &= met
    sys.exit(not good)


if __name__ == "__main__":
    main()
