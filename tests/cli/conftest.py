"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from processes import Forked, fork_server


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    """Runs commands in children of one process that has imported everything."""
    with fork_server() as run:
        yield run


@pytest.fixture
def beads(tmp_path: Path, examples: Path) -> Path:
    """A folder with a trajectory of beads."""
    with np.load(examples / "chain2d.npz") as arrays:
        np.save(tmp_path / "traj.npy", arrays["positions"][:600])
    return tmp_path
