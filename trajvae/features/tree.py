"""The spanning tree of a molecule: for every atom the atoms that its bond, angle and torsion are measured to.

Atoms are placed outwards from the middle of the bond graph. An atom p is placed from its bond to a first reference, its
angle with a second and its torsion with a third. The first child of an atom has a proper torsion; its siblings are
placed by the angle between them about their common bond, an improper torsion that hardly varies, so that the freedom
of a turning bond is in one coordinate. In two dimensions the signed angle takes the place of angle and torsion.

References
----------
J. Parsons, J. B. Holmes, J. M. Rojas, J. Tsai, C. E. M. Strauss, J. Comput. Chem. 26, 1063 (2005): rebuilding.
C.-E. Chang, M. J. Potter, M. K. Gilson, J. Phys. Chem. B 107, 1048 (2003): phase angles.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import scipy

from trajvae.typing import Bool, Floats, Int64

_BENT = 0.15  # smallest median sine of a bond angle: below it the angle is straight and its torsion undefined
_TRIED = 8  # references that are tried where the nearest lie in line
_FRAMES = 200  # that are looked at
_FEW = 20  # of them for the distances of fragments


def link_fragments(bonds: Int64, positions: Floats) -> Int64:
    """Return bonds, with one more for each further fragment: its nearest atoms in the mean over frames (T, N, D)."""
    n = positions.shape[1]
    count, label = scipy.sparse.csgraph.connected_components(_graph(bonds, n), directed=False)
    if count == 1:
        return bonds
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(count))
    apart = np.zeros((n, n))
    for x in positions:  # a few frames; one matrix of distances at a time
        apart += scipy.spatial.distance.cdist(x[order], x[order])
    between = np.minimum.reduceat(np.minimum.reduceat(apart, starts, axis=0), starts, axis=1)
    links = scipy.sparse.csgraph.minimum_spanning_tree(
        np.triu(between, 1) + np.triu(np.full_like(between, 1e-9), 1)
    ).tocoo()
    ends = np.append(starts, n)
    found = []
    for a, b in zip(links.row.tolist(), links.col.tolist(), strict=True):
        block = apart[ends[a] : ends[a + 1], ends[b] : ends[b + 1]]
        i, j = np.unravel_index(int(block.argmin()), block.shape)
        found.append((order[ends[a] + i], order[ends[b] + j]))
    return np.concatenate([bonds.reshape(-1, 2), np.array(found, dtype=np.int64).reshape(-1, 2)])


def _graph(bonds: Int64, n: int) -> scipy.sparse.csr_array:
    return scipy.sparse.coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n)).tocsr()


def _middle(bonds: Int64, n: int) -> int:
    """The atom halfway along the longest way through the bonds."""
    graph = _graph(bonds, n)
    end = int(scipy.sparse.csgraph.breadth_first_order(graph, 0, directed=False)[0][-1])
    order, before = scipy.sparse.csgraph.breadth_first_order(graph, end, directed=False)
    way = [int(order[-1])]
    while way[-1] != end:
        way.append(int(before[way[-1]]))
    return way[len(way) // 2]


class _Growth:
    """Places atoms one after the other and chooses their references."""

    def __init__(self, bonds: Int64, positions: Floats, heavy: Bool) -> None:
        self.x, self.heavy = positions.astype(np.float64), heavy
        self.n, self.dimension = positions.shape[1:]
        self.root = self._root(bonds)
        order, before = scipy.sparse.csgraph.breadth_first_order(_graph(bonds, self.n), self.root, directed=False)
        self.parent = np.where(before < 0, -1, before).astype(np.int64)
        self.children: list[list[int]] = [[] for _ in range(self.n)]
        weight = np.ones(self.n)
        for atom in order[:0:-1].tolist():
            weight[self.parent[atom]] += weight[atom]
            self.children[int(self.parent[atom])].append(atom)
        for mine in self.children:
            mine.sort(key=lambda a: (not heavy[a], -weight[a], a))
        first = self._bent_pair(self.root, self.children[self.root])
        self.children[self.root].sort(key=lambda a: a not in first)
        self.references = np.full((self.n, self.dimension), -1, dtype=np.int64)
        self.placed = [self.root]
        self._last: tuple[tuple[int, int], list[int]] = (-1, -1), []
        self.is_placed = np.zeros(self.n, dtype=bool)
        self.is_placed[self.root] = True

    def _root(self, bonds: Int64) -> int:
        """The atom nearest to the middle with two neighbours that are not in line with it."""
        graph = _graph(bonds, self.n)
        both = (graph + graph.T).tocsr()
        order = scipy.sparse.csgraph.breadth_first_order(graph, _middle(bonds, self.n), directed=False)[0]
        for atom in order.tolist():
            if self._bent_pair(atom, both.indices[both.indptr[atom] : both.indptr[atom + 1]].tolist()):
                return int(atom)
        return int(order[0])

    def _bent_pair(self, atom: int, near: list[int]) -> tuple[int, ...]:
        """The first two of an atom's neighbours that are not in line with it; none where all are."""
        for pair in itertools.combinations(near, 2):
            if self._bent((pair[0], atom, pair[1])) > _BENT:
                return pair
        return ()

    def grow(self) -> Int64:
        """References of all atoms, (N, D)."""
        for atom in self.placed:  # grows while it is walked
            for child in self.children[atom]:
                self.references[child] = self._choose(child)
                self.placed.append(child)
                self.is_placed[child] = True
        return self.references

    def _choose(self, atom: int) -> tuple[int, ...]:
        """The first references that are not in line with each other, else those that are least so."""
        first = int(self.parent[atom])
        wanted = min(len(self.placed), self.dimension) - 1
        best: tuple[int, ...] = (first,)
        most = -1.0
        for others in itertools.islice(self._candidates(atom, first, wanted), _TRIED * _TRIED):
            bent = self._bent((atom, first, *others))
            if bent > most:
                best, most = (first, *others), bent
            if bent > _BENT:
                break
        missing: tuple[int, ...] = (-1,) * (self.dimension - len(best))
        return best + missing

    def _candidates(self, atom: int, first: int, wanted: int) -> Iterator[tuple[int, ...]]:
        """Second and third references, those along the bonds before others."""
        if wanted == 0:
            yield ()
            return
        for second in self._seconds(first):
            if wanted == 1:
                yield (second,)
                continue
            for third in self._thirds(first, second):
                if third not in (first, second):
                    yield second, third

    def _sibling(self, first: int) -> list[int]:
        """The child of an atom that was placed before the others, if any was."""
        return [c for c in self.children[first][:1] if self.is_placed[c]]

    def _seconds(self, first: int) -> Iterator[int]:
        """The parent's parent, then the first sibling; in the plane the other way, so that siblings turn together."""
        up = [int(self.parent[first])] if self.parent[first] >= 0 else []
        yield from self._sibling(first) + up if self.dimension == 2 else up + self._sibling(first)
        yield from self._near(first)

    def _thirds(self, first: int, second: int) -> Iterator[int]:
        """The first sibling; without one, what lies beyond the second reference."""
        yield from self._sibling(first) if self.parent[first] >= 0 else self._placed_children(first)
        if self.parent[second] >= 0:
            yield int(self.parent[second])
        yield from self._placed_children(second)
        yield from self._near(first)

    def _placed_children(self, atom: int) -> list[int]:
        return [c for c in self.children[atom] if self.is_placed[c]]

    def _near(self, first: int) -> list[int]:
        """The placed atoms nearest to one, in the mean; found once for each atom that is placed."""
        if self._last[0] != (first, len(self.placed)):
            self._last = (first, len(self.placed)), self._look_around(first)
        return self._last[1]

    def _look_around(self, first: int) -> list[int]:
        others = np.array([a for a in self.placed if a != first], dtype=np.int64)
        apart = np.linalg.norm(self.x[:, others] - self.x[:, first, None], axis=-1).mean(axis=0)
        return [int(a) for a in others[np.argsort(apart, kind="stable")][:_TRIED]]

    def _bent(self, atoms: tuple[int, ...]) -> float:
        """The smallest sine of the angles along atoms in the median frame; in two dimensions angles may be straight."""
        if self.dimension == 2:
            return 1.0
        least = np.ones(len(self.x))
        for i, j, k in zip(atoms, atoms[1:], atoms[2:], strict=False):
            a, b = self.x[:, i] - self.x[:, j], self.x[:, k] - self.x[:, j]
            size = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
            least = np.minimum(least, np.linalg.norm(np.cross(a, b), axis=-1) / np.maximum(size, 1e-12))
        return float(np.median(least))


