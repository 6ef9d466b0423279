"""Compute the RMSD between all frames of one set and all frames of another, and between neighbours in time."""

from __future__ import annotations

import numpy as np

from trajvae.alignment.superposition import center, frame_jump, pairwise_rmsd
from trajvae.typing import Bool, Float64, Floats


def rmsd_matrix(a: Floats, b: Floats) -> Float64:
    """Return the unweighted RMSD between all frames of two sets, after optimal superposition by proper rotations.

    Parameters
    ----------
    a : ndarray, shape (A, N, D)
    b : ndarray, shape (B, N, D)

    Returns
    -------
    ndarray, shape (A, B)
        Accurate to about 1e-6 of the frames' size, since singular values are computed in closed form.
    """
    ones = np.ones(a.shape[1])
    left, right = (np.asarray(center(x.astype(np.float64), ones)) for x in (a, b))
    dims = a.shape[2]
    rows = left.transpose(0, 2, 1).reshape(-1, a.shape[1])
    columns = right.transpose(1, 0, 2).reshape(a.shape[1], -1)
    covariance = (rows @ columns).reshape(len(a), dims, len(b), dims).transpose(1, 3, 0, 2)
    overlap = _largest_trace_2d(covariance) if dims == 2 else _largest_trace_3d(covariance)
    square = np.square(left).sum(axis=(1, 2))[:, None] + np.square(right).sum(axis=(1, 2)) - 2.0 * overlap
    return np.asarray(np.sqrt(np.maximum(square, 0.0) / a.shape[1]))


def _largest_trace_2d(c: Float64) -> Float64:
    """Return the largest trace of R^T C over rotations R of the plane, for covariances C of shape (2, 2, ...)."""
    return np.asarray(np.hypot(c[0, 0] + c[1, 1], c[0, 1] - c[1, 0]))


def _largest_trace_3d(c: Float64) -> Float64:
    """Return the largest trace of R^T C over proper rotations R, for covariances C of shape (3, 3, ...).

    It is s1 + s2 + s3, with singular values s1 >= s2 >= |s3| of which s3 has the sign of det(C).

    References
    ----------
    O. K. Smith, Commun. ACM 4, 168 (1961): eigenvalues of a symmetric 3 x 3 matrix.
    """
    gram = np.einsum("ki...,kj...->ij...", c, c)
    mean = (gram[0, 0] + gram[1, 1] + gram[2, 2]) / 3.0
    d0, d1, d2 = (gram[i, i] - mean for i in range(3))
    x, y, z = gram[0, 1], gram[0, 2], gram[1, 2]
    p = np.sqrt(np.maximum((d0**2 + d1**2 + d2**2 + 2.0 * (x**2 + y**2 + z**2)) / 6.0, 1e-200))
    half = (d0 * (d1 * d2 - z * z) - x * (x * d2 - y * z) + y * (x * z - y * d1)) / (2.0 * p**3)
    angle = np.arccos(np.clip(half, -1.0, 1.0)) / 3.0
    first = mean + 2.0 * p * np.cos(angle)
    cofactors = [
        c[i - 2, j - 2] * c[i - 1, j - 1] - c[i - 2, j - 1] * c[i - 1, j - 2] for i in range(3) for j in range(3)
    ]
    det = c[0, 0] * cofactors[0] + c[0, 1] * cofactors[1] + c[0, 2] * cofactors[2]
    # only the largest eigenvalue, s1^2, is accurate: (s2 + s3)^2 follows from s1, the sum of squared cofactors (that
    # is, of squared products of two singular values) and the determinant
    largest = np.sqrt(np.maximum(first, 1e-200))
    products = sum(np.square(m) for m in cofactors)
    others = (products - np.square(det / largest)) / np.square(largest) + 2.0 * det / largest
    return np.asarray(largest + np.sqrt(np.maximum(others, 0.0)))


def jumps(aligned: Floats, has_predecessor: Bool) -> tuple[float | None, float | None]:
    """Return the largest RMSD in Å between frames and their predecessors, as aligned and as optimally superposed."""
    next_to = np.flatnonzero(has_predecessor)
    if not len(next_to):
        return None, None
    jump = frame_jump(aligned)[next_to]
    least = pairwise_rmsd(aligned[next_to], aligned[next_to - 1], np.ones(aligned.shape[1]))
    return float(jump.max()), float(least.max())
