"""Fixtures of the command line's tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from processes import Forked, fork_server


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    """Runs commands in children of one process that has imported everything."""
    with fork_server() as run:
        yield run


@pytest.fixture(scope="session")
def run(forked: Forked) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs trajvae in a folder, and looks at its exit status."""

    def once(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = forked(folder, *arguments)
        assert done.returncode == code, done.stderr
        return done

    return once


@pytest.fixture
def beads(tmp_path: Path, examples: Path) -> Path:
    """A folder with a trajectory of beads."""
    with np.load(examples / "chain2d.npz") as arrays:
        np.save(tmp_path / "traj.npy", arrays["positions"][:600])
    return tmp_path
