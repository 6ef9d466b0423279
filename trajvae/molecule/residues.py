"""Residues that belong to a protein or nucleic-acid chain though their names are not those of standard residues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trajvae.molecule.elements import attribute, elements_of
from trajvae.typing import Bool, Float64, Floats, Int64

Look = Callable[[Int64], tuple[Floats, Float64 | None]]

# the polymer's atom and the element of the other residue's atom in a bond that continues a chain, and its limit in Å
_LINKS = {"C": ("N", 2.0), "N": ("C", 2.0), "O3'": ("P", 2.2), "O3*": ("P", 2.2), "P": ("O", 2.2)}
SEARCH = "pkdtree"  # MDAnalysis' grids take memory with the volume: gigabytes where one atom is far away
_BONDED = 2.0  # Å; between heavy atoms of two residues


class ChainResidues(NamedTuple):
    """Residues by their indices in the universe.

    Attributes
    ----------
    added : ndarray of int64
        Those that continue a chain.
    left_out : ndarray of int64
        Those that are bonded to a chain, but not as a part of it: glycans, heme, lipid anchors.
    """

    added: Int64
    left_out: Int64


def chain_residues(atoms: Any, polymer: Any, others: Any, bonds: Int64 | None, look: Look | None) -> ChainResidues:
    """Find residues that are bonded into the chains of a polymer.

    Parameters
    ----------
    atoms : AtomGroup
        All atoms that may be selected.
    polymer, others : AtomGroup
        Residues of a chain, and those that may belong to it.
    bonds : ndarray of int64, shape (B, 2), optional
        By indices in the universe.
    look : callable, optional
        See `select_atoms`.
    """
    nothing = np.empty(0, dtype=np.int64)
    if not len(others):
        return ChainResidues(nothing, nothing)
    known = np.empty((0, 2), dtype=np.int64) if bonds is None else bonds
    universe = polymer.universe.atoms
    resindices = universe.resindices
    pairs = known[resindices[known[:, 0]] != resindices[known[:, 1]]]
    loose = others[~np.isin(others.resindices, resindices[pairs])]
    if look is not None and len(loose):
        pairs = np.concatenate([pairs, _near(polymer, others, loose, look)])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])  # from a residue of the chain to another
    links = _continues(universe, pairs)
    chain, candidates = np.unique(polymer.resindices), np.unique(others.resindices)
    start = chain
    while True:
        ends = resindices[pairs[links]]
        new = np.setdiff1d(np.intersect1d(ends[np.isin(ends[:, 0], chain), 1], candidates), chain)
        if not len(new):
            break
        chain = np.union1d(chain, new)
    ends = resindices[pairs]
    touched = np.intersect1d(ends[np.isin(ends[:, 0], chain), 1], candidates)
    return ChainResidues(np.setdiff1d(chain, start), np.setdiff1d(touched, chain))


def _continues(universe: Any, pairs: Int64) -> Bool:
    """Which pairs run from a backbone atom to an atom of the element that follows it in a chain."""
    names = attribute(universe, "names", "").astype(str)
    near, far = names[pairs[:, 0]], np.char.lstrip(names[pairs[:, 1]], "0123456789")
    out = np.zeros(len(pairs), dtype=bool)
    for name, (element, _) in _LINKS.items():
        out |= (near == name) & np.char.startswith(far, element)
    return out


def _near(polymer: Any, others: Any, loose: Any, look: Look) -> Int64:
    """Pairs of atoms of two residues, one of them without known bonds to others, that are near enough for a bond."""
    from MDAnalysis.lib.distances import capped_distance

    heavy = loose[elements_of(loose)[0] != "H"]
    around = polymer | others
    around = around[elements_of(around)[0] != "H"]
    if not len(heavy):
        return np.empty((0, 2), dtype=np.int64)
    region = around.indices.astype(np.int64)
    positions, box = look(region)
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        return np.empty((0, 2), dtype=np.int64)
    positions = positions.astype(np.float32)
    own = positions[np.searchsorted(region, heavy.indices)]
    reach = max(limit for _, limit in _LINKS.values())
    found, apart = capped_distance(own, positions, reach, box=box, method=SEARCH)
    pairs = np.stack([heavy.indices[found[:, 0]], region[found[:, 1]]], axis=1).astype(np.int64)
    resindices = polymer.universe.atoms.resindices
    phosphate = np.isin(attribute(polymer.universe.atoms, "names", "").astype(str)[pairs], ("P",)).any(axis=1)
    bonded = (apart < np.where(phosphate, reach, _BONDED)) & (resindices[pairs[:, 0]] != resindices[pairs[:, 1]])
    return np.asarray(pairs[bonded])
