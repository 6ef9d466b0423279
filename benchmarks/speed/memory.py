"""Peak memory of `trajvae train` and `trajvae embed` with `--memory 1GB`, of 10^5 and of 2 x 10^6 frames of 12 beads.

The bound is what was asked for and the same command on a few frames: the interpreter with its libraries. All frames are
embedded by the model of the few: one keeps latents, observables and numbers of its own training frames, 49 bytes each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mdtraj.formats import DCDTrajectoryFile

from speed.processes import trajvae
from speed.record import Record, at_most

BEADS = 12
FEW, SHORT, LONG = 2_000, 100_000, 2_000_000
LIMIT = 1e9  # bytes
FLAT = 1.25  # times the peak of the short file
_AT_ONCE = 50_000


def chains(path: Path, frames: int) -> Path:
    """A DCD of freely jointed chains in space that lean one way, bonds of 3.8 Å."""
    rng = np.random.default_rng(0)
    lean = np.array([1.0, 0.5, 0.0], dtype=np.float32)
    with DCDTrajectoryFile(str(path), "w") as file:
        for i in range(0, frames, _AT_ONCE):
            bonds = lean + 0.5 * rng.standard_normal((min(_AT_ONCE, frames - i), BEADS, 3), dtype=np.float32)
            bonds *= 3.8 / np.linalg.norm(bonds, axis=-1, keepdims=True)
            file.write(np.cumsum(bonds, axis=1))
    return path


def _peaks(path: Path, folder: Path) -> dict[str, float]:
    """MB, of a training of one epoch and of an embedding by the first of the models."""
    first, limit = folder / f"{FEW}.h5", ("--memory", "1GB")
    small = ("--epochs", 1, "--batch-size", 1024, "--hidden", "64,64")
    train = trajvae("train", path, "-o", path.with_suffix(".h5"), *limit, *small)
    embed = trajvae("embed", path, "-m", first, "-o", folder / "embed.h5", "-f", *limit)
    path.unlink()
    return {"train": train.peak / 1e6, "embed": embed.peak / 1e6}


def memory() -> Iterator[Record]:
    """DCD files of 12-bead chains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, short, long = (_peaks(chains(folder / f"{n}.dcd", n), folder) for n in (FEW, SHORT, LONG))
    bound = f"{LIMIT / 1e9:g} GB and the same command on {FEW} frames"
    for what, peak in long.items():
        for peaks, words in ((short, "10^5"), (long, "2 x 10^6")):
            figure = f"trajvae {what} --memory 1GB, {words} frames of {BEADS} beads: peak memory"
            yield at_most(figure, "MB", peaks[what], (bound, LIMIT / 1e6 + base[what]))
        yield at_most(figure, "MB", peak, ("that of 10^5 frames", short[what]), FLAT)
