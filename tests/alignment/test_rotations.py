"""Closed-form rotations against singular value decompositions, for well-conditioned and degenerate covariances."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.alignment.align import center, optimal_rotations, pairwise_rmsd, superpose
from trajvae.alignment.rotations import rotations_by_svd, rotations_from_covariances

COUNT = 4000


def rotations(rng, dimension):
    """Proper rotations at random."""
    q = np.linalg.qr(rng.normal(size=(COUNT, dimension, dimension)))[0]
    q[:, :, -1] *= np.linalg.det(q)[:, None]
    return q


def covariances(values, rng):
    """Covariances of given singular values (COUNT, D), the last one with the determinant's sign."""
    dimension = values.shape[1]
    return (rotations(rng, dimension) * values[:, None, :]) @ rotations(rng, dimension)


def spectra(rng):
    """Singular values from well apart to equal, from full rank to rank one, with both signs of the last one."""
    spread = -np.sort(-(10.0 ** rng.uniform(-6, 0, size=(COUNT, 3))), axis=1)
    close = np.stack([np.ones(COUNT), np.ones(COUNT), 1.0 - 10.0 ** rng.uniform(-9, 0, size=COUNT)], axis=1)
    mirrored = spread * [1.0, 1.0, -1.0]
    nearly = spread.copy()
    nearly[:, 2] = -nearly[:, 1] * (1.0 - 10.0 ** rng.uniform(-9, -1, size=COUNT))
    return {"spread": spread, "close": close, "mirrored": mirrored, "nearly degenerate": nearly}


@pytest.mark.parametrize("kind", ["spread", "close", "mirrored", "nearly degenerate"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_rotations_equal_those_of_singular_values(kind, scale):
    """Both agree within the rounding error: 1e-15 radian divided by the relative gap of the singular values."""
    rng = np.random.default_rng(0)
    values = spectra(rng)[kind]
    c = scale * covariances(values, rng)
    got, expected = rotations_from_covariances(c), rotations_by_svd(c)
    gap = (values[:, 1] + values[:, 2]) / values[:, 0]
    assert (np.abs(got - expected).max(axis=(1, 2)) <= 2e-14 / gap + 1e-13).all()


@pytest.mark.parametrize("kind", ["spread", "close", "mirrored", "nearly degenerate"])
def test_no_rotation_has_a_larger_trace(kind):
    """The trace is the sum of the singular values, the last one signed, to rounding, however degenerate they are."""
    rng = np.random.default_rng(1)
    values = spectra(rng)[kind]
    c = covariances(values, rng)
    got = rotations_from_covariances(c)
    np.testing.assert_allclose(np.einsum("tij,tij->t", got, c), values.sum(axis=1), atol=1e-14)
    np.testing.assert_allclose(got @ np.swapaxes(got, 1, 2), np.broadcast_to(np.eye(3), got.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(got), 1.0, atol=1e-14)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_covariances_of_rank_one_and_none_have_proper_rotations(dimension):
    """Zeros and one line; also in dimensions that have no closed form here."""
    zeros = np.zeros((3, dimension, dimension))
    line = zeros.copy()
    line[:, 0, 0] = [1e-200, 1.0, 1e200]
    for c in (zeros, line, -line):
        got = rotations_from_covariances(c)
        np.testing.assert_allclose(np.linalg.det(got), 1.0, atol=1e-14)
        assert dimension == 1 or (np.einsum("tij,tij->t", got, c) >= 0.0).all()


def test_rotations_of_the_plane_equal_singular_values():
    """Both signs of the second value; equal ones of opposite sign leave every turn as good."""
    rng = np.random.default_rng(2)
    for second in (0.9, 0.0, -0.5, -0.999999):
        c = covariances(np.stack([np.ones(COUNT), np.full(COUNT, second)], axis=1), rng)
        np.testing.assert_allclose(rotations_from_covariances(c), rotations_by_svd(c), atol=1e-14 / (1.0 + second))


@pytest.mark.parametrize("count", [2, 3, 30, 10_000])
@pytest.mark.parametrize("dtype, digits", [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_superposed_frames_equal_those_of_singular_values(count, dtype, digits):
    """From two atoms to ten thousand: the same frames as with numpy's decomposition, in single and double precision."""
    rng = np.random.default_rng(3)
    w = rng.uniform(1.0, 16.0, size=count)
    reference = center(rng.normal(size=(1, count, 3)) * [9.0, 5.0, 3.0], w)[0]
    x = (reference + rng.normal(scale=0.5, size=(40, count, 3)) @ rotations(rng, 3)[:40] + 7.0).astype(dtype)
    exact = center(x.astype(np.float64), w)
    expected = exact @ rotations_by_svd(np.einsum("tni,nj,n->tij", exact, reference, w))
    got = superpose(x, reference, w)
    assert got.dtype == dtype
    # two atoms leave a turn about their own axis open: distances to the reference are what is defined
    if count > 2:
        np.testing.assert_allclose(got, expected, atol=30.0 * digits)
    deviation = [np.square(f - reference).sum(axis=(1, 2)) for f in (got.astype(np.float64), expected)]
    np.testing.assert_allclose(*deviation, rtol=100.0 * digits, atol=1e-12)


def test_frames_of_one_file_may_be_of_every_kind():
    """Only degenerate frames use the decomposition; the result for a frame does not depend on the other frames."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 20, 3))
    x[7] *= [1.0, 1.0, -1.0]
    x[11, :, 1:] = 0.0
    x[13] = 0.0
    w = np.ones(20)
    x = center(x, w)
    one_by_one = np.concatenate([optimal_rotations(x[k : k + 1], x[0], w) for k in range(60)])
    np.testing.assert_allclose(optimal_rotations(x, x[0], w), one_by_one, atol=1e-13)


@pytest.mark.parametrize("shift", [0.0, 1e-9, 1e-6, 1e-3])
def test_rmsd_of_nearly_equal_frames_keeps_its_digits(shift):
    """One atom in a hundred moved along a line through the centre: the difference is not lost in the frames' size."""
    rng = np.random.default_rng(5)
    half = rng.normal(scale=20.0, size=(5, 50, 3))
    x = np.concatenate([half, -half], axis=1)
    y = x.copy()
    y[:, :50] += shift * half / np.linalg.norm(half, axis=2, keepdims=True)
    y[:, 50:] -= shift * half / np.linalg.norm(half, axis=2, keepdims=True)
    np.testing.assert_allclose(pairwise_rmsd(x, y, np.ones(100)), shift, rtol=2e-2, atol=1e-13)
    np.testing.assert_allclose(
        pairwise_rmsd(x + 100.0, y @ rotations(rng, 3)[0], np.ones(100)), shift, rtol=2e-2, atol=1e-12
    )


@pytest.mark.parametrize("count", [1, 5])
def test_covariances_stay_as_they_are(count):
    """The input is not changed, even if it is a single covariance."""
    c = np.random.default_rng(6).normal(size=(count, 3, 3))
    before = c.copy()
    rotations_from_covariances(c)
    np.testing.assert_array_equal(c, before)
