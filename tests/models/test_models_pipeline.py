"""The way of a frame to the latent space and back: invariance, determinism, precision, twins."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from MDAnalysis.analysis.rms import rmsd
from scipy.stats import special_ortho_group

from trajvae import Model, TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.models.encoded import join_posteriors, join_reconstructions
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.typing import Floats


def _moved(x: Floats, seed: int = 0, shift: float = 5.0) -> Floats:
    """Every frame turned and shifted at random, in its own precision."""
    random = np.random.default_rng(seed)
    turns = special_ortho_group.rvs(x.shape[2], size=len(x), random_state=random)
    moved = np.matmul(x.astype(np.float64), turns) + random.normal(0, shift, (len(x), 1, x.shape[2]))
    return moved.astype(x.dtype)


def _superposed(a: Floats, b: Floats) -> float:
    """RMSD of two frames by the best proper rotation: MDAnalysis' in space, a complex inner product in the plane."""
    if a.shape[1] == 3:
        return float(rmsd(a, b, superposition=True))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    overlap = abs(np.sum((a[:, 0] + 1j * a[:, 1]) * (b[:, 0] - 1j * b[:, 1])))
    return float(np.sqrt((np.square(a).sum() + np.square(b).sum() - 2 * overlap) / len(a)))


@pytest.fixture(
    scope="module", params=[(2, "superpose"), (2, "principal"), (3, "superpose"), (3, "principal")], ids=str
)
def aligned_model(request: pytest.FixtureRequest, chain: Floats, examples: Path) -> tuple[Model, Floats]:
    """A model of the chain in the plane or in space, by both ways of alignment, and its frames."""
    dimension, align = request.param
    x = chain.copy() if dimension == 2 else np.load(examples / "chain3d.npz")["positions"][:400]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return Model.train(x, TrainConfig(epochs=3, hidden=(16,), align=align), device="cpu"), x


def test_turning_and_shifting_frames_does_not_move_latents(aligned_model: tuple[Model, Floats]) -> None:
    """T10: random turns and shifts of every frame move latents by less than 1e-8 (float64) and 1e-4 (float32)."""
    model, x = aligned_model
    spread = model.record.latent.std(axis=0).max()
    for dtype, bound in ((np.float64, 1e-8), (np.float32, 1e-4)):
        frames = x.astype(dtype)
        first, _ = model.pipeline.encode(frames)
        again, _ = model.pipeline.encode(_moved(frames))
        assert np.abs(again.latent - first.latent).max() < bound
        assert spread > 100 * bound


def test_a_mirror_image_is_another_molecule(aligned_model: tuple[Model, Floats]) -> None:
    """Reflecting the frames moves their latents: alignment turns and never mirrors."""
    model, x = aligned_model
    mirror = x * np.r_[-1.0, np.ones(x.shape[2] - 1)].astype(x.dtype)
    first, again = model.pipeline.encode(x)[0].latent, model.pipeline.encode(mirror)[0].latent
    assert np.abs(first - again).max() > 1e-2 * np.abs(first).max()


def test_the_whole_way_back(aligned_model: tuple[Model, Floats]) -> None:
    """Reconstruction errors are the superposed RMSD between the frame, as it came, and its decoded mean."""
    model, x = aligned_model
    posterior, reconstruction, _ = model.pipeline.reconstruct(x[:20])
    decoded = model.pipeline.decode(posterior.latent)
    assert decoded.shape == x[:20].shape
    twin = [_superposed(a, b) for a, b in zip(decoded, x[:20].astype(float), strict=True)]
    np.testing.assert_allclose(reconstruction.rmsd, twin, atol=1e-4)


