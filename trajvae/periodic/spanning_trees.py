"""Spanning trees of a graph, numbered so that every subtree is a range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.typing import Float64, Int64


@dataclass(frozen=True, eq=False)
class Forest:
    """A spanning tree of every connected component.

    Attributes
    ----------
    parent : ndarray, shape (n,)
        Of each node; a root is its own parent.
    component : ndarray, shape (n,)
        Number of the connected component of each node.
    order : ndarray, shape (n,)
        Nodes in depth-first order: a node's subtree is `order[start[node]:stop[node]]`.
    start, stop : ndarray, shape (n,)
    """

    parent: Int64
    component: Int64
    order: Int64
    start: Int64
    stop: Int64

    @classmethod
    def span(cls, n: int, edges: Int64, preference: Int64 | None = None) -> Forest:
        """Find spanning trees breadth first.

        Parameters
        ----------
        n : int
            Number of nodes.
        edges : ndarray, shape (E, 2)
        preference : ndarray, shape (n,), optional
            The node of the largest value becomes the root of its component; by default the first node does.
        """
        value = -np.arange(n) if preference is None else preference
        first, second = edges.reshape(-1, 2).T
        graph = _adjacency(first, second, n)
        component = scipy.sparse.csgraph.connected_components(graph, directed=False)[1].astype(np.int64)
        best_first = np.lexsort((-value, component))
        roots = best_first[np.unique(component[best_first], return_index=True)[1]]
        # one more node stands above all roots, so that one search visits every component
        joined = _adjacency(np.r_[first, np.full(len(roots), n)], np.r_[second, roots], n + 1)
        visited, above = scipy.sparse.csgraph.breadth_first_order(joined, n, directed=False)
        parent = above[:n].astype(np.int64)
        start, stop = _ranges(visited.tolist(), above.tolist())
        parent[roots] = roots
        order = np.empty(n, dtype=np.int64)
        order[start] = np.arange(n)
        return cls(parent, component, order, start, stop)

    @property
    def children(self) -> Int64:
        """Nodes that are no roots."""
        return np.flatnonzero(self.parent != np.arange(len(self.parent)))

    def spread(self, frame: Int64, node: Int64, images: Float64) -> tuple[Int64, Int64, Float64]:
        """Return the sums of what is given to each node and its ancestors, where they are not zero.

        Parameters
        ----------
        frame, node : ndarray, shape (E,)
            Pairs that differ from each other.
        images : ndarray, shape (E, 3)
            Given to `node` and its whole subtree in `frame`.

        Returns
        -------
        frame, node : ndarray, shape (P,)
        sums : ndarray, shape (P, 3)

        Notes
        -----
        The sums are steps along the depth-first order, so that the work is that of the edges given and of the nodes
        returned, whatever the depth of the trees and the number of frames.
        """
        n = len(self.parent)
        places = np.concatenate([frame * n + self.start[node], frame * n + self.stop[node]])
        order = np.argsort(places, kind="stable")
        steps = np.concatenate([images, -images])[order]
        places, sums = places[order], np.cumsum(steps, axis=0)
        lengths = np.diff(places, append=places[-1:])
        moved = np.flatnonzero((lengths > 0) & (sums != 0.0).any(axis=1))
        lengths = lengths[moved]
        where = np.repeat(places[moved] - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(lengths.sum())
        at, place = np.divmod(where, n)
        return at, self.order[place], np.repeat(sums[moved], lengths, axis=0)


def _adjacency(first: Int64, second: Int64, n: int) -> scipy.sparse.csr_array:
    return scipy.sparse.coo_array((np.ones(len(first)), (first, second)), shape=(n, n)).tocsr()


def _ranges(visited: list[int], above: list[int]) -> tuple[Int64, Int64]:
    """Return where each subtree starts and stops in depth-first order; the first node visited stands above all."""
    size = [1] * len(above)
    for node in reversed(visited[1:]):
        size[above[node]] += size[node]
    start, free = [0] * len(above), [0] * len(above)
    for node in visited[1:]:
        start[node] = free[above[node]]
        free[above[node]] += size[node]
        free[node] = start[node] + 1
    first = np.array(start[: len(above) - 1], dtype=np.int64)
    return first, first + np.array(size[: len(above) - 1], dtype=np.int64)
