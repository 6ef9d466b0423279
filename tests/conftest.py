"""Data that several test files share."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread a worker, subprocesses too: more would fight for the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import pytest
import torch
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae import Model, TrainConfig
from trajvae.errors import TrajvaeWarning
from trajvae.likelihoods import torsions

import helpers

Draw = Callable[..., torch.Tensor]


@pytest.fixture(scope="session")
def edited() -> Callable[[Path], contextlib.AbstractContextManager[h5py.File]]:
    """Opens a file that trajvae wrote for changes, and leaves it without checksums, as older versions wrote it."""

    return helpers.edited


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of example trajectories."""
    return Path(__file__).parents[1] / "examples" / "trajectories"


@pytest.fixture(scope="session")
def adk() -> tuple[Path, Path]:
    """Adenylate kinase, 98 frames of a DIMS transition: topology and trajectory."""
    return Path(PSF), Path(DCD)


@pytest.fixture(scope="session")
def chain(examples):
    """The first 400 frames of the 2-D bead chain, float32, (400, 12, 2) in Å; read-only."""
    with np.load(examples / "chain2d.npz") as arrays:
        positions = arrays["positions"][:400]
    positions.setflags(write=False)
    return positions


@pytest.fixture(scope="session")
def tiny_model(chain):
    """A model trained on `chain` for three epochs: of the right shapes, and no good."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # an array has no topology
        return Model.train(chain.copy(), TrainConfig(epochs=3, hidden=(16,)), device="cpu")


@pytest.fixture
def at_fixed_cuts(monkeypatch: pytest.MonkeyPatch) -> Callable[[Draw], Draw]:
    """Makes draws of torsions whose calls all cut the circles where the first did, as derivatives of draws take it."""

    def fixed(draw: Draw) -> Draw:
        seen: list[torch.Tensor] = []

        def look(numbers: torch.Tensor) -> torch.Tensor:
            seen.append(mean_direction(numbers))
            return seen[-1]  # with its graph: what is not detached must show

        def again(*args: torch.Tensor) -> torch.Tensor:
            cuts = iter(list(seen))
            with monkeypatch.context() as patch:
                patch.setattr(torsions, "mean_direction", (lambda _: next(cuts)) if seen else look)
                out = draw(*args)
            assert seen and next(cuts, None) is None
            return out

        return again

    mean_direction = torsions.mean_direction
    return fixed


@pytest.fixture(scope="session")
def made(chain, tiny_model) -> dict[str, Any]:
    """What `tiny_model` gives, by the file it is saved in."""
    from trajvae import compare
    from trajvae.outputs.judging.trials import ComparisonPlan
    from trajvae.outputs.optimize import Search

    search = Search(starts=4, steps=10, noise=4, draws=16, keep=3)
    small = {name: TrainConfig(backend=name, epochs=1, hidden=(8,)) for name in ("euclidean", "hyperspherical")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return {
            "model.h5": tiny_model,
            "embed.h5": tiny_model.encode(chain.copy()),
            "generate.h5md": tiny_model.generate(50, novelty=True),
            "marginals.h5": tiny_model.marginals(),
            "optimize.h5md": tiny_model.optimize("rg", search=search),
            "path.h5md": tiny_model.path(0, 97, frames=8, metric="flat"),
            "compare.h5": compare(chain.copy(), small, plan=ComparisonPlan(20, 40)),
        }


@pytest.fixture(scope="session")
def written(made, tmp_path_factory) -> Path:
    """A folder with the files of `made`; read-only."""
    folder = tmp_path_factory.mktemp("written")
    for name, thing in made.items():
        thing.save(folder / name)
    return folder
