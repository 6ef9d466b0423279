"""mdtraj's topologies as the plain `Topology`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trajvae.topology import Topology, runs

if TYPE_CHECKING:
    import mdtraj


def topology_from_mdtraj(topology: mdtraj.Topology) -> Topology:
    """Return the plain topology of mdtraj's, with its chains, residues and segment identifiers.

    A chain whose residues have no segment identifier is a segment of its own, named by the chain identifier or, without
    one, by the chain's index. Virtual sites have mass 0; where mdtraj knows no element at all, every mass is 1.
    """
    atoms = list(topology.atoms)
    chains = np.array([a.residue.chain.index for a in atoms], dtype=np.int64)
    names = [a.residue.chain.chain_id or "" for a in atoms]
    given = np.array([a.residue.segment_id or "" for a in atoms], dtype=str)
    spare = np.array([n or str(c) for n, c in zip(names, chains, strict=True)], dtype=str)
    known = [a.element is not None and bool(a.element.number) for a in atoms]
    masses = [float(a.element.mass) if k else 0.0 for a, k in zip(atoms, known, strict=True)]
    segids = np.where(given == "", spare, given)
    return Topology(
        names=np.array([a.name for a in atoms], dtype=str),
        elements=np.array([a.element.symbol if k else "" for a, k in zip(atoms, known, strict=True)], dtype=str),
        resnames=np.array([a.residue.name for a in atoms], dtype=str),
        segids=segids,
        resids=np.array([a.residue.resSeq for a in atoms], dtype=np.int64),
        masses=np.array(masses) if any(known) else np.ones(len(atoms)),
        bonds=np.array([[b[0].index, b[1].index] for b in topology.bonds], dtype=np.int64).reshape(-1, 2),
        chains=spare,
        residues=runs(np.array([a.residue.index for a in atoms], dtype=np.int64)),
        segments=runs(np.where(given == "", chains, -1), segids),
        chain_indices=runs(chains),
    )
