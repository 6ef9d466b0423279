"""Find contacts between molecules, directly or across the periodic boundary, in a few frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from trajvae.molecule.bond_graph import connected_components
from trajvae.periodic.lattice import Cells
from trajvae.typing import Bool, Float64, Floats, Int64

# Cutoffs in Å, by the largest number of atoms for which they are used. All atoms are searched at the first cutoff, and
# at each later one only the atoms of molecules that have no contact yet, such as beads or chains of C-alpha atoms.
CUTOFFS = {4_000: (12.0,), 20_000: (8.0, 12.0)}
CROWDED = (5.0, 6.5, 9.0, 12.0)  # cutoffs for more atoms
DECAY = 2.0  # Å; the strength of a pair of atoms is exp(-distance / DECAY)
TOUCHING = 4.0  # Å; shorter distances count as this one, so that a large interface outweighs one close pair


class Snapshot(NamedTuple):
    """Hold one sampled frame.

    Attributes
    ----------
    positions : ndarray, shape (n, 3)
        In Å.
    box : ndarray, shape (6,), or None
        Lengths in Å and angles in degrees.
    """

    positions: Floats
    box: Float64 | None


@dataclass(frozen=True, eq=False)
class Contacts:
    """Hold pairs of molecules in contact, one row for each pair, image and frame.

    Attributes
    ----------
    frame : ndarray, shape (C,)
    pair : ndarray, shape (C, 2)
        Two molecules, the lower number first.
    image : ndarray, shape (C, 3)
        Whole numbers of cell vectors that bring the second molecule to the first.
    strength : ndarray, shape (C,)
        Sum of exp(-distance / 2 Å) over pairs of atoms, those nearer than 4 Å taken as 4 Å.
    atoms : ndarray, shape (C, 2)
        The nearest pair of atoms.
    """

    frame: Int64
    pair: Int64
    image: Float64
    strength: Float64
    atoms: Int64

    def __len__(self) -> int:
        """Return the number of contacts."""
        return len(self.frame)

    def where(self, mask: Bool) -> Contacts:
        """Return the contacts for which a mask (C,) holds."""
        return Contacts(self.frame[mask], self.pair[mask], self.image[mask], self.strength[mask], self.atoms[mask])

    @classmethod
    def join(cls, parts: Sequence[Contacts]) -> Contacts:
        """Return all contacts of several tables."""
        names = ("frame", "pair", "image", "strength", "atoms")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def contact_strength(distance: Float64) -> Float64:
    """Return the strengths of contacts between pairs of atoms at some distances in Å."""
    return np.asarray(np.exp(-np.maximum(distance, TOUCHING) / DECAY))


def find_contacts(positions: Sequence[Float64], cells: Cells, molecule: Int64) -> Contacts:
    """Find which molecules touch each other.

    Parameters
    ----------
    positions : sequence of ndarray, shape (n, 3)
        One array for each frame, in Å; molecules are whole.
    cells : Cells
        Periodic cells of these frames.
    molecule : ndarray, shape (n,)
        Number of each atom's molecule.

    Returns
    -------
    Contacts
        Contacts of molecules of two atoms or more with each other and with single atoms. Two single atoms are never in
        contact, since it is unknown which image of one belongs to the other.
    """
    sizes = np.bincount(molecule)
    bonded = sizes[molecule] > 1
    contacts = _search(positions, cells, molecule, np.flatnonzero(bonded), bonded)
    single = np.flatnonzero(~bonded)
    if not len(single):
        return contacts
    return Contacts.join([contacts, _search(positions, cells, molecule, single, bonded)])


def _search(positions: Sequence[Float64], cells: Cells, molecule: Int64, atoms: Int64, bonded: Bool) -> Contacts:
    """Find contacts of some atoms with bonded atoms, at growing cutoffs until all molecules are connected."""
    parts = [_contacts_within(positions, cells, molecule, atoms[:0], atoms[:0], 1.0)]
    n = int(molecule.max()) + 1
    if bonded[atoms].all():  # contacts of the largest molecule are found from the atoms of the others
        atoms = atoms[molecule[atoms] != np.bincount(molecule).argmax()]
    targets = np.flatnonzero(bonded)
    for cutoff in next((cutoffs for most, cutoffs in CUTOFFS.items() if len(atoms) <= most), CROWDED):
        if not len(atoms):
            break
        parts.append(_contacts_within(positions, cells, molecule, atoms, targets, cutoff))
        component = connected_components(np.concatenate([part.pair for part in parts]), n)[1]
        counts = np.bincount(component[molecule[targets]], minlength=n)
        of_molecules = bonded[atoms].all()
        unconnected = component != counts.argmax() if of_molecules else np.bincount(component)[component] == 1
        atoms = atoms[unconnected[molecule[atoms]]]
    return _without_repeats(Contacts.join(parts))


def _without_repeats(contacts: Contacts) -> Contacts:
    """Keep one row for each frame, pair and image: the strongest, which was found at the largest cutoff."""
    rows = np.column_stack([contacts.frame, contacts.pair, contacts.image.astype(np.int64)])
    order = np.argsort(-contacts.strength, kind="stable")
    mask = np.zeros(len(contacts), dtype=np.bool_)
    mask[order[np.unique(rows[order], axis=0, return_index=True)[1]]] = True
    return contacts.where(mask)


def _contacts_within(
    positions: Sequence[Float64], cells: Cells, molecule: Int64, atoms: Int64, targets: Int64, cutoff: float
) -> Contacts:
    """Find the contacts of some atoms with target atoms within one cutoff, in all frames."""
    parts = []
    for t, x in enumerate(positions):
        pairs, images, distance = _atom_pairs(x, cells, t, atoms, targets, cutoff)
        parts.append(_sum_by_molecules(t, pairs, images, distance, molecule))
    return Contacts.join(parts)


def _atom_pairs(
    x: Float64, cells: Cells, t: int, atoms: Int64, targets: Int64, cutoff: float
) -> tuple[Int64, Float64, Float64]:
    """Return the pairs (P, 2) of an atom and a target within the cutoff, the target's images (P, 3), distances (P,)."""
    if not len(atoms) or not len(targets):
        return np.empty((0, 2), dtype=np.int64), np.empty((0, 3)), np.empty(0)
    basis = cells.coefficients[t, :3] @ cells.vectors[t]
    inside = -np.floor(x @ np.linalg.inv(basis)) * float(cells.present[t])
    wrapped = x + inside @ basis
    copies, steps = _copies(wrapped[targets], basis, cutoff) if cells.present[t] else _originals(len(targets))
    images_of_targets = wrapped[targets[copies]] + steps @ basis
    tree, own_tree = scipy.spatial.cKDTree(images_of_targets), scipy.spatial.cKDTree(wrapped[atoms])
    near = own_tree.sparse_distance_matrix(tree, cutoff, output_type="ndarray")
    a, b = atoms[near["i"]], targets[copies[near["j"]]]
    images = (inside[b] + steps[near["j"]] - inside[a]) @ cells.coefficients[t, :3]
    once = ~(np.isin(b, atoms) & (a > b))  # a pair whose atoms are both in `atoms` and in `targets` is found twice
    return np.column_stack([a, b])[once], images[once], near["v"][once]


