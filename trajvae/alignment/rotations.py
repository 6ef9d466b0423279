"""Find the optimal proper rotations for covariance matrices: in closed form where it is accurate, else by an SVD.

In three dimensions the closed form is Markley's FOAM. Newton's method finds the largest root of a quartic, which is the
largest trace of R^T C; the rotation R is then a polynomial in C. The formula divides by the gap of the singular values,
(s1 + s2)(s2 + s3)(s3 + s1), where s3 has the determinant's sign. The gap is zero for mirror images and for frames whose
atoms are in line or at one point; where it is small, numpy's singular value decomposition is used.
"""

from __future__ import annotations

import numpy as np

from trajvae.typing import Bool, Float64

# least gap, for a covariance of unit norm, at which the closed form is used: its error is 1e-12 radian there
_GAP = 0.02
_STEPS = 10  # of Newton's method; where the gap is large enough, 8 reach the rounding error
_CONVERGED = 1e-13  # last step of Newton's method


def rotations_from_covariances(covariance: Float64) -> Float64:
    """Return the proper rotations R that maximise the trace of R^T C.

    Parameters
    ----------
    covariance : ndarray, shape (T, D, D)

    Returns
    -------
    ndarray, shape (T, D, D)
        With determinant +1. Where several rotations are equally good, one of them.

    References
    ----------
    W. Kabsch, Acta Cryst. A 34, 827 (1978): by singular values.
    F. L. Markley, J. Astronaut. Sci. 41, 261 (1993): the polynomial.
    D. L. Theobald, Acta Cryst. A 61, 478 (2005): the quartic and Newton's method on it, from above.
    """
    if covariance.shape[1:] == (2, 2):
        return _rotations_2d(covariance)
    if covariance.shape[1:] != (3, 3):
        return rotations_by_svd(covariance)
    out, accurate = _rotations_3d(covariance)
    if not accurate.all():
        out[~accurate] = rotations_by_svd(covariance[~accurate])
    return out


def rotations_by_svd(covariance: Float64) -> Float64:
    """Return the same rotations by singular value decompositions: U V^T, with the last axis flipped if it is improper.

    Parameters
    ----------
    covariance : ndarray, shape (T, D, D)

    Returns
    -------
    ndarray, shape (T, D, D)
    """
    u, _, vt = np.linalg.svd(covariance)
    u[:, :, -1] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]
    return np.asarray(np.matmul(u, vt))


def _rotations_2d(covariance: Float64) -> Float64:
    """Return the optimal rotations of the plane, (T, 2, 2): the angle is the phase of a complex number.

    For a mirror image with equal moments all rotations are equally good, and the unit matrix is returned.
    """
    along = covariance[:, 0, 0] + covariance[:, 1, 1]
    across = covariance[:, 0, 1] - covariance[:, 1, 0]
    angle = np.arctan2(across, along)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c, s, -s, c], axis=1).reshape(-1, 2, 2)


def _rotations_3d(covariance: Float64) -> tuple[Float64, Bool]:
    """Return rotations (T, 3, 3) in closed form, and where they are accurate, (T,).

    Within this function frames are the last axis, over which numpy loops fastest.
    """
    c = np.array(covariance.reshape(-1, 9).T, order="C").reshape(3, 3, -1)
    c /= np.maximum(np.abs(c).max(axis=(0, 1)), np.finfo(float).tiny)
    c /= np.maximum(np.sqrt(np.einsum("ijt,ijt->t", c, c)), 1.0)
    cofactors = _cofactors(c)
    det = (c[0] * cofactors[0]).sum(axis=0)
    trace, step = _largest_trace(det, np.square(cofactors).sum(axis=(0, 1)))
    products = 0.5 * (np.square(trace) - 1.0)  # s1 s2 + s2 s3 + s3 s1
    gap = products * trace - det
    accurate = (gap > _GAP) & (np.abs(step) < _CONVERGED)
    out = ((products + 1.0) * c + trace * cofactors - _times(c, _gram(c))) / np.where(accurate, gap, 1.0)
    # a Newton-Schulz step removes the rounding error in orthogonality
    out = 1.5 * out - 0.5 * _times(out, _gram(out))
    return np.ascontiguousarray(out.reshape(9, -1).T).reshape(-1, 3, 3), accurate


def _times(a: Float64, b: Float64) -> Float64:
    """Return the products of matrices (3, 3, T)."""
    return np.asarray(a[:, 0, None] * b[0] + a[:, 1, None] * b[1] + a[:, 2, None] * b[2])


def _gram(a: Float64) -> Float64:
    """Return A^T A for matrices (3, 3, T)."""
    return _times(np.swapaxes(a, 0, 1), a)


def _cofactors(c: Float64) -> Float64:
    """Return the cofactors of matrices (3, 3, T): the cross products of their rows."""
    rows = [(c[1], c[2]), (c[2], c[0]), (c[0], c[1])]
    return np.stack([u[i] * v[j] - u[j] * v[i] for u, v in rows for i, j in ((1, 2), (2, 0), (0, 1))]).reshape(c.shape)


def _largest_trace(det: Float64, products: Float64) -> tuple[Float64, Float64]:
    """Return s1 + s2 + s3 of covariances of unit norm, and the last step of Newton's method, both (T,).

    The sum is the largest root of (t^2 - 1)^2 - 8 det t - 4 products, where `products` is the sum of squared cofactors.
    Newton's method starts above it, at its largest possible value, the square root of three, and never passes it.
    """
    t = np.full(len(det), np.sqrt(3.0))
    step = np.zeros_like(t)
    for _ in range(_STEPS):
        square = t * t - 1.0
        slope = 4.0 * t * square - 8.0 * det
        step = (square * square - 8.0 * det * t - 4.0 * products) / np.maximum(slope, 1e-9)
        t = t - step
    return t, step
