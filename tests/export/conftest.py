"""Models of alanine dipeptide's heavy atoms: every backend by both kinds of features, and frames of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from export_models import BACKENDS
from scipy.stats import special_ortho_group

from trajvae import Model
from trajvae.typing import Float64


@pytest.fixture(scope="session")
def dipeptide(examples: Path) -> mda.Universe:
    """The whole molecule with its trajectory."""
    return mda.Universe(examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.xtc")


@pytest.fixture(scope="session")
def trained(dipeptide: mda.Universe) -> Callable[..., Model]:
    """Trains for a few epochs, once for each choice: models of the right shapes, and no good."""

    @cache
    def train(backend: str, features: str) -> Model:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Model.train(
                dipeptide, backend=backend, features=features, **BACKENDS[backend],
                hidden=(32, 24), epochs=8, step=50, device="cpu",
            )  # fmt: skip

    return lambda backend="euclidean", features="cartesian": train(backend, features)


@pytest.fixture(scope="session")
def moved(dipeptide: mda.Universe) -> Float64:
    """100 frames of the heavy atoms, turned and shifted at random, (100, 10, 3) in Å."""
    heavy = dipeptide.select_atoms("not name H*")
    x = np.stack([heavy.positions for _ in dipeptide.trajectory[::100]]).astype(np.float64)
    random = np.random.default_rng(0)
    turns = special_ortho_group.rvs(3, size=len(x), random_state=random)
    return x @ turns + random.normal(0.0, 5.0, (len(x), 1, 3))
