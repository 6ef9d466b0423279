"""Which molecule is placed beside which other one, planned from contacts in a few frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.periodic.contacts import Contacts, strength_of
from trajvae.periodic.lattice import Cells
from trajvae.periodic.spanning_trees import Forest
from trajvae.typing import Bool, Float64, Int64

SWING = 4.0  # Å that an anchor pair may stretch beyond its shortest distance and still is in contact
MARGIN = 2.0  # Å that it may stretch beyond the sampled frames
SAFE = 0.45  # of the shortest lattice vector: a longer anchor vector has another image that is nearly as short
TRUST = 0.1  # of the strongest arrangement's contacts: a file that is connected as it stands with as many is left alone
RIVAL = 0.02  # of the contacts that hold two parts together: images with as many make the arrangement ambiguous
BESIDE = 0.3  # what an imaged contact of a single atom counts beside one that needs no image
_CUTS = 2000  # most cuts that are tried for rivals, the weakest first


@dataclass(frozen=True, eq=False)
class Arrangement:
    """A tree over molecules and the atoms that hold it together.

    Attributes
    ----------
    tree : Forest
        Of molecules; a single one: molecules without contacts hang on the largest molecule.
    anchors : ndarray, shape (E, 2)
        For every molecule of `tree.children`, an atom of its parent and an atom of itself.
    limits : ndarray, shape (E,)
        Distance of the anchors in Å up to which the molecules are in contact; 0 for molecules without contacts.
    as_it_stands : bool
        The sampled frames need no images.
    ambiguous : bool
        Another arrangement has contacts that are not negligible beside this one's.
    moved : ndarray of bool, shape (M,)
        Molecules that are moved by the same image in all sampled frames, two at least.
    """

    tree: Forest
    anchors: Int64
    limits: Float64
    as_it_stands: bool
    ambiguous: bool
    moved: Bool


def arrange(positions: Sequence[Float64], cells: Cells, sizes: Int64, contacts: Contacts, roots: Int64) -> Arrangement:
    """Choose the contacts along which molecules are placed.

    Parameters
    ----------
    positions : sequence of ndarray, shape (n, 3)
        The sampled frames with whole molecules, in Å.
    cells : Cells
        Of these frames.
    sizes : ndarray, shape (M,)
        Number of atoms of each molecule.
    contacts : Contacts
    roots : ndarray, shape (M,)
        The atom that stands for a molecule without contacts.

    Notes
    -----
    A maximum spanning tree of the contacts is the arrangement, where it leaves none of them open. Where contacts close
    a loop around the cell, an arrangement that the frames have as they stand is preferred if it is about as strong.
    """
    table = _Table(contacts, sizes, positions, cells)
    tree = table.tree(table.contacts.strength)
    stands = table.stands()
    if table.closed(tree):
        return table.arrangement(tree, roots, as_it_stands=stands is not None, ambiguous=False)
    if stands is not None and table.score(stands) >= TRUST * table.score(tree):
        return table.arrangement(stands, roots, as_it_stands=True, ambiguous=table.rivalled(stands))
    best = max([tree, *table.from_frames()], key=table.preference)
    return table.arrangement(best, roots, as_it_stands=False, ambiguous=stands is not None or table.rivalled(best))


class _Table:
    """Contacts with what is needed to compare arrangements of molecules by them.

    An arrangement is an array of rows of the table: the contacts, one a pair of molecules, that form its tree.
    """

    def __init__(self, contacts: Contacts, sizes: Int64, positions: Sequence[Float64], cells: Cells) -> None:
        self.contacts, self.sizes, self.cells = contacts, sizes, cells
        self.x = np.stack(positions) if len(positions) else np.empty((0, int(sizes.sum()), 3))
        self.single = (sizes[contacts.pair] == 1).any(axis=1)
        self.unimaged = (contacts.image == 0.0).all(axis=1)

    def tree(self, strength: Float64) -> Int64:
        """Return a maximum spanning tree by the strengths (C,) of contacts, those of 0 left out, as rows.

        Pairs are compared by the sum over frames of their strongest image. Single atoms come last, so that none of
        them holds two molecules together that touch each other.
        """
        c, n = self.contacts, len(self.sizes)
        strength = np.where(self.single & ~self.unimaged, BESIDE, 1.0) * strength
        pair = c.pair[:, 0] * n + c.pair[:, 1]
        best = _best_of(np.column_stack([c.frame, pair]), strength)
        best = best[strength[best] > 0.0]
        different, place = np.unique(pair[best], return_inverse=True)
        total = np.bincount(place.ravel(), strength[best], minlength=len(different))
        strongest = best[_best_of(pair[best][:, None], strength[best])]
        rank = np.empty(len(different))
        rank[np.lexsort((-total, self.single[strongest]))] = np.arange(1, len(different) + 1)
        graph = scipy.sparse.coo_array((rank, np.divmod(different, n)), shape=(n, n)).tocsr()
        kept = scipy.sparse.csgraph.minimum_spanning_tree(graph).tocoo()
        chosen = kept.data.astype(np.int64) - 1
        return np.asarray(strongest[np.argsort(rank)][chosen], dtype=np.int64)

    def anchors(self, rows: Int64) -> tuple[Int64, Float64]:
        """Return the pair of atoms (E, 2) of each contact that is near in most frames, and its reach there."""
        c, n = self.contacts, len(self.sizes)
        pair = c.pair[:, 0] * n + c.pair[:, 1]
        rival = np.flatnonzero(np.isin(pair, pair[rows]))
        atoms = c.atoms[rival]
        distance = np.zeros((len(self.x), len(rival)))
        for t, x in enumerate(self.x):
            vector = x[atoms[:, 1]] - x[atoms[:, 0]]
            frame = np.full(len(rival), t)
            vector += self.cells.shift(self.cells.nearest(vector, frame), frame)
            distance[t] = np.linalg.norm(vector, axis=1)
        closest = distance.min(axis=0, initial=np.inf)
        reach = np.where(distance <= closest + SWING, distance, 0.0).max(axis=0, initial=0.0)
        best = rival[_best_of(pair[rival][:, None], strength_of(distance).sum(axis=0))]
        place = np.searchsorted(pair[best], pair[rows])
        return c.atoms[best][place], reach[np.searchsorted(rival, best)][place]

    def gauge(self, rows: Int64) -> Float64:
        """Return the images (F, M, 3) at which molecules stand by the tree in every sampled frame."""
        tree = Forest.span(len(self.sizes), self.contacts.pair[rows], self.sizes)
        atoms = _oriented(tree, self.contacts.pair[rows], self.anchors(rows)[0])
        out = np.zeros((len(self.x), len(self.sizes), 3))
        for t, x in enumerate(self.x):
            vector = x[atoms[:, 1]] - x[atoms[:, 0]]
            frame = np.full(len(vector), t)
            image = self.cells.nearest(vector, frame)
            moved = np.flatnonzero((image != 0.0).any(axis=1))
            if len(moved):
                _, node, total = tree.spread(frame[moved] * 0, tree.children[moved], image[moved])
                out[t, node] = total
        return out

    def images(self, rows: Int64) -> Float64:
        """Return the image (C, 3) of each contact in an arrangement: 0 where it is in contact."""
        c, gauge = self.contacts, self.gauge(rows)
        return np.asarray(c.image + gauge[c.frame, c.pair[:, 0]] - gauge[c.frame, c.pair[:, 1]])

    def met(self, rows: Int64) -> Bool:
        """Return which contacts (C,) are contacts in an arrangement, or are those of single atoms."""
        return np.asarray((self.images(rows) == 0.0).all(axis=1) | self.single)

    def closed(self, rows: Int64) -> bool:
        """Return whether an arrangement has all contacts."""
        return bool(self.met(rows).all())

    def score(self, rows: Int64) -> float:
        """Return the sum of the strengths that an arrangement has."""
        return float(self.contacts.strength[self.met(rows) & ~self.single].sum())

    def preference(self, rows: Int64) -> tuple[bool, float]:
        """Return whether a structure without a cell has an arrangement as it stands, and the score.

        Such a structure is the topology's; the score has a bonus where a frame has the arrangement as it stands.
        """
        c, n = self.contacts, len(self.sizes)
        joined = c.pair[:, 0] * n + c.pair[:, 1]
        bonus, shown = 0.0, False
        for t in np.flatnonzero((self.gauge(rows) == 0.0).all(axis=(1, 2))):
            if np.isin(joined[rows], joined[self.unimaged & (c.frame == t)]).all():
                bonus, shown = 0.25, shown or not self.cells.present[t]
        return shown, self.score(rows) * (1.0 + bonus)

    def connected(self, frame: int) -> bool:
        """Return whether what touches in one frame touches as it stands."""
        mine = (self.contacts.frame == frame) & ~self.single
        both = [mine, mine & self.unimaged]
        return len({_n_components(self.contacts.pair[kept], len(self.sizes)) for kept in both}) == 1

    def stands(self) -> Int64 | None:
        """Return the arrangement that all sampled frames have as they stand, if there is one."""
        frames = range(len(self.x))
        if not len(frames) or not all(map(self.connected, frames)):
            return None
        rows = self.tree(np.where(self.unimaged | self.single, self.contacts.strength, 0.0))
        molecules = self.sizes > 1
        return rows if not self.gauge(rows)[:, molecules].any() else None

    def from_frames(self) -> list[Int64]:
        """Return the arrangements of the frames that are connected as they stand, and what they share."""
        c = self.contacts
        rows = [self.tree(np.where(self.unimaged | self.single, c.strength, 0.0))]
        for t in filter(self.connected, range(len(self.x))):
            mine = (self.unimaged & (c.frame == t)) | self.single
            rows.append(self.tree(np.where(mine, c.strength, 0.0)))
        whole = len(self.tree(c.strength))
        return [r for r in rows if len(r) == whole]

    def rivalled(self, rows: Int64) -> bool:
        """Return whether a part of an arrangement has nearly as many contacts elsewhere.

        Every edge of the tree cuts it in two; contacts across the cut are compared with those that the two parts would
        have if one of them were moved to another image.
        """
        c = self.contacts
        tree = Forest.span(len(self.sizes), c.pair[rows], self.sizes)
        images = self.images(rows)
        strong = ~self.single
        first, second = tree.start[c.pair[strong]].T
        images, strength = images[strong], c.strength[strong]
        children = tree.children[self.sizes[tree.children] > 1][:_CUTS]
        for child in children.tolist():
            inside = [(k >= tree.start[child]) & (k < tree.stop[child]) for k in (first, second)]
            across = np.flatnonzero(inside[0] != inside[1])
            turned = np.where(inside[0][across, None], images[across], -images[across])
            kinds, place = np.unique(turned, axis=0, return_inverse=True)
            sums = np.bincount(place.ravel(), strength[across], minlength=len(kinds))
            here = (kinds == 0.0).all(axis=1)
            if (~here).any() and sums[~here].max() > RIVAL * sums[here].sum():
                return True
        return False

    def arrangement(self, rows: Int64, roots: Int64, *, as_it_stands: bool, ambiguous: bool) -> Arrangement:
        """Return an arrangement's tree with the molecules that have no contact hung on the largest molecule."""
        c = self.contacts
        apart = Forest.span(len(self.sizes), c.pair[rows], self.sizes)
        heads = np.flatnonzero(apart.parent == np.arange(len(self.sizes)))
        main = heads[self.sizes[heads].argmax()]
        others = heads[heads != main]
        edges = np.concatenate([c.pair[rows], np.column_stack([np.full(len(others), main), others])])
        atoms, reach = self.anchors(rows)
        atoms = np.concatenate([atoms, roots[edges[len(rows) :]]])
        safe = 2.0 * SAFE * (self.cells.radius.min() if len(self.cells) else np.inf)
        limits = np.r_[np.minimum(reach + MARGIN, safe), np.zeros(len(others))]
        tree = Forest.span(len(self.sizes), edges, self.sizes)
        sorting = _edge_of_child(tree, edges)
        oriented = _oriented(tree, edges, atoms)
        return Arrangement(tree, oriented, limits[sorting], as_it_stands, ambiguous, self.moved_alike(rows))

    def moved_alike(self, rows: Int64) -> Bool:
        """Return which molecules an arrangement moves, where it does so alike in all sampled frames with a cell."""
        gauge = self.gauge(rows)[self.cells.present]
        if len(gauge) < 2 or (gauge[:, self.sizes > 1] != gauge[:1, self.sizes > 1]).any():
            return np.zeros(len(self.sizes), dtype=bool)
        return np.asarray(gauge[0].any(axis=1) & (self.sizes > 1))


def _best_of(groups: Int64, value: Float64) -> Int64:
    """Return the row of the largest value of each group (rows of `groups`), in the groups' order."""
    order = np.argsort(-value, kind="stable")
    return np.asarray(order[np.unique(groups[order], axis=0, return_index=True)[1]], dtype=np.int64)


def _n_components(pairs: Int64, n: int) -> int:
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return int(scipy.sparse.csgraph.connected_components(graph, directed=False)[0])


def _edge_of_child(tree: Forest, edges: Int64) -> Int64:
    """Return which edge leads to each of `tree.children`."""
    below = np.where(tree.parent[edges[:, 1]] == edges[:, 0], edges[:, 1], edges[:, 0])
    edge = np.full(len(tree.parent), -1, dtype=np.int64)
    edge[below] = np.arange(len(edges))
    return np.asarray(edge[tree.children])


def _oriented(tree: Forest, edges: Int64, atoms: Int64) -> Int64:
    """Return the atoms (E, 2) of `tree.children`'s edges, that of the parent first."""
    edge = _edge_of_child(tree, edges)
    forward = edges[edge, 1] == tree.children
    return np.asarray(np.where(forward[:, None], atoms[edge], atoms[edge][:, ::-1]))
