"""Contacts between molecules, through the periodic boundary or not, in a few frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from trajvae.periodic.lattice import Cells
from trajvae.typing import Bool, Float64, Floats, Int64

CUTOFFS = {4_000: (12.0,), 20_000: (8.0, 12.0)}  # Å, by the number of atoms that are looked at; the first is searched
CROWDED = (5.0, 6.5, 9.0, 12.0)  # for all of them, the later ones for what stays apart: beads, or chains of C-alphas
DECAY = 2.0  # Å; a pair of atoms counts exp(-distance / DECAY),
TOUCHING = 4.0  # Å; but nearer pairs no more than those, so that a large interface outweighs one close pair


class Sample(NamedTuple):
    """One frame to plan with: `positions` (n, 3) in Å, and `box` (6,), lengths in Å and angles in degrees, or None."""

    positions: Floats
    box: Float64 | None


@dataclass(frozen=True, eq=False)
class Contacts:
    """Pairs of molecules in contact, one row for a pair, an image and a frame.

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

    def where(self, kept: Bool) -> Contacts:
        """Return some of the contacts."""
        return Contacts(self.frame[kept], self.pair[kept], self.image[kept], self.strength[kept], self.atoms[kept])

    @classmethod
    def join(cls, parts: Sequence[Contacts]) -> Contacts:
        """Return all contacts of several tables."""
        names = ("frame", "pair", "image", "strength", "atoms")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def strength_of(distance: Float64) -> Float64:
    """Return what pairs of atoms at some distances in Å count as contacts."""
    return np.asarray(np.exp(-np.maximum(distance, TOUCHING) / DECAY))


def find_contacts(positions: Sequence[Float64], cells: Cells, molecule: Int64) -> Contacts:
    """Find which molecules touch each other.

    Parameters
    ----------
    positions : sequence of ndarray, shape (n, 3)
        One array a frame, in Å; molecules are whole.
    cells : Cells
        Of these frames.
    molecule : ndarray, shape (n,)
        Number of each atom's molecule.

    Returns
    -------
    Contacts
        Those of molecules of two atoms or more with each other and with single atoms. Two single atoms are never in
        contact: nothing says which image of an atom another atom belongs to.
    """
    sizes = np.bincount(molecule)
    bonded = sizes[molecule] > 1
    found = _grow(positions, cells, molecule, np.flatnonzero(bonded), bonded)
    alone = np.flatnonzero(~bonded)
    if not len(alone):
        return found
    return Contacts.join([found, _grow(positions, cells, molecule, alone, bonded)])


def _grow(positions: Sequence[Float64], cells: Cells, molecule: Int64, asked: Int64, bonded: Bool) -> Contacts:
    """Look for contacts of `asked` atoms with bonded ones at growing distance, until all are connected."""
    found, n = [_between(positions, cells, molecule, asked[:0], asked[:0], 1.0)], int(molecule.max()) + 1
    if bonded[asked].all():  # the largest molecule is found from the others
        asked = asked[molecule[asked] != np.bincount(molecule).argmax()]
    targets = np.flatnonzero(bonded)
    for cutoff in next((cutoffs for most, cutoffs in CUTOFFS.items() if len(asked) <= most), CROWDED):
        if not len(asked):
            break
        found.append(_between(positions, cells, molecule, asked, targets, cutoff))
        first, second = np.concatenate([part.pair for part in found]).T
        graph = scipy.sparse.coo_array((np.ones(len(first)), (first, second)), shape=(n, n))
        component = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
        counts = np.bincount(component[molecule[targets]], minlength=n)
        alone = bonded[asked].all()
        apart = component != counts.argmax() if alone else np.bincount(component)[component] == 1
        asked = asked[apart[molecule[asked]]]
    return _once(Contacts.join(found))


def _once(contacts: Contacts) -> Contacts:
    """Keep the strongest of the rows of one frame, pair and image: it was found at the largest cutoff."""
    rows = np.column_stack([contacts.frame, contacts.pair, contacts.image.astype(np.int64)])
    order = np.argsort(-contacts.strength, kind="stable")
    kept = np.zeros(len(contacts), dtype=np.bool_)
    kept[order[np.unique(rows[order], axis=0, return_index=True)[1]]] = True
    return contacts.where(kept)


