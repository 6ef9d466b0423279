"""Convert mdtraj's topologies to a `Topology`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trajvae.topology import Topology, runs

if TYPE_CHECKING:
    import mdtraj


def topology_from_mdtraj(topology: mdtraj.Topology) -> Topology:
    """Return the `Topology` of an mdtraj topology, with its chains, residues and segment identifiers.

    A chain whose residues have no segment identifier is a segment of its own, named by the chain identifier or, without
    one, by the chain's index. Virtual sites have mass 0; where mdtraj knows no element at all, every mass is 1.
    """
    atoms = list(topology.atoms)
    chains = np.array([a.residue.chain.index for a in atoms], dtype=np.int64)
    names = [a.residue.chain.chain_id or "" for a in atoms]
    segment_ids = np.array([a.residue.segment_id or "" for a in atoms], dtype=str)
    chain_ids = np.array([n or str(c) for n, c in zip(names, chains, strict=True)], dtype=str)
    has_element = [a.element is not None and bool(a.element.number) for a in atoms]
    masses = [float(a.element.mass) if known else 0.0 for a, known in zip(atoms, has_element, strict=True)]
    symbols = [a.element.symbol if known else "" for a, known in zip(atoms, has_element, strict=True)]
    segids = np.where(segment_ids == "", chain_ids, segment_ids)
    return Topology(
        names=np.array([a.name for a in atoms], dtype=str),
        elements=np.array(symbols, dtype=str),
        resnames=np.array([a.residue.name for a in atoms], dtype=str),
        segids=segids,
        resids=np.array([a.residue.resSeq for a in atoms], dtype=np.int64),
        masses=np.array(masses) if any(has_element) else np.ones(len(atoms)),
        bonds=np.array([[b[0].index, b[1].index] for b in topology.bonds], dtype=np.int64).reshape(-1, 2),
        chains=chain_ids,
        residues=runs(np.array([a.residue.index for a in atoms], dtype=np.int64)),
        segments=runs(np.where(segment_ids == "", chains, -1), segids),
        chain_indices=runs(chains),
    )
