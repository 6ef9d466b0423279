"""Sums over atoms as matrix products, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.alignment.frame_sums import blocks, centre_columns, covariance_columns, multiply_frames, repeat_for_atoms


@pytest.mark.parametrize("shape", [(0, 5, 3), (1, 5, 3), (1000, 7, 2), (200, 214, 3), (17, 20_000, 3)])
def test_blocks_cover_every_frame_once(shape):
    """Blocks are in order, complete and not empty; no frames give no block."""
    x = np.zeros(shape, dtype=np.float32)
    covered = [k for s in blocks(x) for k in range(*s.indices(len(x)))]
    assert covered == list(range(len(x)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dimension", [2, 3])
def test_sums_are_centres_and_covariances(dtype, dimension):
    """The sums equal those of einsum, in float64 for both precisions, also for frames that are not contiguous."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(dimension, 900, 40)) + 3.0).astype(dtype).transpose(1, 2, 0)[::3]
    reference, weights = rng.normal(size=(40, dimension)), rng.uniform(1.0, 3.0, size=40)
    exact = x.astype(np.float64)
    centre = np.einsum("tnd,n->td", exact, weights) / weights.sum()
    np.testing.assert_allclose(multiply_frames(x, centre_columns(weights, dimension)), centre, atol=1e-13)
    covariance = np.einsum("tnd,n,ne->tde", exact, weights, reference)
    got = multiply_frames(x, covariance_columns(reference, weights)).reshape(covariance.shape)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, covariance, atol=1e-11)
    assert np.array_equal((centre @ repeat_for_atoms(40, np.eye(dimension))).reshape(x.shape)[:, 17], centre)
