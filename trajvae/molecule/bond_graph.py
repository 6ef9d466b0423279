"""Treat bonds as the edges of a graph: neighbours of atoms, and atoms that bonds connect."""

from __future__ import annotations

import numpy as np
import scipy

from trajvae.typing import Int64


def neighbour_lists(bonds: Int64, n_atoms: int) -> list[list[int]]:
    """Return the atoms that each atom is bonded to, in the order of the bonds (B, 2)."""
    neighbours: list[list[int]] = [[] for _ in range(n_atoms)]
    for a, b in bonds.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    return neighbours


def adjacency(pairs: Int64, n: int) -> scipy.sparse.csr_array:
    """Return a sparse matrix (n, n) with a one for each pair (B, 2) of nodes, such as bonds, in one direction only."""
    return scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()


def connected_components(pairs: Int64, n: int) -> tuple[int, Int64]:
    """Find the connected parts of a graph of n nodes, such as molecules of atoms, by its edges (B, 2), such as bonds.

    Returns
    -------
    count : int
        Number of connected parts.
    label : ndarray of int64, shape (n,)
        Number of the part that each node belongs to.
    """
    count, label = scipy.sparse.csgraph.connected_components(adjacency(pairs, n), directed=False)
    return int(count), np.asarray(label, dtype=np.int64)