def _between(
    positions: Sequence[Float64], cells: Cells, molecule: Int64, asked: Int64, targets: Int64, cutoff: float
) -> Contacts:
    """Find contacts in all frames at one cutoff."""
    parts = []
    for t, x in enumerate(positions):
        pairs, images, distance = _near(x, cells, t, asked, targets, cutoff)
        parts.append(_summed(t, pairs, images, distance, molecule))
    return Contacts.join(parts)


def _near(
    x: Float64, cells: Cells, t: int, asked: Int64, targets: Int64, cutoff: float
) -> tuple[Int64, Float64, Float64]:
    """Return pairs (P, 2) of one asked atom and one target, images (P, 3) of the target, and distances (P,)."""
    if not len(asked) or not len(targets):
        return np.empty((0, 2), dtype=np.int64), np.empty((0, 3)), np.empty(0)
    basis = cells.coefficients[t, :3] @ cells.vectors[t]
    inside = -np.floor(x @ np.linalg.inv(basis)) * float(cells.present[t])
    wrapped = x + inside @ basis
    copies, steps = _copies(wrapped[targets], basis, cutoff) if cells.present[t] else _itself(len(targets))
    there = wrapped[targets[copies]] + steps @ basis
    tree, asking = scipy.spatial.cKDTree(there), scipy.spatial.cKDTree(wrapped[asked])
    near = asking.sparse_distance_matrix(tree, cutoff, output_type="ndarray")
    a, b = asked[near["i"]], targets[copies[near["j"]]]
    images = (inside[b] + steps[near["j"]] - inside[a]) @ cells.coefficients[t, :3]
    once = ~(np.isin(b, asked) & (a > b))  # two atoms that both are asked for find each other
    return np.column_stack([a, b])[once], images[once], near["v"][once]


def _itself(n: int) -> tuple[Int64, Float64]:
    return np.arange(n), np.zeros((n, 3))


def _copies(wrapped: Float64, basis: Float64, cutoff: float) -> tuple[Int64, Float64]:
    """Return the images of atoms in the cell that are within the cutoff of it: which atom, and which image."""
    inverse = np.linalg.inv(basis)
    margin = cutoff * np.linalg.norm(inverse, axis=0)  # in fractional coordinates
    atom, step = _itself(len(wrapped))
    for axis in range(3):
        most = int(np.ceil(margin[axis]))
        place = (wrapped[atom] @ inverse)[:, axis]
        for k in [k for k in range(-most, most + 1) if k]:
            near = np.flatnonzero((place + k > -margin[axis]) & (place + k < 1.0 + margin[axis]))
            moved = step[near].copy()
            moved[:, axis] = k
            atom, step = np.concatenate([atom, atom[near]]), np.concatenate([step, moved])
    return atom, step


def _summed(t: int, pairs: Int64, images: Float64, distance: Float64, molecule: Int64) -> Contacts:
    """Sum pairs of atoms to contacts of molecules."""
    first, second = molecule[pairs].T
    other = first != second
    pairs, images, distance, first, second = pairs[other], images[other], distance[other], first[other], second[other]
    turned = first > second
    pairs = np.where(turned[:, None], pairs[:, ::-1], pairs)
    images = np.where(turned[:, None], -images, images)
    rows = np.column_stack([np.sort(molecule[pairs], axis=1), images.astype(np.int64)])
    place, example = _groups(rows)
    strength = np.asarray(np.bincount(place, strength_of(distance), minlength=len(example)), dtype=np.float64)
    nearest = np.lexsort((distance, place))
    nearest = nearest[np.unique(place[nearest], return_index=True)[1]]
    frame = np.full(len(example), t, dtype=np.int64)
    return Contacts(frame, rows[example, :2], images[example], strength, pairs[nearest])


def _groups(rows: Int64) -> tuple[Int64, Int64]:
    """Return the number of the group of equal rows that each row belongs to, and one row of each group."""
    key = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        values, place = np.unique(column, return_inverse=True)
        key = key * len(values) + place
    _, example, place = np.unique(key, return_index=True, return_inverse=True)
    return place, example
