"""Compare arrangements of molecules by the contacts between molecules in a few sampled frames.

An arrangement says beside which other molecule, and so at which periodic image, each molecule is placed. It is a tree
whose nodes are molecules and whose edges are contacts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from trajvae.molecule.bond_graph import connected_components
from trajvae.periodic.contacts import Contacts, contact_strength
from trajvae.periodic.lattice import Cells
from trajvae.periodic.spanning_trees import Forest
from trajvae.typing import Bool, Float64, Int64

STRETCH = 4.0  # Å by which two anchor atoms may be farther apart than in the frame where they are nearest
# images with at least this fraction of the contact strength between two parts make an arrangement ambiguous
RIVAL = 0.02
SINGLE_ATOM = 0.3  # weight of a single atom's contact by an image; its contacts without an image have the weight 1
_CUTS = 2000  # most edges of a tree that are tested for a rival arrangement, the weakest first


class ContactTable:
    """Hold all contacts of the sampled frames, and what is needed to compare arrangements by them.

    An arrangement is given by `rows`: the rows of the table, one for each pair of molecules, whose contacts are the
    edges of its tree.

    Parameters
    ----------
    contacts : Contacts
    sizes : ndarray, shape (M,)
        Number of atoms of each molecule.
    positions : sequence of ndarray, shape (n, 3)
        The sampled frames with whole molecules, in Å.
    cells : Cells
        Periodic cells of these frames.
    """

    def __init__(self, contacts: Contacts, sizes: Int64, positions: Sequence[Float64], cells: Cells) -> None:
        self.contacts, self.sizes, self.cells = contacts, sizes, cells
        self.positions = np.stack(positions) if len(positions) else np.empty((0, int(sizes.sum()), 3))
        self.has_single_atom = (sizes[contacts.pair] == 1).any(axis=1)
        self.unimaged = (contacts.image == 0.0).all(axis=1)

    def spanning_tree(self, strength: Float64) -> Int64:
        """Return the rows of a maximum spanning tree by the strengths (C,) of contacts, without those of strength 0.

        Pairs of molecules are compared by the sum over frames of their strongest image. Contacts of single atoms come
        last, so that no single atom connects two molecules that touch each other.
        """
        contacts, n = self.contacts, len(self.sizes)
        strength = np.where(self.has_single_atom & ~self.unimaged, SINGLE_ATOM, 1.0) * strength
        pair = self._pair_numbers()
        best = _strongest_rows(np.column_stack([contacts.frame, pair]), strength)
        best = best[strength[best] > 0.0]
        pairs, group = np.unique(pair[best], return_inverse=True)
        total = np.bincount(group.ravel(), strength[best], minlength=len(pairs))
        strongest = best[_strongest_rows(pair[best][:, None], strength[best])]
        rank = np.empty(len(pairs))
        rank[np.lexsort((-total, self.has_single_atom[strongest]))] = np.arange(1, len(pairs) + 1)
        graph = scipy.sparse.coo_array((rank, np.divmod(pairs, n)), shape=(n, n)).tocsr()
        edges = scipy.sparse.csgraph.minimum_spanning_tree(graph).tocoo()
        ranks = edges.data.astype(np.int64) - 1
        return np.asarray(strongest[np.argsort(rank)][ranks], dtype=np.int64)

    def _pair_numbers(self) -> Int64:
        """Return one number for the pair of molecules of each contact, (C,)."""
        return self.contacts.pair[:, 0] * len(self.sizes) + self.contacts.pair[:, 1]

    def anchors(self, rows: Int64) -> tuple[Int64, Float64]:
        """Return the pair of atoms (E, 2) that stands for each contact of an arrangement, and their largest distance.

        Of all nearest pairs of atoms of two molecules, the one is chosen that is near in most frames.
        """
        contacts, pair = self.contacts, self._pair_numbers()
        candidates = np.flatnonzero(np.isin(pair, pair[rows]))
        atoms = contacts.atoms[candidates]
        distance = np.zeros((len(self.positions), len(candidates)))
        for t, x in enumerate(self.positions):
            vector = x[atoms[:, 1]] - x[atoms[:, 0]]
            frame = np.full(len(candidates), t)
            vector += self.cells.shift(self.cells.nearest(vector, frame), frame)
            distance[t] = np.linalg.norm(vector, axis=1)
        closest = distance.min(axis=0, initial=np.inf)
        largest = np.where(distance <= closest + STRETCH, distance, 0.0).max(axis=0, initial=0.0)
        best = candidates[_strongest_rows(pair[candidates][:, None], contact_strength(distance).sum(axis=0))]
        edge = np.searchsorted(pair[best], pair[rows])
        return contacts.atoms[best][edge], largest[np.searchsorted(candidates, best)][edge]

    def molecule_images(self, rows: Int64) -> Float64:
        """Return the image (F, M, 3) at which an arrangement places each molecule in every sampled frame."""
        tree = Forest.span(len(self.sizes), self.contacts.pair[rows], self.sizes)
        atoms = orient_atoms(tree, self.contacts.pair[rows], self.anchors(rows)[0])
        out = np.zeros((len(self.positions), len(self.sizes), 3))
        for t, x in enumerate(self.positions):
            vector = x[atoms[:, 1]] - x[atoms[:, 0]]
            frame = np.full(len(vector), t)
            image = self.cells.nearest(vector, frame)
            moved = np.flatnonzero((image != 0.0).any(axis=1))
            if len(moved):
                _, molecule, total = tree.sum_down_trees(frame[moved] * 0, tree.children[moved], image[moved])
                out[t, molecule] = total
        return out

    def contact_images(self, rows: Int64) -> Float64:
        """Return the image (C, 3) of each contact in an arrangement: 0 where the two molecules are in contact."""
        contacts, images = self.contacts, self.molecule_images(rows)
        first, second = contacts.pair.T
        return np.asarray(contacts.image + images[contacts.frame, first] - images[contacts.frame, second])

    def satisfied(self, rows: Int64) -> Bool:
        """Return which contacts (C,) exist in an arrangement; those of single atoms always count as existing."""
        return np.asarray((self.contact_images(rows) == 0.0).all(axis=1) | self.has_single_atom)

    def all_satisfied(self, rows: Int64) -> bool:
        """Return whether all contacts exist in an arrangement."""
        return bool(self.satisfied(rows).all())

    def score(self, rows: Int64) -> float:
        """Return the sum of the strengths of the contacts that exist in an arrangement."""
        return float(self.contacts.strength[self.satisfied(rows) & ~self.has_single_atom].sum())

    def preference(self, rows: Int64) -> tuple[bool, float]:
        """Return whether a structure without a cell shows an arrangement without images, and the score.

        Such a structure is that of the topology file. The score has a bonus where any frame shows the arrangement
        without images.
        """
        pair = self._pair_numbers()
        bonus, in_structure = 0.0, False
        for t in np.flatnonzero((self.molecule_images(rows) == 0.0).all(axis=(1, 2))):
            if np.isin(pair[rows], pair[self.unimaged & (self.contacts.frame == t)]).all():
                bonus, in_structure = 0.25, in_structure or not self.cells.present[t]
        return in_structure, self.score(rows) * (1.0 + bonus)

    def is_connected(self, frame: int) -> bool:
        """Return whether the molecules that are in contact in one frame are in contact without images too."""
        in_frame = (self.contacts.frame == frame) & ~self.has_single_atom
        with_images, without = (self.contacts.pair[which] for which in (in_frame, in_frame & self.unimaged))
        n = len(self.sizes)
        return connected_components(with_images, n)[0] == connected_components(without, n)[0]

    def unimaged_arrangement(self) -> Int64 | None:
        """Return the arrangement that all sampled frames show without images, or None if they show none."""
        frames = range(len(self.positions))
        if not len(frames) or not all(map(self.is_connected, frames)):
            return None
        rows = self.spanning_tree(np.where(self.unimaged | self.has_single_atom, self.contacts.strength, 0.0))
        molecules = self.sizes > 1
        return rows if not self.molecule_images(rows)[:, molecules].any() else None

    def candidates(self) -> list[Int64]:
        """Return the arrangement by all contacts without images, and those of single frames that need no images."""
        contacts = self.contacts
        rows = [self.spanning_tree(np.where(self.unimaged | self.has_single_atom, contacts.strength, 0.0))]
        for t in filter(self.is_connected, range(len(self.positions))):
            in_frame = (self.unimaged & (contacts.frame == t)) | self.has_single_atom
            rows.append(self.spanning_tree(np.where(in_frame, contacts.strength, 0.0)))
        n_edges = len(self.spanning_tree(contacts.strength))
        return [r for r in rows if len(r) == n_edges]

    def has_rival(self, rows: Int64) -> bool:
        """Return whether a part of an arrangement would have nearly as many contacts at another image.

        Every edge of the tree cuts it in two parts; contacts across the cut are compared with those that the two parts
        would have if one of them were moved to another image.
        """
        contacts = self.contacts
        tree = Forest.span(len(self.sizes), contacts.pair[rows], self.sizes)
        images = self.contact_images(rows)
        of_molecules = ~self.has_single_atom
        first, second = tree.start[contacts.pair[of_molecules]].T
        images, strength = images[of_molecules], contacts.strength[of_molecules]
        children = tree.children[self.sizes[tree.children] > 1][:_CUTS]
        for child in children.tolist():
            below = [(node >= tree.start[child]) & (node < tree.stop[child]) for node in (first, second)]
            across = np.flatnonzero(below[0] != below[1])
            oriented = np.where(below[0][across, None], images[across], -images[across])
            different, group = np.unique(oriented, axis=0, return_inverse=True)
            sums = np.bincount(group.ravel(), strength[across], minlength=len(different))
            as_arranged = (different == 0.0).all(axis=1)
            if (~as_arranged).any() and sums[~as_arranged].max() > RIVAL * sums[as_arranged].sum():
                return True
        return False

    def moved_alike(self, rows: Int64) -> Bool:
        """Return which molecules (M,) an arrangement moves, if it moves each alike in all frames with a cell."""
        images = self.molecule_images(rows)[self.cells.present]
        if len(images) < 2 or (images[:, self.sizes > 1] != images[:1, self.sizes > 1]).any():
            return np.zeros(len(self.sizes), dtype=bool)
        return np.asarray(images[0].any(axis=1) & (self.sizes > 1))


def _strongest_rows(groups: Int64, value: Float64) -> Int64:
    """Return the row with the largest value in each group of equal rows of `groups`, in the order of the groups."""
    order = np.argsort(-value, kind="stable")
    return np.asarray(order[np.unique(groups[order], axis=0, return_index=True)[1]], dtype=np.int64)


def edge_of_child(tree: Forest, edges: Int64) -> Int64:
    """Return the number of the edge that leads to each of `tree.children` from its parent, (E,)."""
    child = np.where(tree.parent[edges[:, 1]] == edges[:, 0], edges[:, 1], edges[:, 0])
    edge = np.full(len(tree.parent), -1, dtype=np.int64)
    edge[child] = np.arange(len(edges))
    return np.asarray(edge[tree.children])


def orient_atoms(tree: Forest, edges: Int64, atoms: Int64) -> Int64:
    """Return the atoms (E, 2) of the edges to each of `tree.children`, the parent's atom first."""
    edge = edge_of_child(tree, edges)
    forward = edges[edge, 1] == tree.children
    return np.asarray(np.where(forward[:, None], atoms[edge], atoms[edge][:, ::-1]))
