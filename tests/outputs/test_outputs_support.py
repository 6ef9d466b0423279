"""Whether a latent point lies where the training frames are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from trajvae import Model
from trajvae.latents import Latent, make_latent
from trajvae.outputs import support as module
from trajvae.outputs.support import NEIGHBOURS, QUANTILE, Support


@pytest.fixture
def latent() -> Latent:
    """The plane."""
    return make_latent("euclidean", 2, {})


def _cloud(n: int = 2000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2))


def test_the_radius_is_the_quantile_of_neighbour_distances(latent: Latent) -> None:
    """99 % quantile of each training point's distance to its fifth nearest other, by scipy's k-d tree."""
    points = _cloud()
    support = Support.fit(latent, points)
    twin = cKDTree(points).query(points, k=NEIGHBOURS + 1)[0][:, -1]
    assert support.k == NEIGHBOURS
    assert support.radius == pytest.approx(np.quantile(twin, QUANTILE), rel=1e-6)


def test_distances_equal_scipy_s(latent: Latent) -> None:
    """The distance of new points to their fifth nearest training point, whatever the chunk."""
    points, new = _cloud(), 2.0 * _cloud(300)
    support = Support.fit(latent, points)
    twin = cKDTree(points).query(new, k=NEIGHBOURS)[0][:, -1]
    np.testing.assert_allclose(support.distance(torch.from_numpy(new)).numpy(), twin, atol=1e-7)
    np.testing.assert_allclose(support.distance(torch.from_numpy(new), chunk=7).numpy(), twin, atol=1e-7)


def test_about_99_percent_of_like_points_are_inside(latent: Latent) -> None:
    """Fresh draws of the same cloud are inside for 99 % within 1 %, training points themselves for 99 % and more."""
    support = Support.fit(latent, _cloud())
    assert support.inside(_cloud()).mean() >= 0.99
    fresh = np.random.default_rng(1).normal(size=(5000, 2))
    assert 0.98 <= support.inside(fresh).mean() <= 0.999


def test_far_points_and_holes_are_outside(latent: Latent) -> None:
    """A point far away is outside, and so is the middle of a ring of training points."""
    turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    support = Support.fit(latent, ring)
    assert support.inside(np.array([[1.0, 0.0], [0.0, 0.0], [9.0, 9.0]])).tolist() == [True, False, False]


def test_many_points_are_thinned_evenly(latent: Latent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit every so many-th point is kept, and like points stay inside."""
    monkeypatch.setattr(module, "_MOST", 500)
    points = _cloud()
    support = Support.fit(latent, points)
    assert len(support.points) == 500
    assert 0.98 <= support.inside(points).mean()


def test_few_points_still_make_a_support(latent: Latent) -> None:
    """With fewer points than neighbours asked for, all the others are the neighbours."""
    support = Support.fit(latent, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert support.k == 2
    assert support.inside(np.array([[0.3, 0.3], [50.0, 0.0]])).tolist() == [True, False]


def test_the_distance_is_differentiable(latent: Latent) -> None:
    """Its gradient is finite and points away from the training points, in float32 too."""
    support = Support.fit(latent, _cloud())
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[6.0, 0.0], [0.1, 0.2]], dtype=dtype, requires_grad=True)
        (gradient,) = torch.autograd.grad(support.distance(z).sum(), z)
        assert bool(gradient.isfinite().all())
        assert float(gradient[0, 0]) > 0.9


def test_a_model_s_own_frames_are_in_its_support(tiny_model: Model) -> None:
    """At least 99 % of the latents a model keeps are inside its support."""
    support = Support.fit(tiny_model.pipeline.vae.latent, tiny_model.record.latent)
    assert support.inside(tiny_model.record.latent).mean() >= 0.99
