"""Centre frames, superpose them on a reference by proper rotations, and measure the RMSD between frames.

All functions work on many frames at once. Covariances and rotations are computed in float64; results keep the input's
precision. A mirror image is another molecule, so every rotation has determinant +1.
"""

from __future__ import annotations

import numpy as np

from trajvae.alignment.frame_sums import (
    as_rows,
    blocks,
    centre_columns,
    covariance_columns,
    multiply_frames,
    repeat_for_atoms,
    weighted_centring,
)
from trajvae.alignment.rotations import rotations_from_covariances
from trajvae.typing import Bool, Float64, Floats

# where a squared RMSD is below this fraction of the two frames' squared sizes, it is added up again atom by atom: a
# difference of two large numbers has a rounding error of about 1e-9 of them
_NEARLY_EQUAL = 1e-6


def center(x: Floats, weights: Float64) -> Floats:
    """Subtract the weighted centre of every frame.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, N, D)
        In the precision of `x`; the centre is computed in float64.
    """
    centres, out = multiply_frames(x, centre_columns(weights, x.shape[2])), np.empty(x.shape, x.dtype)
    for_all_atoms = repeat_for_atoms(x.shape[1], np.eye(x.shape[2]))
    for s in blocks(x):
        np.subtract(as_rows(x[s]), centres[s] @ for_all_atoms, out=as_rows(out[s]), casting="same_kind")
    return out


def covariances(x: Floats, other: Float64, weights: Float64) -> Float64:
    """Return the covariance matrix of every frame with another structure: the sum over atoms of w x^T other.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
        Centred.
    other : ndarray, shape (N, D) or (T, N, D)
        One structure, or one for each frame; centred.
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, D, D)
    """
    out = np.empty((len(x), x.shape[2], x.shape[2]))
    if other.ndim == 2:
        return multiply_frames(x, covariance_columns(other, weights)).reshape(out.shape)
    for s in blocks(x):
        transposed = np.swapaxes(x[s].astype(np.float64, copy=False), 1, 2)
        np.matmul(transposed, weights[:, None] * other[s], out=out[s])
    return out


def optimal_rotations(x: Floats, reference: Float64, weights: Float64) -> Float64:
    """Return the proper rotations R that minimise the weighted RMSD of x R to the reference.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    reference : ndarray, shape (N, D) or (T, N, D)
        Both centred.
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, D, D)
    """
    return rotations_from_covariances(covariances(x, reference, weights))


def superpose(x: Floats, reference: Float64, weights: Float64) -> Floats:
    """Centre every frame and rotate it optimally on to the reference (the Kabsch algorithm).

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    reference : ndarray, shape (N, D)
        Centred with the same weights.
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, N, D)
        In the precision of `x`, in which the centre is subtracted and the rotation applied; both are found in float64.

    Notes
    -----
    For one frame x with rows x_i, the result is (x - c) R with

        c = sum_i w_i x_i / sum_i w_i
        C = sum_i w_i (x_i - c)^T r_i         (D x D)
        U S V^T = C                           (singular value decomposition)
        R = U diag(1, ..., 1, det(U V^T)) V^T

    Since sum_i w_i (x_i - c)^T r_i = sum_i w_i x_i^T r_i - c^T sum_i w_i r_i, frames need not be centred first: their
    covariances and their centres are columns of one matrix product. Where it is accurate, R is computed in closed form
    instead of by a decomposition.
    """
    n, dimension = reference.shape
    columns = np.hstack([covariance_columns(reference, weights), centre_columns(weights, dimension)])
    sums = multiply_frames(x, columns)
    centres, uncentred = sums[:, dimension**2 :], sums[:, : dimension**2].reshape(-1, dimension, dimension)
    covariance = uncentred - centres[:, :, None] * (weights @ reference)
    rotations = rotations_from_covariances(covariance).astype(x.dtype)
    centres, out = centres.astype(x.dtype), np.empty(x.shape, x.dtype)
    for_all_atoms = repeat_for_atoms(n, np.eye(dimension, dtype=x.dtype))
    for s in blocks(x):
        centred = (as_rows(x[s]) - centres[s] @ for_all_atoms).reshape(-1, n, dimension)
        np.matmul(centred, rotations[s], out=out[s])
    return out


def pairwise_rmsd(a: Floats, b: Floats, weights: Float64) -> Float64:
    """Return the RMSD between frames of equal index after optimal superposition.

    Parameters
    ----------
    a, b : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)
        Of the superposition and of the mean over atoms.

    Returns
    -------
    ndarray, shape (T,)
        In the unit of the positions.
    """
    covariance, size = np.empty((len(a), a.shape[2], a.shape[2])), np.empty(len(a))
    scaled = weighted_centring(weights, a.shape[2])
    for s in blocks(a):
        left, right = scaled(a[s]), scaled(b[s])
        np.matmul(np.swapaxes(left, 1, 2), right, out=covariance[s])
        size[s] = np.einsum("tnd,tnd->t", left, left) + np.einsum("tnd,tnd->t", right, right)
    rotations = rotations_from_covariances(covariance)
    square = size - 2.0 * np.einsum("tij,tij->t", rotations, covariance)
    nearly_equal = np.flatnonzero(square < _NEARLY_EQUAL * size)
    for s in blocks(a[nearly_equal]):
        rows = nearly_equal[s]
        difference = np.matmul(scaled(a[rows]), rotations[rows]) - scaled(b[rows])
        square[rows] = np.square(difference).sum(axis=(1, 2))
    return np.asarray(np.sqrt(square / weights.sum()))


def rmsd(a: Floats, b: Floats, weights: Float64 | None = None) -> Float64:
    """Return the weighted RMSD between frames as they stand, without superposition, shape (T,).

    Parameters
    ----------
    a, b : ndarray, shape (T, N, D) or (N, D)
        Either may be one structure.
    weights : ndarray, shape (N,), optional
        By default all atoms count alike.
    """
    if a.ndim == 2:
        return np.asarray(rmsd(a[None], b, weights)[0])
    weights = np.ones(a.shape[1]) if weights is None else weights
    fractions = np.repeat(weights / weights.sum(), a.shape[2])
    b, square = np.broadcast_to(b, a.shape), np.empty(len(a))
    for s in blocks(a):
        np.matmul(np.square(as_rows(a[s].astype(np.float64) - b[s])), fractions, out=square[s])
    return np.sqrt(square)


def frame_jump(aligned: Floats, has_predecessor: Bool | None = None) -> Float64:
    """Return the RMSD from every frame to the one before it, as both stand after alignment.

    Parameters
    ----------
    aligned : ndarray, shape (T, N, D)
    has_predecessor : ndarray of bool, shape (T,), optional
        Whether the row before a frame holds the frame before it in time; where it does not, the result is NaN. By
        default all rows are consecutive.

    Returns
    -------
    ndarray, shape (T,)
        The first is NaN, since no frame comes before it.
    """
    jump = np.full(len(aligned), np.nan)
    if len(aligned) > 1:
        jump[1:] = rmsd(aligned[1:], aligned[:-1])
    if has_predecessor is not None:
        jump[~has_predecessor] = np.nan
    return jump
