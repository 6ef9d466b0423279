"""Whether a latent point lies where the training frames are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from trajvae import Model
from trajvae.geometry.manifolds import EuclideanSpace
from trajvae.latents import Latent, make_latent
from trajvae.outputs.searching.support import NEIGHBOURS, QUANTILE, Support


@pytest.fixture
def latent() -> Latent:
    """The plane."""
    return make_latent("euclidean", 2, {})


def _cloud(n: int = 2000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2))


def test_the_radius_is_the_quantile_of_neighbour_distances(latent: Latent) -> None:
    """99 % quantile of each training point's distance to its fifth nearest other, by scipy's k-d tree."""
    points = _cloud()
    support = Support.fit(latent.manifold, points)
    twin = cKDTree(points).query(points, k=NEIGHBOURS + 1)[0][:, -1]
    assert support.k == NEIGHBOURS
    assert support.radius == pytest.approx(np.quantile(twin, QUANTILE), rel=1e-6)


def test_distances_equal_scipy_s(latent: Latent) -> None:
    """The distance of new points to their fifth nearest training point, as verdicts do."""
    points, new = _cloud(), 2.0 * _cloud(300)
    support = Support.fit(latent.manifold, points)
    twin = cKDTree(points).query(new, k=NEIGHBOURS)[0][:, -1]
    np.testing.assert_allclose(support.distance(torch.from_numpy(new)).numpy(), twin, atol=1e-7)
    assert np.array_equal(support.inside(new), twin <= support.radius)


def test_about_99_percent_of_like_points_are_inside(latent: Latent) -> None:
    """Fresh draws of the same cloud are inside for 99 % within 1 %, training points themselves for 99 % and more."""
    support = Support.fit(latent.manifold, _cloud())
    assert support.inside(_cloud()).mean() >= 0.99
    fresh = np.random.default_rng(1).normal(size=(5000, 2))
    assert 0.98 <= support.inside(fresh).mean() <= 0.999


def test_far_points_and_holes_are_outside(latent: Latent) -> None:
    """A point far away is outside, and so is the middle of a ring of training points."""
    turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    support = Support.fit(latent.manifold, ring)
    assert support.inside(np.array([[1.0, 0.0], [0.0, 0.0], [9.0, 9.0]])).tolist() == [True, False, False]


SPACES: list[tuple[str, int, dict[str, Any]]] = [
    ("euclidean", 3, {}),
    ("hyperspherical", 2, {}),
    ("product", 4, {"signature": "h2,s2"}),
    ("product", 3, {"signature": "h1:2,s1,e1"}),
    ("embedded", 2, {}),
    ("embedded", 3, {"manifold": "so3"}),
]


@pytest.mark.parametrize(("backend", "dim", "settings"), SPACES)
def test_every_space_is_measured_against_all_points(backend: str, dim: int, settings: dict[str, Any]) -> None:
    """Radius and verdicts are those of all distances to all points, more than are ever counted one by one."""
    latent = make_latent(backend, dim, settings).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    points, new = (latent.manifold.project(latent.prior_sample(n, generator).double()) for n in (12_000, 400))
    support = Support.fit(latent.manifold, points.numpy())
    own = torch.cat(
        [
            latent.manifold.pairwise_distance(part, points).topk(6, largest=False).values[:, -1]
            for part in points[:2500].split(500)
        ]
    )
    share = float((own <= support.radius).double().mean())
    assert share == pytest.approx(QUANTILE, abs=0.009)  # of 2500 beside 5000 that are measured: four standard errors
    twin = latent.manifold.pairwise_distance(new, points).topk(5, largest=False).values[:, -1]
    assert np.array_equal(support.inside(new.numpy()), (twin <= support.radius).numpy())
    torch.testing.assert_close(support.distance(new), twin, rtol=1e-6, atol=1e-7)


def test_a_space_without_chords_is_measured_too() -> None:
    """A manifold whose distance is its own, of which no bound is known: all distances are measured."""

    class Half(EuclideanSpace):
        chords_are_distances = False

        def pairwise_distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return 0.5 * torch.cdist(a, b)

        def chords(self, z: torch.Tensor) -> None:  # type: ignore[override]
            return None

    half, points, new = Half(2), _cloud(6000), 2.0 * _cloud(50)
    twin = cKDTree(points).query(new, k=NEIGHBOURS)[0][:, -1]
    support = Support.fit(half, points)
    np.testing.assert_allclose(support.distance(torch.from_numpy(new)).numpy(), 0.5 * twin, atol=1e-7)
    assert np.array_equal(support.inside(new), 0.5 * twin <= support.radius)


def test_what_is_inside_is_inside_of_all(latent: Latent) -> None:
    """Of a cloud as large as a long run's, 95 % and more of what is called inside is so by scipy's search in all."""
    points = np.concatenate([_cloud(60_000), 0.1 * _cloud(60_000) + 3.0])
    support = Support.fit(latent.manifold, points)
    new = np.random.default_rng(3).uniform(-5.0, 5.0, size=(4000, 2))
    tree = cKDTree(points)
    radius = np.quantile(tree.query(points, k=NEIGHBOURS + 1)[0][:, -1], QUANTILE)
    called = support.inside(new)
    really = tree.query(new, k=NEIGHBOURS)[0][:, -1] <= radius
    assert 200 < called.sum() < 3000
    assert really[called].mean() >= 0.95
    assert called[really].mean() >= 0.95


def test_few_points_still_make_a_support(latent: Latent) -> None:
    """With fewer points than neighbours asked for, all the others are the neighbours."""
    support = Support.fit(latent.manifold, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert support.k == 2
    assert support.inside(np.array([[0.3, 0.3], [50.0, 0.0]])).tolist() == [True, False]


def test_the_distance_is_differentiable(latent: Latent) -> None:
    """Its gradient is finite and points away from the training points, in float32 too."""
    support = Support.fit(latent.manifold, _cloud())
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[6.0, 0.0], [0.1, 0.2]], dtype=dtype, requires_grad=True)
        (gradient,) = torch.autograd.grad(support.distance(z).sum(), z)
        assert bool(gradient.isfinite().all())
        assert float(gradient[0, 0]) > 0.9


def test_a_model_s_training_frames_are_its_support(tiny_model: Model) -> None:
    """At least 99 % of the training latents are inside; those that were held out are not among them."""
    record = tiny_model.record
    support = Support.of(tiny_model.pipeline, record)
    train = record.latent[record.parts.training]
    assert 0 < record.held_out.sum()
    assert np.array_equal(support.points.cpu().numpy(), train)
    assert support.inside(train).mean() >= 0.99
