"""Find the bonds of the selected molecules: from the topology, completed by distance, guessed, or from another file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.molecule.bond_graph import connected_components
from trajvae.molecule.elements import atom_attribute, elements_of
from trajvae.molecule.from_mdanalysis import bonds_of, has_names
from trajvae.molecule.residues import SEARCH
from trajvae.readers.sampled_frames import SampledFrame
from trajvae.runtime.system import is_readable
from trajvae.typing import AtomGroup, Bool, Float64, Int64, Text

NO_BONDS: Int64 = np.empty((0, 2), dtype=np.int64)
# MDAnalysis' limits of a guessed bond: the longest, relative to the sum of two van der Waals radii, and the shortest in
# Å
_LONGEST, _SHORTEST = 0.55, 0.1
_GUESSED_ATOMS = 10_000  # most atoms times frames in which bonds are guessed; at least three frames are used
# bonds between residues, by the names of their atoms: of peptides and of nucleic acids
_LINKS = (("C", "N"), ("O3'", "P"))


class Bonds:
    """Hold bonds between atoms of a universe.

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
        """Return the bonds between two of some atoms, by the places of the atoms among these.

        Parameters
        ----------
        indices : ndarray of int64, shape (n,)
            Indices of the atoms, ascending.
        n_atoms : int
            Number of atoms of the universe.
        """
        number = np.full(n_atoms, -1, dtype=np.int64)
        number[indices] = np.arange(len(indices))
        local = number[self.pairs]
        inside = (local >= 0).all(axis=1)
        out = Bonds(NO_BONDS)
        out.pairs, out.guessed = local[inside], self.guessed[inside]
        return out


def _as_numbers(pairs: Int64) -> Int64:
    """Return one number for each pair of indices (B, 2), in the order of the pairs."""
    return np.asarray(pairs[:, 0] * np.int64(2**31) + pairs[:, 1])


def molecules_of(atoms: AtomGroup, pairs: Int64) -> Int64:
    """Return the indices, ascending, of all atoms in the molecules of an AtomGroup, given the bonds (B, 2)."""
    label = connected_components(pairs, len(atoms.universe.atoms))[1]
    return np.asarray(np.flatnonzero(np.isin(label, label[atoms.indices])), dtype=np.int64)


def known_bonds(atoms: AtomGroup, choice: str | Path | None) -> Int64:
    """Return the bonds (B, 2) that are known before any frame is read: of the topology, or of another topology file.

    Parameters
    ----------
    atoms : AtomGroup
        Atoms of the universe whose bonds are returned.
    choice : {"none", "guess"} or path, optional
        See `Reading`.

    Raises
    ------
    ReadError
        The file does not exist, cannot be read, has another number of atoms, or has no bonds.
    """
    if choice in ("none", "guess"):
        return NO_BONDS
    if choice is None:
        return bonds_of(atoms.universe)
    from trajvae.readers.opening import open_topology

    if not is_readable(choice):
        raise ReadError(f"no file of bonds '{choice}': give a topology file with bonds, or one of none, guess")
    other = open_topology(choice)
    expected, n_atoms = len(atoms.universe.atoms), len(other.atoms)
    if n_atoms != expected:
        raise ReadError(f"'{choice}' has {n_atoms} atoms, the trajectory {expected}: its bonds are of another system")
    pairs = bonds_of(other)
    if not len(pairs):
        raise ReadError(f"'{choice}' has no bonds: give a topology with bonds, or --bonds guess")
    return pairs


def complete_bonds(
    near: AtomGroup, known: Int64, read_frames: Callable[[], Sequence[SampledFrame]], choice: str | Path | None
) -> Bonds:
    """Add guessed bonds where the atoms of a residue are not connected, and between neighbouring residues.

    PDB files often hold only the bonds of hetero atoms. A bond is guessed if MDAnalysis guesses it from distances in at
    least half of some frames, since in a single frame two atoms may be near by chance.

    Parameters
    ----------
    near : AtomGroup
        All atoms of the residues of selected atoms.
    known : ndarray of int64, shape (B, 2)
        See `known_bonds`.
    read_frames : callable
        Returns frames of the atoms `near`; called only where bonds are missing.
    choice : {"none", "guess"} or path, optional
        See `Reading`.
    """
    if choice == "none" or not has_names(near):
        return Bonds(known)
    elements, names = elements_of(near)[0], atom_attribute(near, "names", "").astype(str)
    bonds = Bonds(known)
    inner = bonds.within(near.indices, len(near.universe.atoms)).pairs
    residue = np.unique(near.resindices, return_inverse=True)[1]
    all_atoms = np.ones(len(near), dtype=bool)
    incomplete = all_atoms if choice == "guess" else _in_unconnected_residues(residue, inner, elements)
    if not incomplete.any() and not _lacks_links(near, residue, inner, names):
        return bonds
    samples = read_frames()
    if not samples or samples[0].positions.shape[1] != 3:
        return bonds
    guessed = guess_bonds(elements, samples)
    needed = incomplete[guessed].any(axis=1) | _is_link(names, guessed)
    return Bonds(known, near.indices[guessed[needed]].astype(np.int64))


