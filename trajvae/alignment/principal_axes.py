"""Rotate frames into the principal axes of their gyration tensors."""

from __future__ import annotations

import itertools

import numpy as np

from trajvae.alignment.superposition import center, covariances
from trajvae.typing import Bool, Float64, Floats

# two principal moments whose difference is less than this fraction of the larger one have arbitrary axes
DEGENERATE = 0.1


def principal_frame(x: Floats, weights: Float64) -> tuple[Floats, Float64]:
    """Centre frames and rotate each into the axes of its own gyration tensor, the longest axis first.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)

    Returns
    -------
    turned : ndarray, shape (T, N, D)
        The axes' signs are arbitrary, but the axes are right-handed.
    moments : ndarray, shape (T, D)
        Eigenvalues of the weighted sum of x^T x, descending.
    """
    centred = center(x, weights)
    values, vectors = np.linalg.eigh(covariances(centred, centred.astype(np.float64), weights))
    axes = vectors[:, :, ::-1].copy()
    axes[:, :, -1] *= np.sign(np.linalg.det(axes))[:, None]
    return np.matmul(centred, axes.astype(x.dtype)), np.maximum(values[:, ::-1], 0.0)


def _proper_signs(dimension: int) -> Float64:
    """Return all combinations of signs of the axes that keep them right-handed, shape (2^(D - 1), D)."""
    signs: Float64 = np.array(list(itertools.product((1.0, -1.0), repeat=dimension)))
    return np.asarray(signs[np.prod(signs, axis=1) > 0])


def principal(x: Floats, reference: Float64, weights: Float64) -> tuple[Floats, Bool]:
    """Rotate every frame into its principal axes, with the proper signs that bring it nearest to the reference.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    reference : ndarray, shape (N, D)
    weights : ndarray, shape (N,)

    Returns
    -------
    aligned : ndarray, shape (T, N, D)
    degenerate : ndarray of bool, shape (T,)
        Whether two moments of a frame are within 10 % of each other: the axes are arbitrary in their plane.
    """
    turned, moments = principal_frame(x, weights)
    agreement = np.einsum("tnd,nd,n->td", turned, reference, weights, dtype=np.float64)
    signs = _proper_signs(x.shape[2])
    best = signs[np.argmax(agreement @ signs.T, axis=1)]
    gap = (moments[:, :-1] - moments[:, 1:]) / np.maximum(moments[:, :-1], np.finfo(float).tiny)
    return turned * best[:, None, :].astype(x.dtype), np.asarray((gap < DEGENERATE).any(axis=1))
