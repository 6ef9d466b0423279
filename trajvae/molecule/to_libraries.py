"""The plain topology and positions as molecules of MDAnalysis and of mdtraj."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajvae.topology import Topology
from trajvae.typing import Floats, Int64


def to_universe(topology: Topology, positions: Floats) -> Any:
    """Return an in-memory MDAnalysis Universe.

    Parameters
    ----------
    topology : Topology
    positions : ndarray, shape (T, N, D)
        In Å; z = 0 is added where D = 2.
    """
    import MDAnalysis as mda

    first, segment_first = _firsts(topology.residues), _firsts(topology.segments)
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
    universe.load_new(spatial(positions).astype(np.float32), order="fac")
    return universe


def _firsts(index: Int64) -> Int64:
    """The first atom of every residue, segment or chain."""
    return np.asarray(np.unique(index, return_index=True)[1], dtype=np.int64)


def spatial(positions: Floats) -> Floats:
    """Return positions with three coordinates, z = 0 where there were two."""
    if positions.shape[-1] == 3:
        return positions
    return np.concatenate([positions, np.zeros_like(positions[..., :1])], axis=-1)


def to_mdtraj(topology: Topology, positions: Floats) -> Any:
    """Return an `mdtraj.Trajectory` (nm); `positions` as in `to_universe`."""
    import mdtraj
    from mdtraj.core.element import Element, virtual

    top = mdtraj.Topology()
    chain = residue = None
    last = (-1, -1)
    atoms = []
    for i in range(topology.n_atoms):
        place = (int(topology.chain_indices[i]), int(topology.residues[i]))
        if place[0] != last[0]:
            chain = top.add_chain(str(topology.chains[i]) or None)
        if place != last:
            name, number = str(topology.resnames[i]) or "UNK", int(topology.resids[i])
            residue = top.add_residue(name, chain, resSeq=number, segment_id=str(topology.segids[i]))
        last = place
        symbol = str(topology.elements[i])
        element = Element.getBySymbol(symbol) if symbol else virtual
        atoms.append(top.add_atom(str(topology.names[i]) or "X", element, residue))
    for a, b in topology.bonds.tolist():
        top.add_bond(atoms[a], atoms[b])
    return mdtraj.Trajectory(spatial(positions).astype(np.float32) / 10.0, top)
