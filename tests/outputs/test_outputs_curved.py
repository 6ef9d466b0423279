"""Every output of a model whose latent space is curved."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.typing import AnyArray


def _sphere(z: AnyArray) -> float:
    """How far points are off the unit sphere."""
    return float(np.abs(np.linalg.norm(z, axis=-1) - 1.0).max())


def _product(z: AnyArray) -> float:
    """How far points are off h2 of curvature -0.5 (three coordinates) and s1 of curvature 2 (two)."""
    h, s = z[..., :3], z[..., 3:5]
    hyperboloid = h[..., 0] ** 2 - 0.5 * (h[..., 1:] ** 2).sum(axis=-1) - 1.0
    circle = s[..., 0] ** 2 + 2.0 * s[..., 1] ** 2 - 1.0
    return float(max(np.abs(hyperboloid).max(), np.abs(circle).max()))


def _torus(z: AnyArray) -> float:
    """How far points are off two unit circles."""
    return max(_sphere(z[..., :2]), _sphere(z[..., 2:]))


def _rotations(z: AnyArray) -> float:
    """How far matrices are from rotations."""
    r = z.reshape(*z.shape[:-1], 3, 3)
    off = np.abs(r @ np.swapaxes(r, -1, -2) - np.eye(3)).max()
    return float(max(off, np.abs(np.linalg.det(r) - 1.0).max()))


@dataclass(frozen=True)
class Curved:
    """A curved latent space as users choose it."""

    options: dict[str, Any]
    ambient: int
    dim: int
    words: str
    off: Callable[[AnyArray], float]
    origin: tuple[float, ...]


_ONE = (1, 0, 0, 0, 1, 0, 0, 0, 1)
CASES = [
    Curved({"backend": "hyperspherical"}, 3, 2, "unit vectors", _sphere, (1, 0, 0)),
    Curved(
        {"backend": "hyperspherical", "settings": {"posterior": "von_mises_fisher"}, "latent_dim": 3},
        4,
        3,
        "unit vectors",
        _sphere,
        (1, 0, 0, 0),
    ),
    Curved({"backend": "product", "signature": "h2:0.5,s1:2,e1"}, 6, 4, "side by side", _product, (1, 0, 0, 1, 0, 0)),
    Curved({"backend": "embedded"}, 4, 2, "points of the manifold", _torus, (1, 0, 1, 0)),
    Curved({"backend": "embedded", "settings": {"manifold": "so3"}}, 9, 3, "as matrices", _rotations, _ONE),
]
pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join(map(str, c.options.values())))
def case(request: pytest.FixtureRequest) -> Curved:
    """One of them."""
    return request.param


@pytest.fixture(scope="module")
def curved(case: Curved, chain: AnyArray) -> Model:
    """Trained a little on the chain."""
    config = TrainConfig(epochs=5, hidden=(32,), **case.options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arrays have no topology
        return Model.train(chain, config, device="cpu")


def test_embedding_holds_points_and_tangent_coordinates(
    case: Curved, curved: Model, chain: AnyArray, tmp_path: Path
) -> None:
    """Ambient points on the manifold; tangent coordinates as long as the distance to the origin."""
    found = curved.encode(chain)
    found.save(tmp_path / "embed.h5")
    with h5py.File(tmp_path / "embed.h5") as file:
        value = file["observables/latent/value"]
        assert case.words in value.attrs["coordinates"]
        latent, tangent = value[()], file["observables/latent_tangent/value"][()]
    assert latent.shape == (400, case.ambient) and tangent.shape == (400, case.dim)
    assert case.off(latent) < 1e-5
    space = curved.pipeline.vae.latent.manifold
    origin = torch.tensor([case.origin], dtype=torch.float64)
    distance = space.pairwise_distance(torch.from_numpy(latent), origin).detach().numpy()[:, 0]
    np.testing.assert_allclose(np.linalg.norm(tangent, axis=1), distance, atol=1e-3)


def test_save_load_embed_is_bit_identical(curved: Model, chain: AnyArray, tmp_path: Path) -> None:
    """T6."""
    curved.save(tmp_path / "model.h5")
    loaded = Model.load(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.encode(chain).latent, curved.encode(chain).latent)
    np.testing.assert_array_equal(loaded.generate(50, seed=3).positions, curved.generate(50, seed=3).positions)


def test_generation_draws_from_the_prior(case: Curved, curved: Model) -> None:
    """Points on the manifold, as dense as the prior: its own mean log density, without a preferred direction."""
    z = curved.generate(4000, seed=1).latent
    assert case.off(z) < 1e-5
    tangent = curved.pipeline.tangent(z)
    assert (np.abs(tangent.mean(axis=0)) < 4.0 * tangent.std(axis=0) / np.sqrt(4000)).all()
    fresh = curved.pipeline.vae.latent.prior_sample(4000, torch.Generator().manual_seed(7)).double()
    log = [curved.pipeline.vae.latent.log_prior(x).detach().numpy() for x in (torch.from_numpy(z).double(), fresh)]
    error = np.sqrt((log[0].var() + log[1].var()) / 4000)
    assert abs(log[0].mean() - log[1].mean()) <= 4.0 * error + 1e-9


def test_optimisation_stays_on_the_manifold(case: Curved, curved: Model) -> None:
    """Starts, way and optima are points of it; the expectation falls."""
    found = curved.optimize("rg", goal="min")
    way = found.extra["path"]
    path = np.asarray(way["latent"].value)
    assert case.off(path) < 1e-5
    assert case.off(found.latent) < 1e-5
    assert found.figures["expected"] <= found.figures["initial"]
    assert found.figures["in_support"]


def test_each_part_and_curvature_is_told(case: Curved, curved: Model) -> None:
    """KL of each part and each curvature, in the history and in the summary that `info` prints."""
    latent = curved.pipeline.vae.latent
    history = curved.record.history
    assert history["kl"].shape == (5, len(latent.parts))
    assert history["curvature"].shape == (5, len(latent.curvatures()))
    assert curved.figures["kl"].keys() == set(latent.parts)
    assert curved.figures["curvatures"] == latent.curvatures()
    assert case.options["backend"] != "product" or latent.curvatures() == {"h2#0": -0.5, "s1#1": 2.0}
