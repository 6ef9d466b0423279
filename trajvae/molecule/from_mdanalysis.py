"""MDAnalysis' atoms as the plain `Topology`: names, elements, masses, bonds."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from trajvae.molecule.elements import attribute, cache_elements, elements_of
from trajvae.molecule.masses import masses_of
from trajvae.molecule.pdb import write_pdb
from trajvae.molecule.selection import has_names, select_atoms
from trajvae.molecule.to_libraries import spatial, to_mdtraj, to_universe
from trajvae.topology import Topology, runs
from trajvae.typing import Int64

__all__ = ["bonds_of", "cache_bonds", "has_names", "select_atoms", "spatial", "to_mdtraj", "to_universe"]
__all__ += ["topology_of", "write_pdb"]


_kept: WeakKeyDictionary[Any, Int64] = WeakKeyDictionary()


def cache_bonds(universe: Any) -> Any:
    """Look up bonds, and elements when they are asked for, once for all where nobody will change them; gives it."""
    _kept[universe] = bonds_of(universe)
    return cache_elements(universe)


def is_kept(universe: Any) -> bool:
    """Return whether a universe is that of a topology file, which nobody changes."""
    return universe in _kept


def bonds_of(universe: Any) -> Int64:
    """The bonds that a universe's topology holds; universe indices, shape (B, 2)."""
    if universe in _kept:
        return _kept[universe]
    try:
        return np.asarray(universe.bonds.to_indices(), dtype=np.int64).reshape(-1, 2)
    except AttributeError:
        return np.empty((0, 2), dtype=np.int64)


def topology_of(atoms: Any, bonds: Int64) -> Topology:
    """The plain topology of an AtomGroup, with those of `bonds` (universe indices) that join two of its atoms."""
    if not has_names(atoms):
        return Topology.anonymous(len(atoms))
    place = np.full(len(atoms.universe.atoms), -1, dtype=np.int64)
    place[atoms.indices] = np.arange(len(atoms))
    inside = place[bonds] if len(bonds) else bonds
    if len(inside):  # some files bond an atom with itself
        inside = inside[(inside >= 0).all(axis=1) & (inside[:, 0] != inside[:, 1])]
    masses = masses_of(atoms).values
    given = attribute(atoms, "elements", "").astype(str)
    segids, chains = attribute(atoms, "segids", "").astype(str), attribute(atoms, "chainIDs", "").astype(str)
    segments = runs(atoms.segindices)
    return Topology(
        names=attribute(atoms, "names", "").astype(str),
        elements=np.where((masses == 0.0) & (given == ""), "", elements_of(atoms)[0]),
        resnames=attribute(atoms, "resnames", "").astype(str),
        segids=segids,
        resids=attribute(atoms, "resids", 1).astype(np.int64),
        masses=masses,
        bonds=np.unique(np.sort(inside, axis=1), axis=0).astype(np.int64),
        chains=np.where(chains == "", segids, chains),
        icodes=attribute(atoms, "icodes", "").astype(str),
        residues=runs(atoms.resindices, segments, chains),
        segments=segments,
        chain_indices=runs(segments, chains),
    )
