"""`trajvae generate` of many conformations: on disk is what Python draws, and what is stopped leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trajvae import Model
from trajvae.store import read_conformations


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    """A folder with a model."""
    path = tmp_path_factory.mktemp("stream")
    tiny_model.save(path / "model.h5")
    return path


def _started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trajvae_cli", "generate", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_batches_reach_the_disk(folder: Path, tiny_model: Model) -> None:
    """More than are drawn at once: rows, JSON and the file's summary are those of Python."""
    running = _started(folder, "-n", "9000", "--seed", "4", "--json")
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0 and err == "", err
    made, said = tiny_model.generate(9000, seed=4), json.loads(out)
    assert said == {**made.figures, "output": "generate.h5md"}
    positions, rows, attributes = read_conformations(folder / "generate.h5md")
    np.testing.assert_allclose(positions, made.positions, atol=1e-5)
    assert np.array_equal(rows["valid"], made.valid) and json.loads(attributes["summary"]) == made.figures
    assert attributes["command"].startswith("trajvae generate -n 9000")


def test_what_is_interrupted_leaves_nothing(folder: Path) -> None:
    """Ctrl-C half way: exit 1 without a traceback, and no file, whole or part."""
    before = {p.name for p in folder.iterdir()}
    running = _started(folder, "-n", "50000000", "-o", "long.h5md")
    for _ in range(2400):
        if any(".part." in p.name for p in folder.iterdir()):
            break
        time.sleep(0.05)
    assert any(".part." in p.name for p in folder.iterdir())
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 128 + signal.SIGINT and "Traceback" not in err and "stopped" in err
    assert {p.name for p in folder.iterdir()} == before
