"""Convert MDAnalysis' atoms to a `Topology`, with their names, elements, masses and bonds."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from trajvae.molecule.elements import atom_attribute, cache_elements, elements_of
from trajvae.molecule.masses import masses_of
from trajvae.molecule.pdb import write_pdb
from trajvae.molecule.selection import has_names, select_atoms
from trajvae.molecule.to_libraries import to_mdtraj, to_three_dimensions, to_universe
from trajvae.topology import Topology, runs
from trajvae.typing import AtomGroup, Int64, Universe

__all__ = ["bonds_of", "cache_bonds", "has_names", "select_atoms", "to_mdtraj", "to_three_dimensions", "to_universe"]
__all__ += ["topology_of", "write_pdb"]


_bonds_by_universe: WeakKeyDictionary[Universe, Int64] = WeakKeyDictionary()  # bonds of topology files


def cache_bonds(universe: Universe) -> Universe:
    """Keep the bonds of a universe that nobody changes, and its elements once found; return the universe."""
    _bonds_by_universe[universe] = bonds_of(universe)
    return cache_elements(universe)


def has_cached_bonds(universe: Universe) -> bool:
    """Return whether the bonds of a universe are cached: it is that of a topology file, which nobody changes."""
    return universe in _bonds_by_universe


def bonds_of(universe: Universe) -> Int64:
    """Return the bonds in the topology of a universe, as pairs of its atoms' indices, (B, 2)."""
    if universe in _bonds_by_universe:
        return _bonds_by_universe[universe]
    try:
        return np.asarray(universe.bonds.to_indices(), dtype=np.int64).reshape(-1, 2)
    except AttributeError:
        return np.empty((0, 2), dtype=np.int64)


def topology_of(atoms: AtomGroup, bonds: Int64) -> Topology:
    """Return the `Topology` of an AtomGroup.

    Parameters
    ----------
    atoms : AtomGroup
    bonds : ndarray of int64, shape (B, 2)
        Bonds by indices in the universe; only bonds between two atoms of the group are kept.
    """
    if not has_names(atoms):
        return Topology.anonymous(len(atoms))
    number = np.full(len(atoms.universe.atoms), -1, dtype=np.int64)
    number[atoms.indices] = np.arange(len(atoms))
    inside = number[bonds] if len(bonds) else bonds
    if len(inside):
        is_bond = (inside >= 0).all(axis=1) & (inside[:, 0] != inside[:, 1])  # some files bond an atom with itself
        inside = inside[is_bond]
    masses = masses_of(atoms).values
    given = atom_attribute(atoms, "elements", "").astype(str)
    segids, chains = atom_attribute(atoms, "segids", "").astype(str), atom_attribute(atoms, "chainIDs", "").astype(str)
    segments = runs(atoms.segindices)
    return Topology(
        names=atom_attribute(atoms, "names", "").astype(str),
        elements=np.where((masses == 0.0) & (given == ""), "", elements_of(atoms)[0]),
        resnames=atom_attribute(atoms, "resnames", "").astype(str),
        segids=segids,
        resids=atom_attribute(atoms, "resids", 1).astype(np.int64),
        masses=masses,
        bonds=np.unique(np.sort(inside, axis=1), axis=0).astype(np.int64),
        chains=np.where(chains == "", segids, chains),
        icodes=atom_attribute(atoms, "icodes", "").astype(str),
        residues=runs(atoms.resindices, segments, chains),
        segments=segments,
        chain_indices=runs(segments, chains),
    )