def _in_unconnected_residues(residue: Int64, inner: Int64, elements: Text) -> Bool:
    """Return which atoms belong to a residue whose atoms are not all connected by bonds.

    Atoms without an element are not counted: they are beads or virtual sites, which need no bonds.
    """
    inner = inner[residue[inner[:, 0]] == residue[inner[:, 1]]]
    count, label = connected_components(inner, len(residue))
    if count == residue.max() + 1:
        return np.zeros(len(residue), dtype=bool)
    real = elements != ""
    parts = np.unique(np.stack([residue[real], label[real]]), axis=1)[0]
    return np.asarray(np.isin(residue, np.flatnonzero(np.bincount(parts, minlength=residue.max() + 1) > 1)))


def _lacks_links(near: AtomGroup, residue: Int64, inner: Int64, names: Text) -> bool:
    """Return whether any two consecutive residues of a chain have the two atoms of a link but no bond between them."""
    resids, segments = atom_attribute(near.residues, "resids", 0), atom_attribute(near.residues, "segindices", 0)
    consecutive = np.flatnonzero((np.diff(resids) == 1) & (np.diff(segments) == 0))
    for first, second in _LINKS:
        atom = np.full((2, len(resids)), -1)  # the atom of either name in each residue
        for row, name in zip(atom, (first, second), strict=True):
            row[residue[names == name]] = np.flatnonzero(names == name)
        pairs = np.stack([atom[0, consecutive], atom[1, consecutive + 1]], axis=1)
        pairs = np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1)
        if not np.isin(_as_numbers(pairs), _as_numbers(inner)).all():
            return True
    return False


def _is_link(names: Text, pairs: Int64) -> Bool:
    """Return which pairs of atoms have the names of the two atoms that link residues of a chain."""
    a, b = np.sort(names[pairs], axis=1).T if len(pairs) else (names[:0], names[:0])
    return np.asarray(np.logical_or.reduce([(a == first) & (b == second) for first, second in _LINKS]))


def guess_bonds(elements: Text, samples: Sequence[SampledFrame]) -> Int64:
    """Guess bonds from distances in at least half of some frames, by the rule and the radii of MDAnalysis.

    Two atoms are bonded where they are nearer than 0.55 times the sum of their van der Waals radii, also across the
    periodic boundary. (`MDAnalysis.guesser` compares pair by pair in Python, which takes ten times as long.)

    Parameters
    ----------
    elements : ndarray of str, shape (n,)
        Atoms without one (coarse-grained beads, virtual sites), or without a known radius, get no bond.
    samples : sequence of SampledFrame
        Frames of these atoms.

    Returns
    -------
    ndarray of int64, shape (B, 2)
    """
    from MDAnalysis.guesser.tables import vdwradii

    different, number = np.unique(np.char.upper(elements), return_inverse=True)
    radius = np.array([vdwradii.get(element, 0.0) for element in different.tolist()])[number]
    real = np.flatnonzero(radius > 0.0)
    if len(real) < 2:
        return NO_BONDS
    step = -(-len(samples) * len(real) // max(_GUESSED_ATOMS, 3 * len(real)))
    used = samples[::step]
    guesses = [_guess_in_frame(radius[real], sample.with_atoms(real)) for sample in used]
    pairs, count = np.unique(np.concatenate(guesses), axis=0, return_counts=True)
    return np.asarray(real[pairs[2 * count >= len(used)]], dtype=np.int64)


def _guess_in_frame(radius: Float64, sample: SampledFrame) -> Int64:
    """Guess bonds (B, 2) in one frame from the radii of its atoms in Å."""
    from MDAnalysis.lib.distances import self_capped_distance

    box = None if sample.box is None else sample.box.astype(np.float32)
    x, reach = sample.positions.astype(np.float32), 2.0 * _LONGEST * float(radius.max())
    pairs, distance = self_capped_distance(x, max_cutoff=reach, min_cutoff=_SHORTEST, box=box, method=SEARCH)
    bonds = pairs[distance < _LONGEST * radius[pairs].sum(axis=1)]
    return np.sort(np.asarray(bonds, dtype=np.int64).reshape(-1, 2), axis=1)
