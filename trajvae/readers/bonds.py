"""Bonds of the selected molecules: from the topology, completed by distance, guessed, or from another file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from trajvae.errors import ReadError
from trajvae.molecule.elements import attribute, elements_of
from trajvae.molecule.from_mdanalysis import bonds_of, has_names
from trajvae.molecule.residues import SEARCH
from trajvae.readers.samples import Sample
from trajvae.runtime.system import is_readable
from trajvae.typing import Bool, Float64, Int64, Text

NO_BONDS: Int64 = np.empty((0, 2), dtype=np.int64)
_NEARER, _FARTHER = 0.55, 0.1  # of the sum of two radii, and Å: MDAnalysis' limits of a guessed bond
_GUESSED_ATOMS = 10_000  # atoms times frames that are looked at, but for three frames of any number of atoms
# bonds between residues, by the names of their atoms: of peptides and of nucleic acids
_LINKS = (("C", "N"), ("O3'", "P"))


class Bonds:
    """Bonds between atoms of a universe.

    Attributes
    ----------
    pairs : ndarray of int64, shape (B, 2)
        Indices in the universe; the smaller first, each pair once.
    guessed : ndarray of bool, shape (B,)
        Whether a bond was guessed from distances.
    """

    def __init__(self, known: Int64, guessed: Int64 = NO_BONDS) -> None:
        pairs = np.sort(np.concatenate([known, guessed]), axis=1)
        first = np.unique(_as_numbers(pairs), return_index=True)[1]
        first = first[pairs[first, 0] != pairs[first, 1]]  # some files bond an atom with itself
        self.pairs, self.guessed = pairs[first], np.asarray(first >= len(known))

    def within(self, indices: Int64, n_atoms: int) -> Bonds:
        """Return the bonds that join two of the atoms, by their places among `indices`, which are sorted."""
        place = np.full(n_atoms, -1, dtype=np.int64)
        place[indices] = np.arange(len(indices))
        local = place[self.pairs]
        inside = (local >= 0).all(axis=1)
        out = Bonds(NO_BONDS)
        out.pairs, out.guessed = local[inside], self.guessed[inside]
        return out


def _as_numbers(pairs: Int64) -> Int64:
    """Return one number for each pair of indices (B, 2), in the order of the pairs."""
    return np.asarray(pairs[:, 0] * np.int64(2**31) + pairs[:, 1])


def molecules_of(atoms: Any, pairs: Int64) -> Int64:
    """Return the sorted indices of all atoms that bonds connect with those of an AtomGroup."""
    n = len(atoms.universe.atoms)
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    label = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.asarray(np.flatnonzero(np.isin(label, label[atoms.indices])), dtype=np.int64)


def known_bonds(atoms: Any, choice: str | Path | None) -> Int64:
    """Return the bonds that are known before any frame is read, (B, 2): of the topology, or of a file of bonds.

    Parameters
    ----------
    atoms : AtomGroup
        Of the universe that the bonds are of.
    choice : {"none", "guess"} or path, optional
        See `Reading`.

    Raises
    ------
    ReadError
        There is no such file, it cannot be read, has another number of atoms, or has no bonds.
    """
    if choice in ("none", "guess"):
        return NO_BONDS
    if choice is None:
        return bonds_of(atoms.universe)
    from trajvae.readers.opening import open_topology

    if not is_readable(choice):
        raise ReadError(f"no file of bonds '{choice}': give a topology file with bonds, or one of none, guess")
    other = open_topology(choice)
    wanted, found = len(atoms.universe.atoms), len(other.atoms)
    if found != wanted:
        raise ReadError(f"'{choice}' has {found} atoms, the trajectory {wanted}: its bonds are of another system")
    pairs = bonds_of(other)
    if not len(pairs):
        raise ReadError(f"'{choice}' has no bonds: give a topology with bonds, or --bonds guess")
    return pairs


def complete_bonds(near: Any, known: Int64, look: Callable[[], Sequence[Sample]], choice: str | Path | None) -> Bonds:
    """Add guessed bonds where the atoms of a residue are not connected, and between neighbouring residues.

    PDB files often hold the bonds of hetero atoms alone. A guessed bond is one that MDAnalysis guesses from distances
    in at least half of the frames looked at: that of one frame may be a close contact, or may open in the next.

    Parameters
    ----------
    near : AtomGroup
        Whole residues.
    known : ndarray of int64, shape (B, 2)
        See `known_bonds`.
    look : callable
        Gives frames of the atoms `near`; called only where bonds are missing.
    choice : {"none", "guess"} or path, optional
        See `Reading`.
    """
    if choice == "none" or not has_names(near):
        return Bonds(known)
    elements, names = elements_of(near)[0], attribute(near, "names", "").astype(str)
    bonds = Bonds(known)
    inner = bonds.within(near.indices, len(near.universe.atoms)).pairs
    residue = np.unique(near.resindices, return_inverse=True)[1]
    every = np.ones(len(near), dtype=bool)
    incomplete = every if choice == "guess" else _in_unconnected_residues(residue, inner, elements)
    if not incomplete.any() and not _lacks_links(near, residue, inner, names):
        return bonds
    samples = look()
    if not samples or samples[0].positions.shape[1] != 3:
        return bonds
    found = guess_bonds(elements, samples)
    wanted = incomplete[found].any(axis=1) | _is_link(names, found)
    return Bonds(known, near.indices[found[wanted]].astype(np.int64))


def _in_unconnected_residues(residue: Int64, inner: Int64, elements: Text) -> Bool:
    """Return which atoms belong to a residue whose atoms are not all connected; atoms without an element do not count.

    Beads and virtual sites have no element, and need no bonds.
    """
    inner = inner[residue[inner[:, 0]] == residue[inner[:, 1]]]
    graph = scipy.sparse.coo_array((np.ones(len(inner)), (inner[:, 0], inner[:, 1])), shape=(len(residue),) * 2)
    count, label = scipy.sparse.csgraph.connected_components(graph, directed=False)
    if count == residue.max() + 1:
        return np.zeros(len(residue), dtype=bool)
    real = elements != ""
    parts = np.unique(np.stack([residue[real], label[real]]), axis=1)[0]
    return np.asarray(np.isin(residue, np.flatnonzero(np.bincount(parts, minlength=residue.max() + 1) > 1)))


def _lacks_links(near: Any, residue: Int64, inner: Int64, names: Text) -> bool:
    """Tell whether two residues that follow each other in a chain have the atoms of a link and no such bond."""
    resids, segments = attribute(near.residues, "resids", 0), attribute(near.residues, "segindices", 0)
    next_to = np.flatnonzero((np.diff(resids) == 1) & (np.diff(segments) == 0))
    for first, second in _LINKS:
        place = np.full((2, len(resids)), -1)
        for row, name in zip(place, (first, second), strict=True):
            row[residue[names == name]] = np.flatnonzero(names == name)
        pairs = np.stack([place[0, next_to], place[1, next_to + 1]], axis=1)
        pairs = np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1)
        if not np.isin(_as_numbers(pairs), _as_numbers(inner)).all():
            return True
    return False


def _is_link(names: Text, pairs: Int64) -> Bool:
    """Return which pairs of atoms are named as the atoms that join two residues of a chain."""
    a, b = np.sort(names[pairs], axis=1).T if len(pairs) else (names[:0], names[:0])
    return np.asarray(np.logical_or.reduce([(a == first) & (b == second) for first, second in _LINKS]))


def guess_bonds(elements: Text, samples: Sequence[Sample]) -> Int64:
    """Guess bonds from distances in at least half of some frames, by the rule and the radii of MDAnalysis.

    Two atoms are bonded where they are nearer than 0.55 times the sum of their van der Waals radii, over the periodic
    boundary too. (`MDAnalysis.guesser` compares pair by pair in Python, which takes ten times as long.)

    Parameters
    ----------
    elements : ndarray of str, shape (n,)
        Atoms without one (coarse-grained beads, virtual sites), or without a known radius, get no bond.
    samples : sequence of Sample
        Frames of these atoms.

    Returns
    -------
    ndarray of int64, shape (B, 2)
    """
    from MDAnalysis.guesser.tables import vdwradii

    kinds, place = np.unique(np.char.upper(elements), return_inverse=True)
    radius = np.array([vdwradii.get(kind, 0.0) for kind in kinds.tolist()])[place]
    real = np.flatnonzero(radius > 0.0)
    if len(real) < 2:
        return NO_BONDS
    step = -(-len(samples) * len(real) // max(_GUESSED_ATOMS, 3 * len(real)))
    some = samples[::step]
    each = [_guess_in_frame(radius[real], sample.of(real)) for sample in some]
    pairs, count = np.unique(np.concatenate(each), axis=0, return_counts=True)
    return np.asarray(real[pairs[2 * count >= len(some)]], dtype=np.int64)


def _guess_in_frame(radius: Float64, sample: Sample) -> Int64:
    from MDAnalysis.lib.distances import self_capped_distance

    box = None if sample.box is None else sample.box.astype(np.float32)
    x, reach = sample.positions.astype(np.float32), 2.0 * _NEARER * float(radius.max())
    pairs, distance = self_capped_distance(x, max_cutoff=reach, min_cutoff=_FARTHER, box=box, method=SEARCH)
    found = pairs[distance < _NEARER * radius[pairs].sum(axis=1)]
    return np.sort(np.asarray(found, dtype=np.int64).reshape(-1, 2), axis=1)
