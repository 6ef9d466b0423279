"""Measure distances between atoms that are three or more bonds apart."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import scipy

from trajvae.molecule.bond_graph import adjacency
from trajvae.typing import Bool, Float64, Floats, Int64

DENSE = 300  # largest number of atoms with all pairs measured; beyond it, a search for near pairs is faster
_BLOCK_NUMBERS, _BLOCK_FRAMES = 4_000_000, 4096  # most distances, and most frames, that are measured at a time


class NonbondedPairs:
    """Hold the pairs of atoms that are three or more bonds apart, and measure their distances.

    Parameters
    ----------
    bonds : ndarray of int64, shape (B, 2)
    n_atoms : int
    """

    def __init__(self, bonds: Int64, n_atoms: int) -> None:
        self._bonds, self._n_atoms = bonds, n_atoms

    @property
    def are_few(self) -> bool:
        """Whether all pairs are measured, and not only near ones."""
        return self._n_atoms <= DENSE

    @functools.cached_property
    def bonded(self) -> tuple[Int64, Int64]:
        """The pairs one or two bonds apart, and the pairs three bonds apart.

        A pair i < j is given as the number i * n_atoms + j; numbers ascend.
        """
        n = self._n_atoms
        graph = adjacency(self._bonds, n)
        graph = graph + graph.T
        two = graph + graph @ graph
        three = two @ graph
        numbers = []
        for matrix in (two, three):
            entries = matrix.tocoo()
            upper = entries.row < entries.col
            numbers.append(np.unique(entries.row[upper].astype(np.int64) * n + entries.col[upper]))
        return numbers[0], np.setdiff1d(numbers[1], numbers[0])

    @functools.cached_property
    def all_pairs(self) -> tuple[Int64, Int64, Bool]:
        """Atoms i and j of every pair three or more bonds apart, and whether it is three bonds apart, each (P,)."""
        n = self._n_atoms
        excluded, three_apart = self.bonded
        i, j = np.triu_indices(n, 1)
        keep = ~np.isin(i * n + j, excluded, assume_unique=True)
        i, j = i[keep], j[keep]
        return i, j, np.isin(i * n + j, three_apart, assume_unique=True)

    def distances(self, positions: Floats, reach: float) -> Iterator[tuple[int, Float64, Int64, Int64, Bool]]:
        """Yield the distances of pairs three or more bonds apart, for blocks of frames.

        Parameters
        ----------
        positions : ndarray, shape (T, N, D)
            In Å.
        reach : float
            Distance in Å beyond which pairs may be left out.

        Yields
        ------
        first : int
            Number of the first frame of the block.
        distances : ndarray, shape (t, P)
            In Å.
        i, j : ndarray of int64, shape (P,)
            Atoms of the pairs.
        is_14 : ndarray of bool, shape (P,)
            Whether a pair is three bonds apart.
        """
        if self.are_few:
            i, j, is_14 = self.all_pairs
            step = int(np.clip(_BLOCK_NUMBERS // max(len(i), 1), 1, _BLOCK_FRAMES))
            for first in range(0, len(positions) if len(i) else 0, step):
                x = positions[first : first + step].astype(np.float64)
                square = sum(np.square(x[:, i, d] - x[:, j, d]) for d in range(x.shape[2]))
                yield first, np.sqrt(square), i, j, is_14
            return
        n = self._n_atoms
        excluded, three_apart = self.bonded
        for first, x in enumerate(positions):
            pairs = scipy.spatial.cKDTree(x).query_pairs(reach, output_type="ndarray")
            pairs = pairs[~_among(pairs[:, 0] * n + pairs[:, 1], excluded)]
            is_14 = _among(pairs[:, 0] * n + pairs[:, 1], three_apart)
            lengths = np.linalg.norm(x[pairs[:, 0]].astype(np.float64) - x[pairs[:, 1]], axis=-1)
            yield first, lengths[None], pairs[:, 0], pairs[:, 1], is_14


def _among(numbers: Int64, ascending: Int64) -> Bool:
    """Return which numbers (P,) are among others that ascend, several times as fast as `numpy.isin`."""
    if not len(ascending):
        return np.zeros(len(numbers), dtype=bool)
    place = np.minimum(np.searchsorted(ascending, numbers), len(ascending) - 1)
    return np.asarray(ascending[place] == numbers)
