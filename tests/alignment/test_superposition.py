"""Superposition beside the plain formula, frame by frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trajvae.alignment.superposition import covariances, pairwise_rmsd, superpose


def kabsch(x, reference, weights):
    """Return one frame, centred and rotated on to the reference as textbooks write it, and the weighted RMSD."""
    centred = x - weights @ x / weights.sum()
    target = reference - weights @ reference / weights.sum()
    u, _, vt = np.linalg.svd((weights[:, None] * centred).T @ target)
    signs = np.ones(x.shape[1])
    signs[-1] = np.linalg.det(u @ vt)
    aligned = centred @ (u * signs) @ vt
    return aligned, np.sqrt(weights @ np.square(aligned - target).sum(axis=1) / weights.sum())


@pytest.fixture(params=[(2, 4), (3, 4), (3, 60)], ids=lambda p: f"{p[1]} atoms in {p[0]} dimensions")
def case(request):
    """Return frames near a structure and far from it, the structure, and weights."""
    dimension, n_atoms = request.param
    rng = np.random.default_rng(3)
    reference = 3.0 * rng.standard_normal((n_atoms, dimension))
    weights = rng.uniform(1.0, 16.0, n_atoms)
    reference -= weights @ reference / weights.sum()
    noise = np.array([0.1, 1.0, 10.0]).repeat(20)[:, None, None]
    turns = np.linalg.qr(rng.standard_normal((60, dimension, dimension)))[0]
    turns[:, :, 0] *= np.sign(np.linalg.det(turns))[:, None]
    frames = (reference + noise * rng.standard_normal((60, n_atoms, dimension))) @ turns
    return frames + rng.uniform(-20.0, 20.0, (60, 1, dimension)), reference, weights


def test_superposition_is_kabsch(case):
    """Matrix products over many frames give what the formula gives one frame at a time."""
    frames, reference, weights = case
    twins = np.stack([kabsch(x, reference, weights)[0] for x in frames])
    np.testing.assert_allclose(superpose(frames, reference, weights), twins, rtol=0, atol=1e-9)


def test_rmsd_is_that_of_kabsch(case):
    """The RMSD of pairs of frames, without rotating either."""
    frames, _, weights = case
    twins = [kabsch(a, b, weights)[1] for a, b in itertools.pairwise(frames)]
    np.testing.assert_allclose(pairwise_rmsd(frames[:-1], frames[1:], weights), twins, rtol=1e-9)


def test_covariance_is_the_sum_over_atoms(case):
    """One structure for all frames, or one for each."""
    frames, reference, weights = case
    twin = np.einsum("n,tni,nj->tij", weights, frames, reference)
    np.testing.assert_allclose(covariances(frames, reference, weights), twin, rtol=1e-10, atol=1e-8)
    each = np.broadcast_to(reference, frames.shape)
    np.testing.assert_allclose(covariances(frames, each, weights), twin, rtol=1e-10, atol=1e-8)
