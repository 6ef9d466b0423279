"""What a model is compared with: probabilistic PCA against its closed form, and simulated frames drawn once more."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.outputs.judging.baselines import evenly, known_frames, principal_draws, resampled
from trajvae.typing import Floats

DRAWS = 40_000


@pytest.fixture(scope="module")
def internal(chain: Floats) -> Model:
    """A model of internal coordinates, whose principal components are of shape space all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array has no topology
        return Model.train(chain.copy(), TrainConfig(epochs=2, hidden=(8,), features="internal"), device="cpu")


def _targets(model: Model, x: Floats) -> Floats:
    """Frames in shape space, orthonormal coordinates of what alignment leaves."""
    pipeline = model.pipeline
    aligned = np.ascontiguousarray(pipeline.alignment.apply(x), dtype=np.float64)
    return np.asarray(pipeline.baseline.space.targets(torch.from_numpy(aligned)).numpy())


def _free(model: Model, x: Floats) -> Floats:
    """Drawn frames in shape space as they stand: superposing them again would bend what was drawn."""
    return np.asarray(model.pipeline.baseline.space.targets(torch.from_numpy(x)).numpy())


def _train(model: Model) -> Floats:
    record = model.record
    return record.sample[record.parts.training[record.sample_index]]


def _closed_form(targets: Floats, k: int) -> tuple[Floats, Floats]:
    """Mean and covariance of probabilistic PCA by maximum likelihood, from the sample covariance's eigenvalues."""
    values, vectors = np.linalg.eigh(np.cov(targets.T, ddof=0))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[k:].mean()
    return targets.mean(axis=0), noise * np.eye(len(values)) + (vectors[:, :k] * (values[:k] - noise)) @ vectors[
        :, :k
    ].T


# --- probabilistic PCA


@pytest.mark.parametrize("kind", ["cartesian", "internal"])
def test_principal_draws_have_the_moments_of_probabilistic_pca(kind: str, tiny_model: Model, internal: Model) -> None:
    """Mean and covariance of draws are the closed form's within 4.5 standard errors, whatever the features."""
    model = tiny_model if kind == "cartesian" else internal
    train = _train(model)
    mean, covariance = _closed_form(_targets(model, train), 2)
    drawn = _free(model, principal_draws(model.pipeline, train, DRAWS, seed=1))
    variance = np.diag(covariance)
    assert (np.abs(drawn.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / DRAWS)).all()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / DRAWS)
    off = np.abs(np.cov(drawn.T) - covariance)
    assert (off < 4.5 * error + 0.005 * np.abs(covariance).max()).all()  # the second term: T or T - 1


def test_the_noise_is_isotropic_beside_the_components(tiny_model: Model) -> None:
    """Along the components the simulation's variances, across them one variance that keeps the total."""
    train = _train(tiny_model)
    targets = _targets(tiny_model, train)
    drawn = _free(tiny_model, principal_draws(tiny_model.pipeline, train, DRAWS, seed=2))
    values, vectors = np.linalg.eigh(np.cov(targets.T))
    spread = ((drawn - drawn.mean(axis=0)) @ vectors).var(axis=0)
    np.testing.assert_allclose(spread[-2:], values[-2:], rtol=6.0 * np.sqrt(2.0 / DRAWS))
    np.testing.assert_allclose(spread[:-2], values[:-2].mean(), rtol=6.0 * np.sqrt(2.0 / DRAWS))
    assert spread.sum() == pytest.approx(values.sum(), rel=0.02)


