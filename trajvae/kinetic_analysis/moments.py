"""Covariances of pairs of frames block by block, of which errors of scores and of time scales are made.

References
----------
H. Wu, F. Noe, J. Nonlinear Sci. 30, 23 (2020): VAMP-2, eq. 33.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.kinetic_analysis.deeptime_library import LaggedPairs
from trajvae.typing import Float64, Int64


@dataclass(frozen=True, eq=False)
class BlockMoments:
    """Hold sums over the pairs of each block, either order of a pair counting alike.

    Attributes
    ----------
    count : ndarray, shape (B,)
    total : ndarray, shape (B, k)
        Of coordinates.
    now, later : ndarray, shape (B, k, k)
        Of products of coordinates at one time, and a lag apart.
    """

    count: Float64
    total: Float64
    now: Float64
    later: Float64

    @classmethod
    def of(cls, pairs: LaggedPairs, block: Int64, n_blocks: int) -> BlockMoments:
        """Add up pairs of few coordinates.

        Parameters
        ----------
        pairs : LaggedPairs
        block : ndarray of int64, shape (P,)
            Number of the block of each pair.
        n_blocks : int
        """
        weights = np.ones(len(block)) if pairs.weights is None else pairs.weights
        x, y, k = pairs.first, pairs.second, pairs.first.shape[1]

        def summed(values: Float64) -> Float64:
            """Return the weighted sums over the pairs of each block."""
            return np.asarray(np.bincount(block, weights * values, minlength=n_blocks), dtype=np.float64)

        total, now, later = np.empty((n_blocks, k)), np.empty((n_blocks, k, k)), np.empty((n_blocks, k, k))
        for i in range(k):
            total[:, i] = summed(0.5 * (x[:, i] + y[:, i]))
            for j in range(i + 1):
                now[:, i, j] = now[:, j, i] = summed(0.5 * (x[:, i] * x[:, j] + y[:, i] * y[:, j]))
                later[:, i, j] = later[:, j, i] = summed(0.5 * (x[:, i] * y[:, j] + y[:, i] * x[:, j]))
        return cls(summed(np.ones(len(block))), total, now, later)

    def correlations(self, weights: Float64) -> Float64:
        """Return the whitened covariances a lag apart, (R, k, k), of blocks with weights (R, B)."""
        count = weights @ self.count
        mean = (weights @ self.total) / count[:, None]
        square = mean[:, :, None] * mean[:, None, :]
        now, later = (
            np.tensordot(weights, products, axes=1) / count[:, None, None] - square
            for products in (self.now, self.later)
        )
        if not now.shape[1]:
            return now
        size, axes = np.linalg.eigh(now)
        floor = 1e-10 * size[:, -1:]
        root = np.where(size > floor, np.maximum(size, floor), np.inf) ** -0.5
        white = axes * root[:, None, :]
        return np.asarray(np.swapaxes(white, 1, 2) @ later @ white)

    def vamp2(self, weights: Float64) -> Float64:
        """Return the VAMP-2 scores of the coordinates and the constant, (R,), of blocks with weights (R, B)."""
        return np.asarray(1.0 + np.square(self.correlations(weights)).sum(axis=(1, 2)))

    def eigenvalues(self, weights: Float64) -> Float64:
        """Return the autocorrelations of the slow functions, the slowest first, (R, k)."""
        return np.asarray(np.linalg.eigvalsh(self.correlations(weights))[:, ::-1])