def test_encoding_is_deterministic(tiny_model: Model, chain: Floats) -> None:
    """T6: twice the same frames, whatever torch's own generator, under inference mode or not: the same bits."""
    first = tiny_model.pipeline.reconstruct(chain)
    torch.manual_seed(77)
    again = tiny_model.pipeline.reconstruct(chain)
    with torch.inference_mode():
        inside = tiny_model.pipeline.reconstruct(chain)
    for a, b, c in zip(*((*found[0], *found[1]) for found in (first, again, inside)), strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


def test_precision_follows_the_frames(tiny_model: Model, chain: Floats) -> None:
    """float64 frames are encoded in float64: close to, and not the same as, float32 ones."""
    single, _ = tiny_model.pipeline.encode(chain)
    double, _ = tiny_model.pipeline.encode(chain.astype(np.float64))
    difference = np.abs(single.latent - double.latent).max()
    assert 0.0 < difference < 1e-4
    exact = tiny_model.pipeline.encode(chain.astype(np.float64))[0].latent
    assert np.array_equal(double.latent, exact)
    assert (double.latent != double.latent.astype(np.float32)).any()


def test_frames_are_encoded_one_by_one(tiny_model: Model, chain: Floats) -> None:
    """A frame's latent, scale and errors do not depend on the frames beside it."""
    x, pipeline = chain.astype(np.float64), tiny_model.pipeline
    posterior, reconstruction, _ = pipeline.reconstruct(x)
    parts = [pipeline.reconstruct(x[i : i + 7]) for i in range(0, 400, 7)]
    for a, b in zip(join_posteriors([p for p, _, _ in parts]), posterior, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
    joined = join_reconstructions([r for _, r, _ in parts])
    for name in ("rmsd", "pca_rmsd"):
        np.testing.assert_allclose(getattr(joined, name), getattr(reconstruction, name), atol=1e-10)


def test_pca_rmsd_is_that_of_a_singular_value_decomposition(tiny_model: Model, chain: Floats) -> None:
    """`pca_rmsd` equals numpy's: frames projected on two singular vectors of the aligned training frames."""
    pipeline, train = tiny_model.pipeline, tiny_model.record.parts.training
    aligned = pipeline.alignment.apply(chain.astype(np.float64)).reshape(len(chain), -1)
    mean = aligned[train].mean(axis=0)
    axes = np.linalg.svd(aligned[train] - mean, full_matrices=False)[2][:2]
    projected = (mean + (aligned - mean) @ axes.T @ axes).reshape(chain.shape)
    twin = [_superposed(a, b) for a, b in zip(projected, chain.astype(np.float64), strict=True)]
    np.testing.assert_allclose(pipeline.reconstruct(chain.astype(np.float64))[1].pca_rmsd, twin, atol=1e-6)


def test_decoding_gives_frames(tiny_model: Model) -> None:
    """Points to (n, N, D); none to none; more than a chunk to as many."""
    pipeline = tiny_model.pipeline
    z = np.random.default_rng(0).normal(size=(30, 2))
    assert pipeline.decode(z).shape == (30, 12, 2)
    assert pipeline.decode(z[:0]).shape == (0, 12, 2)
    many = np.tile(z, (pipeline.chunk // 30 + 2, 1))
    np.testing.assert_allclose(pipeline.decode(many)[-30:], pipeline.decode(z), atol=1e-5)


def test_draws_scatter_about_the_mean_as_the_likelihood_says(tiny_model: Model) -> None:
    """Draws at one latent point average to the decoded mean, and their targets have the likelihood's covariance."""
    pipeline = tiny_model.pipeline
    z = np.tile([[0.3, -0.2]], (20_000, 1))
    draws = pipeline.decode(z, torch.Generator().manual_seed(0))
    centre = pipeline.decode(z[:1])[0]
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - centre) < 4.5 * error + 1e-6).all()
    residual = pipeline.targets(draws) - pipeline.targets(centre[None])
    covariance = pipeline.vae.likelihood.cholesky @ pipeline.vae.likelihood.cholesky.T
    spread = ((covariance.diagonal().outer(covariance.diagonal()) + covariance.square()) / len(draws)).sqrt()
    assert bool(((torch.cov(residual.T) - covariance).abs() < 4.5 * spread).all())
    again = pipeline.decode(z, torch.Generator().manual_seed(0))
    assert np.array_equal(draws, again)


def test_a_flat_latent_space_is_its_own_tangent_space(tiny_model: Model) -> None:
    """`tangent` changes nothing in the Euclidean latent space."""
    z = np.random.default_rng(0).normal(size=(6, 2))
    np.testing.assert_array_equal(tiny_model.pipeline.tangent(z), z)


def test_weights_do_not_learn_after_training(tiny_model: Model) -> None:
    """A pipeline's VAE is in evaluation mode and asks for no gradients."""
    assert not tiny_model.pipeline.vae.training
    assert not any(p.requires_grad for p in tiny_model.pipeline.vae.parameters())


def _build(**options: Any) -> VAE:
    alignment = Alignment("none", np.random.default_rng(0).normal(size=(4, 3)), np.ones(4))
    return build_vae(TrainConfig(hidden=(8,), **options), alignment, ModelSizes(5, "isotropic", 1e-3, 100))


def test_initial_weights_follow_the_seed() -> None:
    """Equal seeds build equal VAEs, other seeds others."""
    first, again, other = (_build(seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"features": "no_such"}, "no_such"),
        ({"backend": "no_such"}, "no_such"),
        ({"settings": {"no_such": 1}}, "no_such"),
        ({"settings": {"min_scale": "x"}}, "min_scale"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], named: str) -> None:
    """Unknown features, backends and settings raise OptionError that names them."""
    with pytest.raises(OptionError, match=named):
        _build(**options)