def test_principal_draws_are_frames_of_the_reference(tiny_model: Model) -> None:
    """Positions in Å in the model's own frame, centred and stationary under rotation, the seed's and no other's."""
    train = _train(tiny_model)
    drawn = principal_draws(tiny_model.pipeline, train, 50, seed=3)
    assert drawn.shape == (50, 12, 2) and drawn.dtype == np.float64 and np.isfinite(drawn).all()
    reference = tiny_model.pipeline.alignment.reference
    np.testing.assert_allclose(drawn.mean(axis=1), 0.0, atol=1e-9)
    turn = (drawn[..., 0] * reference[:, 1] - drawn[..., 1] * reference[:, 0]).sum(axis=1)
    np.testing.assert_allclose(turn, 0.0, atol=1e-8)
    torch.manual_seed(5)
    assert np.array_equal(drawn, principal_draws(tiny_model.pipeline, train, 50, seed=3))
    assert not np.array_equal(drawn, principal_draws(tiny_model.pipeline, train, 50, seed=4))


def test_frames_need_not_be_aligned(tiny_model: Model, chain: Floats) -> None:
    """Turned and moved frames give the same draws."""
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    moved = chain.astype(float) @ turn + 30.0
    plain = principal_draws(tiny_model.pipeline, chain.astype(float), 20, seed=0)
    np.testing.assert_allclose(principal_draws(tiny_model.pipeline, moved, 20, seed=0), plain, atol=1e-6)


def test_frames_on_a_plane_of_shape_space_are_drawn_there(tiny_model: Model) -> None:
    """Frames that two components describe wholly leave no residual, and draws stay where they are."""
    space = tiny_model.pipeline.baseline.space
    z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = space.positions(space.mean + 0.05 * z @ space.axes[:, :2].T).numpy()
    drawn = _free(tiny_model, principal_draws(tiny_model.pipeline, flat, 1000, seed=0)) - space.mean.numpy()
    axes = space.axes[:, :2].numpy()
    rest = np.sqrt(np.square(drawn - drawn @ axes @ axes.T).mean())
    assert rest < 0.02 * np.sqrt(np.square(drawn @ axes).mean())


# --- frames


def test_given_frames_are_taken_if_they_are_as_many(tiny_model: Model, chain: Floats) -> None:
    """Frames that the model was trained on, turned or not, with all its marks; else, or without any, those it keeps."""
    record = dataclasses.replace(
        tiny_model.record, sample=tiny_model.record.sample[::4], sample_index=tiny_model.record.sample_index[::4]
    )
    given = known_frames(tiny_model.pipeline, record, chain)
    assert given.positions is chain and np.array_equal(given.held_out, record.held_out)
    turned = chain.astype(float) @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 5.0
    assert known_frames(tiny_model.pipeline, record, turned).positions is turned
    for positions in (None, chain[:399], chain[:5], chain[::-1], chain * [1.0, -1.0]):
        kept = known_frames(tiny_model.pipeline, record, positions)
        assert kept.positions is record.sample
        assert np.array_equal(kept.held_out, record.held_out[record.sample_index])
        assert kept.held_out.any() and not kept.held_out.all()


@pytest.mark.parametrize(
    ("n", "expected"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, range(10)), (99, range(10))]
)
def test_evenly(n: int, expected: list[int]) -> None:
    """The first and the last among them, none twice, all where more are wanted."""
    x = np.arange(10.0)[:, None, None]
    assert evenly(x, n).ravel().tolist() == list(expected)


def test_resampled_frames_are_frames() -> None:
    """Any number, each one of those that are there, drawn with replacement and with equal chances; the seed decides."""
    x = np.arange(10.0)[:, None, None] * np.ones((10, 3, 2))
    drawn = resampled(x, 50_000, seed=0)
    assert drawn.shape == (50_000, 3, 2)
    counts = np.unique(drawn[:, 0, 0], return_counts=True)[1]
    assert len(counts) == 10 and (np.abs(counts - 5000) < 4.5 * np.sqrt(50_000 * 0.09)).all()
    assert np.array_equal(drawn, resampled(x, 50_000, seed=0))
    assert not np.array_equal(drawn, resampled(x, 50_000, seed=1))
    few = resampled(x, 10, seed=0)
    assert len(np.unique(few[:, 0, 0])) < 10
