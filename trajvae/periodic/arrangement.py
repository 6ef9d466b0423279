"""Decide from contacts in a few frames beside which other molecule, at which image, each molecule is placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajvae.periodic.contact_table import ContactTable, edge_of_child, orient_atoms
from trajvae.periodic.contacts import Contacts
from trajvae.periodic.lattice import Cells
from trajvae.periodic.spanning_trees import Forest
from trajvae.typing import Bool, Float64, Int64

MARGIN = 2.0  # Å by which anchors may be farther apart than in any sampled frame and still count as in contact
SAFE = 0.45  # of the shortest lattice vector: a longer vector between anchors has another image that is nearly as short
# A file whose molecules are connected without images is left as it is if its own arrangement has at least this fraction
# of the contact strength that the strongest arrangement has.
TRUST = 0.1


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Hold a tree of molecules, by which each is placed beside its parent, and the atoms that decide its image.

    Attributes
    ----------
    tree : Forest
        A single tree of all molecules; molecules without contacts are children of the largest molecule.
    anchors : ndarray, shape (E, 2)
        For every molecule of `tree.children`, an atom of its parent and an atom of itself.
    limits : ndarray, shape (E,)
        Distance of the anchors in Å up to which the molecules are in contact; 0 for molecules without contacts.
    as_it_stands : bool
        Whether the sampled frames show the arrangement without images.
    ambiguous : bool
        Whether another arrangement has nearly as many contacts.
    moved : ndarray of bool, shape (M,)
        Molecules that are moved by the same image in all sampled frames; none where fewer than two frames have a cell.
    """

    tree: Forest
    anchors: Int64
    limits: Float64
    as_it_stands: bool
    ambiguous: bool
    moved: Bool


def arrange(positions: Sequence[Float64], cells: Cells, sizes: Int64, contacts: Contacts, roots: Int64) -> Arrangement:
    """Choose beside which other molecule each molecule is placed.

    Parameters
    ----------
    positions : sequence of ndarray, shape (n, 3)
        The sampled frames with whole molecules, in Å.
    cells : Cells
        Periodic cells of these frames.
    sizes : ndarray, shape (M,)
        Number of atoms of each molecule.
    contacts : Contacts
    roots : ndarray, shape (M,)
        The atom that stands for a molecule without contacts.

    Notes ----- A maximum spanning tree of the contacts is the arrangement if all contacts exist in it. Where contacts
    close a loop around the cell, no arrangement has all of them; then an arrangement that the frames show without
    images is preferred if its contacts are about as strong.
    """
    table = ContactTable(contacts, sizes, positions, cells)
    tree = table.spanning_tree(table.contacts.strength)
    unimaged = table.unimaged_arrangement()
    if table.all_satisfied(tree):
        return _make_arrangement(table, tree, roots, as_it_stands=unimaged is not None, ambiguous=False)
    if unimaged is not None and table.score(unimaged) >= TRUST * table.score(tree):
        return _make_arrangement(table, unimaged, roots, as_it_stands=True, ambiguous=table.has_rival(unimaged))
    best = max([tree, *table.candidates()], key=table.preference)
    ambiguous = unimaged is not None or table.has_rival(best)
    return _make_arrangement(table, best, roots, as_it_stands=False, ambiguous=ambiguous)


def _make_arrangement(
    table: ContactTable, rows: Int64, roots: Int64, *, as_it_stands: bool, ambiguous: bool
) -> Arrangement:
    """Return the arrangement of some rows of the table.

    Molecules without contacts become children of the largest molecule.
    """
    contacts, sizes, cells = table.contacts, table.sizes, table.cells
    separate = Forest.span(len(sizes), contacts.pair[rows], sizes)
    heads = np.flatnonzero(separate.parent == np.arange(len(sizes)))
    largest = heads[sizes[heads].argmax()]
    others = heads[heads != largest]
    edges = np.concatenate([contacts.pair[rows], np.column_stack([np.full(len(others), largest), others])])
    atoms, reach = table.anchors(rows)
    atoms = np.concatenate([atoms, roots[edges[len(rows) :]]])
    safe = 2.0 * SAFE * (cells.radius.min() if len(cells) else np.inf)
    limits = np.r_[np.minimum(reach + MARGIN, safe), np.zeros(len(others))]
    tree = Forest.span(len(sizes), edges, sizes)
    return Arrangement(
        tree,
        orient_atoms(tree, edges, atoms),
        limits[edge_of_child(tree, edges)],
        as_it_stands,
        ambiguous,
        table.moved_alike(rows),
    )
