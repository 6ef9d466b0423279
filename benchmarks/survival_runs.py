"""Commands as real processes, and whether what they leave is whole: for `survival.py` and `survival_disks.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import MDAnalysis as mda
import numpy as np

from trajvae import Model
from trajvae.store import describe, model_status, read_contents, read_model
from trajvae.training.checkpoints.file import from_checkpoint

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
PATIENCE = 300.0
Row = tuple[str, str, str, bool]


def begin(folder: Path, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    """Start a command in a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **more.pop("environment", {})}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "trajvae_cli", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes, **more)


def run(folder: Path, *arguments: str, **more: Any) -> tuple[int, str]:
    """A command's exit status, and what it says on stderr."""
    process = begin(folder, *arguments, **more)
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def whole_run(folder: Path, *arguments: str) -> None:
    """A command that must succeed."""
    status, said = run(folder, *arguments)
    if status:
        raise RuntimeError(f"{arguments}: exit {status}: {said}")


def make_frames(path: Path, count: int = 600) -> None:
    """Frames of the chain of 12 beads in the plane; noisy copies where more are wanted than there are."""
    frames = np.load(EXAMPLES / "chain2d.npz")["positions"]
    copies = -(-count // len(frames))
    noise = np.random.default_rng(0).normal(size=(copies * len(frames), *frames.shape[1:])) if copies > 1 else 0.0
    np.save(path, (np.tile(frames, (copies, 1, 1)) + 0.05 * noise)[:count].astype(np.float32))


def hidden(folder: Path) -> list[str]:
    """Names of temporary files."""
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def drafts(folder: Path) -> list[str]:
    """Names of outputs that are being written, without locks."""
    return [name for name in hidden(folder) if ".part" in name]


def unreadable(folder: Path) -> list[str]:
    """What is wrong with the files of a folder that are not hidden: each must pass the reader of its kind."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix not in (".h5", ".h5md", ".pdb"):
            continue
        try:
            _read(path)
        except Exception as error:
            found.append(f"{path.name}: {type(error).__name__}: {error}")
    return found


def _read(path: Path) -> None:
    """Read a file wholly, by the functions that users have."""
    warnings.simplefilter("ignore")  # beads have no elements, conformations no cell
    if path.suffix == ".pdb":
        mda.Universe(str(path)).trajectory.close()  # its file is open as long as the universe, which may be for long
        return
    kind = describe(path)["kind"]
    read_contents(path)
    if kind == "model":
        Model.load(path, "cpu") if model_status(path) == "complete" else from_checkpoint(read_model(path), "cpu", "")
    if path.suffix == ".h5md":
        universe = mda.Universe(str(path.with_suffix(".pdb")), str(path))
        for _ in universe.trajectory:
            pass
        universe.trajectory.close()


def arrays(path: Path) -> dict[str, Any]:
    """All arrays of an HDF5 file by their full names; a text file's lines."""
    if path.suffix == ".pdb":
        return {"lines": path.read_text().splitlines()}
    return dict(_flat(read_contents(path).tree))


def _flat(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for name, item in tree.items():
        pairs += _flat(item, f"{above}/{name}") if isinstance(item, Mapping) else [(f"{above}/{name}", item)]
    return pairs


def different(path: Path, wanted: Path) -> list[str]:
    """Names of arrays that are not those of another file, bit for bit."""
    if not path.exists():
        return [f"{path.name} is absent"]
    here, there = arrays(path), arrays(wanted)
    names = sorted(here.keys() ^ there.keys())
    same = {k: np.array_equal(here[k], there[k], equal_nan=_numeric(here[k])) for k in here.keys() & there.keys()}
    return names + [f"{path.name}{name} differs" for name, equal in same.items() if not equal]


def _numeric(array: Any) -> bool:
    return np.asarray(array).dtype.kind == "f"