def spanning_tree(bonds: Int64, positions: Floats, heavy: Bool) -> Int64:
    """Choose each atom's references.

    Parameters
    ----------
    bonds : ndarray of int64, shape (B, 2)
        Rings and several fragments are welcome: a ring is opened opposite to where the tree enters it, fragments are
        joined where they are nearest.
    positions : ndarray, shape (T, N, D)
        Frames that show which angles are straight: such references say nothing and are not chosen.
    heavy : ndarray of bool, shape (N,)
        Atoms that carry proper torsions before others.

    Returns
    -------
    ndarray of int64, shape (N, D)
        To which atoms bond, angle and torsion are measured; -1 where there is none: an atom of the first D.
    """
    some = positions[:: max(1, -(-len(positions) // _FRAMES))]
    return _Growth(link_fragments(bonds, some[:: max(1, len(some) // _FEW)]), some, heavy).grow()


def generations(references: Int64) -> list[Int64]:
    """Return atoms that can be placed at once, in the order of placement; the first generation is the root alone."""
    n = len(references)
    depth = np.full(n, -1, dtype=np.int64)
    depth[references[:, 0] < 0] = 0
    while (depth < 0).any():
        known = np.where(references >= 0, depth[references], 0)
        ready = (depth < 0) & (known >= 0).all(axis=1)
        if not ready.any():
            raise ValueError("the references run in a circle")
        depth[ready] = 1 + known[ready].max(axis=1)
    return [np.flatnonzero(depth == k) for k in range(int(depth.max()) + 1)]
