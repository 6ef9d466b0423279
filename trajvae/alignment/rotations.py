"""Optimal proper rotations of covariances, in closed form where that is sure, by singular values elsewhere.

In space the rotation is the polynomial of Markley's FOAM: a few products of 3 x 3 matrices once the largest trace is
known, the largest root of a quartic that Newton's method finds. Its digits go with the gap of the singular values,
(s1 + s2)(s2 + s3)(s3 + s1), s3 with the determinant's sign: mirror images, straight and single-point frames have none.
Where the gap is small, numpy's decomposition is taken.
"""

from __future__ import annotations

import numpy as np

from trajvae.typing import Bool, Float64

# least gap, of a covariance of unit norm, at which the closed form is taken: 1e-12 of a radian is left of it there
_GAP = 0.02
_STEPS = 10  # of Newton's method: where the gap suffices, 8 reach rounding
_SETTLED = 1e-13


def optimal(covariance: Float64) -> Float64:
    """The proper rotations R that maximise the trace of R^T C.

    Parameters
    ----------
    covariance : ndarray, shape (T, D, D)

    Returns
    -------
    ndarray, shape (T, D, D)
        det = +1 always. Where several rotations are as good, one of them.

    References
    ----------
    W. Kabsch, Acta Cryst. A 34, 827 (1978): by singular values.
    F. L. Markley, J. Astronaut. Sci. 41, 261 (1993): the polynomial.
    D. L. Theobald, Acta Cryst. A 61, 478 (2005): the quartic and Newton's method on it, from above.
    """
    if covariance.shape[1:] == (2, 2):
        return _plane(covariance)
    if covariance.shape[1:] != (3, 3):
        return by_singular_values(covariance)
    out, sure = _space(covariance)
    if not sure.all():
        out[~sure] = by_singular_values(covariance[~sure])
    return out


def by_singular_values(covariance: Float64) -> Float64:
    """As `optimal`, for every covariance: U V^T, the last axis flipped where that would mirror."""
    u, _, vt = np.linalg.svd(covariance)
    u[:, :, -1] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]
    return np.asarray(np.matmul(u, vt))


def _plane(covariance: Float64) -> Float64:
    """The phase of a complex number; none for a mirror image of equal moments, where every turn is as good."""
    along = covariance[:, 0, 0] + covariance[:, 1, 1]
    across = covariance[:, 0, 1] - covariance[:, 1, 0]
    angle = np.arctan2(across, along)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c, s, -s, c], axis=1).reshape(-1, 2, 2)


def _space(covariance: Float64) -> tuple[Float64, Bool]:
    """Rotations, and where they are sure. Inside, frames are the last axis: numpy's fast one."""
    c = np.array(covariance.reshape(-1, 9).T, order="C").reshape(3, 3, -1)
    c /= np.maximum(np.abs(c).max(axis=(0, 1)), np.finfo(float).tiny)
    c /= np.maximum(np.sqrt(np.einsum("ijt,ijt->t", c, c)), 1.0)
    cofactors = _cofactors(c)
    det = (c[0] * cofactors[0]).sum(axis=0)
    trace, step = _largest_trace(det, np.square(cofactors).sum(axis=(0, 1)))
    pairs = 0.5 * (np.square(trace) - 1.0)  # s1 s2 + s2 s3 + s3 s1
    gap = pairs * trace - det
    sure = (gap > _GAP) & (np.abs(step) < _SETTLED)
    out = ((pairs + 1.0) * c + trace * cofactors - _times(c, _gram(c))) / np.where(sure, gap, 1.0)
    # what rounding left of a stretch: a step of Newton and Schulz
    out = 1.5 * out - 0.5 * _times(out, _gram(out))
    return np.ascontiguousarray(out.reshape(9, -1).T).reshape(-1, 3, 3), sure


def _times(a: Float64, b: Float64) -> Float64:
    """Products of matrices (3, 3, T)."""
    return np.asarray(a[:, 0, None] * b[0] + a[:, 1, None] * b[1] + a[:, 2, None] * b[2])


def _gram(a: Float64) -> Float64:
    """A^T A of matrices (3, 3, T)."""
    return _times(np.swapaxes(a, 0, 1), a)


def _cofactors(c: Float64) -> Float64:
    """Cofactors of matrices (3, 3, T): the cross products of rows."""
    rows = [(c[1], c[2]), (c[2], c[0]), (c[0], c[1])]
    return np.stack([u[i] * v[j] - u[j] * v[i] for u, v in rows for i, j in ((1, 2), (2, 0), (0, 1))]).reshape(c.shape)


def _largest_trace(det: Float64, products: Float64) -> tuple[Float64, Float64]:
    """s1 + s2 + s3 of covariances of unit norm, and the last step of Newton's method, both (T,).

    It is the largest root of (t^2 - 1)^2 - 8 det t - 4 products, with the sum of squared cofactors as the products;
    from above, the square root of three, the steps never pass it.
    """
    t = np.full(len(det), np.sqrt(3.0))
    step = np.zeros_like(t)
    for _ in range(_STEPS):
        square = t * t - 1.0
        slope = 4.0 * t * square - 8.0 * det
        step = (square * square - 8.0 * det * t - 4.0 * products) / np.maximum(slope, 1e-9)
        t = t - step
    return t, step
