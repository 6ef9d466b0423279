"""Convert a `Topology` with positions to objects of MDAnalysis and of mdtraj."""

from __future__ import annotations

import numpy as np

from trajvae.topology import Topology
from trajvae.typing import Floats, Int64, MdtrajTrajectory, Universe


def to_universe(topology: Topology, positions: Floats) -> Universe:
    """Return an MDAnalysis Universe that holds its frames in memory.

    Parameters
    ----------
    topology : Topology
    positions : ndarray, shape (T, N, D)
        In Å; z = 0 is added where D = 2.
    """
    import MDAnalysis as mda

    first, segment_first = first_atoms(topology.residues), first_atoms(topology.segments)
    universe = mda.Universe.empty(
        topology.n_atoms,
        n_residues=len(first),
        n_segments=len(segment_first),
        atom_resindex=topology.residues,
        residue_segindex=topology.segments[first],
        trajectory=False,
    )
    segids = np.where(topology.segids == "", "A", topology.segids)
    attributes = {
        "names": np.where(topology.names == "", "X", topology.names),
        "types": topology.elements,
        "elements": topology.elements,
        "masses": topology.masses,
        "resids": topology.resids[first],
        "resnames": np.where(topology.resnames == "", "UNK", topology.resnames)[first],
        "segids": segids[segment_first],
        "chainIDs": np.where(topology.chains == "", segids, topology.chains),
    }
    if (topology.icodes != "").any():
        attributes["icodes"] = topology.icodes[first]
    for name, values in attributes.items():
        universe.add_TopologyAttr(name, list(values))
    if len(topology.bonds):
        universe.add_TopologyAttr("bonds", [tuple(b) for b in topology.bonds.tolist()])
    universe.load_new(to_three_dimensions(positions).astype(np.float32), order="fac")
    return universe


def first_atoms(index: Int64) -> Int64:
    """Return the first atom of every residue, segment or chain, given the number of that of each atom, (N,)."""
    return np.asarray(np.unique(index, return_index=True)[1], dtype=np.int64)


def to_three_dimensions(positions: Floats) -> Floats:
    """Return positions (..., 3), with z = 0 added where there are only two coordinates."""
    if positions.shape[-1] == 3:
        return positions
    return np.concatenate([positions, np.zeros_like(positions[..., :1])], axis=-1)


def to_mdtraj(topology: Topology, positions: Floats) -> MdtrajTrajectory:
    """Return an `mdtraj.Trajectory`, whose unit is nm.

    Parameters
    ----------
    topology : Topology
    positions : ndarray, shape (T, N, D)
        In Å; z = 0 is added where D = 2.
    """
    import mdtraj
    from mdtraj.core.element import Element, virtual

    top = mdtraj.Topology()
    chain = residue = None
    before = (-1, -1)  # chain and residue of the atom before
    atoms = []
    for i in range(topology.n_atoms):
        current = (int(topology.chain_indices[i]), int(topology.residues[i]))
        if current[0] != before[0]:
            chain = top.add_chain(str(topology.chains[i]) or None)
        if current != before:
            name, number = str(topology.resnames[i]) or "UNK", int(topology.resids[i])
            residue = top.add_residue(name, chain, resSeq=number, segment_id=str(topology.segids[i]))
        before = current
        symbol = str(topology.elements[i])
        element = Element.getBySymbol(symbol) if symbol else virtual
        atoms.append(top.add_atom(str(topology.names[i]) or "X", element, residue))
    for a, b in topology.bonds.tolist():
        top.add_bond(atoms[a], atoms[b])
    return mdtraj.Trajectory(to_three_dimensions(positions).astype(np.float32) / 10.0, top)
