"""Sums over the atoms of every frame as matrix products: frames are rows, taken in blocks that stay in cache.

A frame's centre and its covariance with a reference are linear in its coordinates. As columns of one matrix they cost a
product with a frame's 3 N numbers, where numpy's inner loops over three axes cost ten times that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from trajvae.typing import Float64, Floats

# numbers and least frames of a block: 256 kB in float64, and no fewer frames than make up for reading the columns
_NUMBERS, _FRAMES = 2**15, 16


def blocks(x: Floats) -> Iterator[slice]:
    """Slices of frames (T, ...) whose numbers fit a core's own cache."""
    size = max(_FRAMES, _NUMBERS // max(x[0].size, 1)) if len(x) else 1
    for start in range(0, len(x), size):
        yield slice(start, start + size)


def as_rows(x: Floats) -> Floats:
    """Frames (T, N, D) as rows, (T, N D)."""
    return x.reshape(len(x), -1)


def multiply_frames(x: Floats, columns: Float64) -> Float64:
    """Frames (T, N, D) as rows times columns (N D, K), in float64, (T, K)."""
    out = np.empty((len(x), columns.shape[1]))
    for s in blocks(x):
        np.matmul(as_rows(x[s]).astype(np.float64, copy=False), columns, out=out[s])
    return out


def centre_columns(weights: Float64, dimension: int) -> Float64:
    """Columns (N D, D) that give a frame's weighted centre."""
    return np.kron((weights / weights.sum())[:, None], np.eye(dimension))


def covariance_columns(reference: Float64, weights: Float64) -> Float64:
    """Columns (N D, D D) that give a frame's covariance with a reference (N, D): sums of w x outer r."""
    n, dimension = reference.shape
    columns: Float64 = np.einsum("ne,df->nfde", weights[:, None] * reference, np.eye(dimension))
    return columns.reshape(n * dimension, dimension * dimension)


def repeat_for_atoms(n_atoms: int, rows: Floats) -> Floats:
    """Rows (D, N D) that repeat those given for every atom: a centre times them is exact, and faster than broadcast."""
    return np.tile(rows, (1, n_atoms))


def weighted_centring(weights: Float64, dimension: int) -> Callable[[Floats], Float64]:
    """What centres frames, in float64, and multiplies them by the roots of the weights."""
    columns, everywhere = centre_columns(weights, dimension), repeat_for_atoms(len(weights), np.eye(dimension))
    roots = np.repeat(np.sqrt(weights), dimension)

    def scaled(x: Floats) -> Float64:
        """Frames (t, N, D)."""
        rows = as_rows(x).astype(np.float64)
        rows -= (rows @ columns) @ everywhere
        rows *= roots
        return np.asarray(rows.reshape(x.shape))

    return scaled
