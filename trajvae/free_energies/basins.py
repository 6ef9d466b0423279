"""Basins: minima of a free energy that stand out from its errors, what belongs to each, and the ways between them.

Minima and the passes between them are those of the minimum spanning tree of the cells, an edge of which is as high as
the higher of its ends: the way through the tree is the lowest there is. From the lowest edge up, two basins that meet
become one where the pass lies less than three standard errors above the shallower minimum, or where either has too
few frames.

References
----------
H. Edelsbrunner, D. Letscher, A. Zomorodian, Discrete Comput. Geom. 28, 511 (2002): minima by their persistence.
T. C. Hu, Oper. Res. 9, 898 (1961): ways whose highest point is lowest are those of the minimum spanning tree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.free_energies.density import Density
from trajvae.typing import Bool, Float64, Int64

STANDING_OUT = 3.0  # standard errors of the height of a pass above a minimum: there are many minima to be misled by
FEWEST = 10.0  # frames of a basin, as many as those of equal weight


@dataclass(frozen=True, eq=False)
class Partition:
    """Hold the basins of a map.

    Attributes
    ----------
    minimum : ndarray of int64, shape (K,)
        Cell of the lowest point of each, the basin with the most frames first.
    basin : ndarray of int64, shape (cells,)
        Number of the basin that a cell belongs to; -1 of cells that no frame is near.
    """

    minimum: Int64
    basin: Int64


def find_basins(density: Density, neighbours: Int64, weights: Float64) -> Partition:
    """Part the cells of a map into basins.

    Parameters
    ----------
    density : Density
    neighbours : ndarray of int64, shape (pairs, 2)
        Cells that touch.
    weights : ndarray, shape (T,)
        Of the frames.
    """
    merging = _Merging(density, weights)
    for low, high in spanning_edges(density.energy, neighbours):
        merging.meet(int(low), int(high))
    return merging.partition()


def spanning_edges(energy: Float64, neighbours: Int64) -> Int64:
    """Return the edges (n, 2) of the minimum spanning tree of cells with finite energies, the lowest first."""
    rank = np.argsort(np.argsort(energy, kind="stable"), kind="stable")  # whole numbers, all of them different
    kept = neighbours[np.isfinite(energy[neighbours]).all(axis=1)]
    height = rank[kept].max(axis=1) + 1.0
    size = len(energy)
    graph = scipy.sparse.coo_matrix((height, (kept[:, 0], kept[:, 1])), shape=(size, size))
    tree = scipy.sparse.csgraph.minimum_spanning_tree(graph.tocsr()).tocoo()
    return np.stack([tree.row, tree.col], axis=-1)[np.argsort(tree.data)].astype(np.int64)


class _Merging:
    """Join basins from the lowest pass to the highest, as sets of cells with a minimum each."""

    def __init__(self, density: Density, weights: Float64) -> None:
        size = len(density.energy)
        self.density = density
        self.parent = np.arange(size)
        self.minimum = np.arange(size)
        self.weight = np.bincount(density.cell, weights, minlength=size)
        self.square = np.bincount(density.cell, weights**2, minlength=size)

    def root(self, cell: int) -> int:
        """Return the cell that stands for a set."""
        while self.parent[cell] != cell:
            self.parent[cell] = self.parent[self.parent[cell]]
            cell = int(self.parent[cell])
        return cell

    def meet(self, a: int, b: int) -> None:
        """Join the sets of two cells, or leave them two basins."""
        energy = self.density.energy
        one, other = sorted((self.root(a), self.root(b)), key=lambda r: float(energy[self.minimum[r]]))
        top = a if energy[a] >= energy[b] else b
        if self._stands_out(other, top) and self._many(one) and self._many(other):
            return
        self.parent[other] = one
        self.weight[one] += self.weight[other]
        self.square[one] += self.square[other]

    def _many(self, root: int) -> bool:
        square = float(self.square[root])
        return square > 0.0 and float(self.weight[root]) ** 2 / square >= FEWEST

    def _stands_out(self, root: int, top: int) -> bool:
        lowest, d = int(self.minimum[root]), self.density
        error = float((d.changes[:, top] - d.changes[:, lowest]).std())
        return float(d.energy[top] - d.energy[lowest]) > STANDING_OUT * error

    def partition(self) -> Partition:
        """Return the basins, those of too few frames joined to the nearest others."""
        roots = np.array([self.root(cell) for cell in range(len(self.parent))])
        known = np.isfinite(self.density.energy)
        seen = np.bincount(self.density.cell, minlength=len(known)) > 0
        real = np.array([r for r in np.unique(roots[known]) if self._many(int(r))], dtype=np.int64)
        if not len(real):
            real = np.unique(roots[known])[[np.argmax(self.weight[np.unique(roots[known])])]]
        order = real[np.argsort(-self.weight[real], kind="stable")]
        number = np.full(len(roots), -1, dtype=np.int64)
        number[order] = np.arange(len(order))
        basin = np.where(known, number[roots], -1)
        lost = (known | seen) & (basin < 0)
        basin[lost] = _nearest(self.density.cells.centres, lost, basin)
        return Partition(self.minimum[order], basin)


def _nearest(centres: Float64, lost: Bool, basin: Int64) -> Int64:
    """Basins of the nearest cells that have one."""
    found = np.flatnonzero(basin >= 0)
    return basin[found[scipy.spatial.cKDTree(centres[found]).query(centres[lost])[1]]]


def barriers(energy: Float64, neighbours: Int64, minimum: Int64) -> tuple[Float64, Int64]:
    """Return the height of the lowest pass between each two cells, and the cell where it is, both (K, K).

    Parameters
    ----------
    energy : ndarray, shape (cells,)
        Infinite, or NaN, where no way leads.
    neighbours : ndarray of int64, shape (pairs, 2)
    minimum : ndarray of int64, shape (K,)

    Returns
    -------
    height : ndarray, shape (K, K)
        The highest energy on the way that is lowest there; NaN where none leads from one to the other; on the diagonal
        the energy of the cell itself.
    cell : ndarray of int64, shape (K, K)
        -1 where there is no way.
    """
    count = len(minimum)
    top = np.full((count, count), -1, dtype=np.int64)
    np.fill_diagonal(top, minimum)
    member = {int(cell): [k] for k, cell in enumerate(minimum)}  # of the set of each cell that holds a minimum
    parent = np.arange(len(energy))
    for a, b in spanning_edges(energy, neighbours):
        one, other = _root(parent, int(a)), _root(parent, int(b))
        own, more = member.get(one, []), member.pop(other, [])
        for i in own:
            top[i, more] = top[more, i] = int(a) if energy[a] >= energy[b] else int(b)
        parent[other] = one
        if own or more:
            member[one] = own + more
    return np.where(top >= 0, energy[np.maximum(top, 0)], np.nan), top


def _root(parent: Int64, cell: int) -> int:
    while parent[cell] != cell:
        parent[cell] = parent[parent[cell]]
        cell = int(parent[cell])
    return cell
