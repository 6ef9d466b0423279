"""Every output of a model whose latent space is curved."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from trajvae import Model, TrainConfig

BACKENDS = ["hyperspherical"]
pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture(scope="module", params=BACKENDS)
def curved(request: pytest.FixtureRequest, chain: NDArray[Any]) -> Model:
    """Trained a little on the chain, latent dimension 2."""
    config = TrainConfig(backend=request.param, epochs=5, hidden=(32,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arrays have no topology
        return Model.train(chain, config, device="cpu")


def test_embedding_holds_points_and_tangent_coordinates(curved: Model, chain: NDArray[Any], tmp_path: Path) -> None:
    """Ambient points on the manifold; tangent coordinates as long as the distance to the origin."""
    found = curved.encode(chain)
    found.save(tmp_path / "embed.h5")
    with h5py.File(tmp_path / "embed.h5") as file:
        value = file["observables/latent/value"]
        assert value.attrs["coordinates"] == "unit vectors"
        latent, tangent = value[()], file["observables/latent_tangent/value"][()]
    assert latent.shape == (400, 3) and tangent.shape == (400, 2)
    np.testing.assert_allclose(np.linalg.norm(latent, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(tangent, axis=1), np.arccos(np.clip(latent[:, 0], -1, 1)), atol=1e-3)


def test_save_load_embed_is_bit_identical(curved: Model, chain: NDArray[Any], tmp_path: Path) -> None:
    """T6."""
    curved.save(tmp_path / "model.h5")
    loaded = Model.load(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.encode(chain).latent, curved.encode(chain).latent)
    np.testing.assert_array_equal(loaded.generate(50, seed=3).positions, curved.generate(50, seed=3).positions)


def test_generation_draws_from_the_uniform_prior(curved: Model) -> None:
    """Unit vectors without a preferred direction."""
    z = curved.generate(4000, seed=1).latent
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, atol=1e-6)
    assert np.abs(z.mean(axis=0)).max() < 4.0 / np.sqrt(3 * 4000)


def test_optimisation_stays_on_the_manifold(curved: Model) -> None:
    """Starts, way and optima are unit vectors; the expectation falls."""
    found = curved.optimize("rg", goal="min")
    way = found.extra["path"]
    path = np.asarray(way["latent"].value)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.latent, axis=1), 1.0, atol=1e-5)
    assert found.figures["expected"] <= found.figures["initial"]
    assert found.figures["in_support"]
