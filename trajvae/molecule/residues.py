"""Find residues that are bonded into a protein or nucleic-acid chain though their names are not standard ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trajvae.molecule.elements import atom_attribute, elements_of
from trajvae.typing import AtomGroup, Bool, Float64, Floats, Int64

# reads atoms, given by indices in the universe, of one frame: positions (n, 3) in Å, and the box (6,) or None
ReadAtoms = Callable[[Int64], tuple[Floats, Float64 | None]]

# bonds that continue a chain: the atom of the chain, the element of the next residue's atom, and the longest length in
# Å
_LINKS = {"C": ("N", 2.0), "N": ("C", 2.0), "O3'": ("P", 2.2), "O3*": ("P", 2.2), "P": ("O", 2.2)}
# method of MDAnalysis' neighbour search; its other method takes gigabytes of memory where one atom is far away
SEARCH = "pkdtree"
_BONDED = 2.0  # Å; longest bond between heavy atoms of two residues


class ChainResidues(NamedTuple):
    """Hold residues beside a chain, by their indices in the universe.

    Attributes
    ----------
    added : ndarray of int64
        Residues that continue a chain.
    left_out : ndarray of int64
        Residues that are bonded to a chain but do not continue it: glycans, heme, lipid anchors.
    """

    added: Int64
    left_out: Int64


def chain_residues(
    polymer: AtomGroup, others: AtomGroup, bonds: Int64 | None, read_atoms: ReadAtoms | None
) -> ChainResidues:
    """Find residues that are bonded into the chains of a polymer.

    Parameters
    ----------
    polymer, others : AtomGroup
        Atoms of the chains' standard residues, and of the residues that may belong to a chain.
    bonds : ndarray of int64, shape (B, 2), optional
        Known bonds, by indices in the universe.
    read_atoms : callable, optional
        Reads positions, from which bonds of residues without known bonds are found; see `select_atoms`.
    """
    if not len(others):
        return ChainResidues(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    bonds = np.empty((0, 2), dtype=np.int64) if bonds is None else bonds
    universe = polymer.universe.atoms
    resindices = universe.resindices
    pairs = bonds[resindices[bonds[:, 0]] != resindices[bonds[:, 1]]]
    unbonded = others[~np.isin(others.resindices, resindices[pairs])]
    if read_atoms is not None and len(unbonded):
        pairs = np.concatenate([pairs, _near_pairs(polymer, others, unbonded, read_atoms)])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])  # from a residue of the chain to another
    continuing = resindices[pairs[_continue_chain(universe, pairs)]]
    chain, candidates = np.unique(polymer.resindices), np.unique(others.resindices)
    standard = chain
    while True:
        new = np.setdiff1d(np.intersect1d(_partners(continuing, chain), candidates), chain)
        if not len(new):
            break
        chain = np.union1d(chain, new)
    bonded = np.intersect1d(_partners(resindices[pairs], chain), candidates)
    return ChainResidues(np.setdiff1d(chain, standard), np.setdiff1d(bonded, chain))


def _partners(pairs: Int64, first: Int64) -> Int64:
    """Return the second residues of those pairs (P, 2) whose first residue is among the given ones."""
    return np.asarray(pairs[np.isin(pairs[:, 0], first), 1])


def _continue_chain(atoms: AtomGroup, pairs: Int64) -> Bool:
    """Return which pairs run from a backbone atom to an atom of the element that follows it in a chain."""
    names = atom_attribute(atoms, "names", "").astype(str)
    near, far = names[pairs[:, 0]], np.char.lstrip(names[pairs[:, 1]], "0123456789")
    out = np.zeros(len(pairs), dtype=bool)
    for name, (element, _) in _LINKS.items():
        out |= (near == name) & np.char.startswith(far, element)
    return out


def _near_pairs(polymer: AtomGroup, others: AtomGroup, unbonded: AtomGroup, read_atoms: ReadAtoms) -> Int64:
    """Return pairs (P, 2) of atoms near enough for a bond between a residue without known bonds and another residue."""
    from MDAnalysis.lib.distances import capped_distance

    heavy = unbonded[elements_of(unbonded)[0] != "H"]
    around = polymer | others
    around = around[elements_of(around)[0] != "H"]
    if not len(heavy):
        return np.empty((0, 2), dtype=np.int64)
    region = around.indices.astype(np.int64)
    positions, box = read_atoms(region)
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        return np.empty((0, 2), dtype=np.int64)
    positions = positions.astype(np.float32)
    heavy_positions = positions[np.searchsorted(region, heavy.indices)]
    reach = max(limit for _, limit in _LINKS.values())
    near, distance = capped_distance(heavy_positions, positions, reach, box=box, method=SEARCH)
    pairs = np.stack([heavy.indices[near[:, 0]], region[near[:, 1]]], axis=1).astype(np.int64)
    resindices = polymer.universe.atoms.resindices
    phosphate = np.isin(atom_attribute(polymer.universe.atoms, "names", "").astype(str)[pairs], ("P",)).any(axis=1)
    bonded = (distance < np.where(phosphate, reach, _BONDED)) & (resindices[pairs[:, 0]] != resindices[pairs[:, 1]])
    return np.asarray(pairs[bonded])