def _originals(n: int) -> tuple[Int64, Float64]:
    """Return the atoms themselves as their only images: their numbers (n,), and images of zero (n, 3)."""
    return np.arange(n), np.zeros((n, 3))


def _copies(wrapped: Float64, basis: Float64, cutoff: float) -> tuple[Int64, Float64]:
    """Return the images of atoms that are within the cutoff of the cell: numbers of the atoms, and the images."""
    inverse = np.linalg.inv(basis)
    margin = cutoff * np.linalg.norm(inverse, axis=0)  # in fractional coordinates
    atom, step = _originals(len(wrapped))
    for axis in range(3):
        most = int(np.ceil(margin[axis]))
        coordinate = (wrapped[atom] @ inverse)[:, axis]  # fractional
        for k in [k for k in range(-most, most + 1) if k]:
            near = np.flatnonzero((coordinate + k > -margin[axis]) & (coordinate + k < 1.0 + margin[axis]))
            shifted = step[near].copy()
            shifted[:, axis] = k
            atom, step = np.concatenate([atom, atom[near]]), np.concatenate([step, shifted])
    return atom, step


def _sum_by_molecules(t: int, pairs: Int64, images: Float64, distance: Float64, molecule: Int64) -> Contacts:
    """Sum pairs of atoms in frame t to contacts between molecules."""
    first, second = molecule[pairs].T
    between = first != second
    pairs, images, distance = pairs[between], images[between], distance[between]
    swapped = first[between] > second[between]
    pairs = np.where(swapped[:, None], pairs[:, ::-1], pairs)
    images = np.where(swapped[:, None], -images, images)
    rows = np.column_stack([np.sort(molecule[pairs], axis=1), images.astype(np.int64)])
    group, example = _group_equal_rows(rows)
    strength = np.asarray(np.bincount(group, contact_strength(distance), minlength=len(example)), dtype=np.float64)
    nearest = np.lexsort((distance, group))
    nearest = nearest[np.unique(group[nearest], return_index=True)[1]]
    frame = np.full(len(example), t, dtype=np.int64)
    return Contacts(frame, rows[example, :2], images[example], strength, pairs[nearest])


def _group_equal_rows(rows: Int64) -> tuple[Int64, Int64]:
    """Group equal rows: return the number of the group of each row, and the number of one row of each group."""
    key = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        values, number = np.unique(column, return_inverse=True)
        key = key * len(values) + number
    _, example, group = np.unique(key, return_index=True, return_inverse=True)
    return group, example
