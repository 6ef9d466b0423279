"""Find spanning trees of a graph, and number their nodes so that every subtree is a range of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.molecule.bond_graph import adjacency, connected_components
from trajvae.typing import Float64, Int64


@dataclass(frozen=True, eq=False)
class Forest:
    """Hold a spanning tree of every connected component of a graph.

    Attributes
    ----------
    parent : ndarray, shape (n,)
        The parent of each node; a root is its own parent.
    component : ndarray, shape (n,)
        Number of the connected component of each node.
    order : ndarray, shape (n,)
        Nodes in depth-first order: a node's subtree is `order[start[node]:stop[node]]`.
    start, stop : ndarray, shape (n,)
        The range of each node's subtree in `order`.
    """

    parent: Int64
    component: Int64
    order: Int64
    start: Int64
    stop: Int64

    @classmethod
    def span(cls, n: int, edges: Int64, preference: Int64 | None = None) -> Forest:
        """Find spanning trees by breadth-first search.

        Parameters
        ----------
        n : int
            Number of nodes.
        edges : ndarray, shape (E, 2)
        preference : ndarray, shape (n,), optional
            The node of the largest value becomes the root of its component; by default the first node does.
        """
        value = -np.arange(n) if preference is None else preference
        edges = edges.reshape(-1, 2)
        component = connected_components(edges, n)[1]
        best_first = np.lexsort((-value, component))
        roots = best_first[np.unique(component[best_first], return_index=True)[1]]
        # one more node stands above all roots, so that one search visits every component
        joined = adjacency(np.concatenate([edges, np.column_stack([np.full(len(roots), n), roots])]), n + 1)
        visited, above = scipy.sparse.csgraph.breadth_first_order(joined, n, directed=False)
        parent = above[:n].astype(np.int64)
        start, stop = _subtree_ranges(visited.tolist(), above.tolist())
        parent[roots] = roots
        order = np.empty(n, dtype=np.int64)
        order[start] = np.arange(n)
        return cls(parent, component, order, start, stop)

    @property
    def children(self) -> Int64:
        """Nodes that are not roots, ascending."""
        return np.flatnonzero(self.parent != np.arange(len(self.parent)))

    def sum_down_trees(self, frame: Int64, node: Int64, images: Float64) -> tuple[Int64, Int64, Float64]:
        """Add to each node the images given for it and for all its ancestors; return the sums that are not zero.

        Parameters
        ----------
        frame, node : ndarray, shape (E,)
            Frame and node for which an image is given; no pair occurs twice.
        images : ndarray, shape (E, 3)
            Image of `node`, and of its whole subtree, in `frame`.

        Returns
        -------
        frame, node : ndarray, shape (P,)
        sums : ndarray, shape (P, 3)

        Notes
        -----
        In depth-first order the sums are step functions. The time is therefore proportional to the number of images
        given and of sums returned, whatever the depth of the trees and the number of frames.
        """
        n = len(self.parent)
        places = np.concatenate([frame * n + self.start[node], frame * n + self.stop[node]])
        order = np.argsort(places, kind="stable")
        steps = np.concatenate([images, -images])[order]
        places, sums = places[order], np.cumsum(steps, axis=0)
        lengths = np.diff(places, append=places[-1:])
        moved = np.flatnonzero((lengths > 0) & (sums != 0.0).any(axis=1))
        lengths = lengths[moved]
        rows = np.repeat(places[moved] - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(lengths.sum())
        moved_frame, place_in_order = np.divmod(rows, n)
        return moved_frame, self.order[place_in_order], np.repeat(sums[moved], lengths, axis=0)


def _subtree_ranges(visited: list[int], parent: list[int]) -> tuple[Int64, Int64]:
    """Return where each subtree starts and stops in depth-first order.

    Parameters
    ----------
    visited : list of int
        Nodes in the order of a breadth-first search, of which the first is the ancestor of all others.
    parent : list of int
        The parent of each node.
    """
    size = [1] * len(parent)
    for node in reversed(visited[1:]):
        size[parent[node]] += size[node]
    start, free = [0] * len(parent), [0] * len(parent)  # `free`: first place for the next child's subtree
    for node in visited[1:]:
        start[node] = free[parent[node]]
        free[parent[node]] += size[node]
        free[node] = start[node] + 1
    first = np.array(start[: len(parent) - 1], dtype=np.int64)
    return first, first + np.array(size[: len(parent) - 1], dtype=np.int64)
