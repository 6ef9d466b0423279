"""Topologies in mdtraj's JSON form, as mdtraj's HDF5 files and `.h5md` files hold them: written and read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TypedDict

import numpy as np

from trajvae.store.json_text import parse_json
from trajvae.topology import Topology
from trajvae.typing import Text

_NAME, _RESIDUE, _SYMBOL = "X", "UNK", "VS"  # what stands for names and elements that are unknown


class _Atom(TypedDict):
    index: int
    name: str
    element: str


class _Residue(TypedDict):
    index: int
    name: str
    resSeq: int
    segmentID: str
    atoms: list[_Atom]


class _Chain(TypedDict):
    index: int
    chain_id: str
    residues: list[_Residue]


def mdtraj_topology(topology: Topology) -> str:
    """Return a topology in mdtraj's JSON form: atoms within residues within chains, bonds as pairs of indices."""
    chains: list[_Chain] = []
    last = (-1, -1)
    for i in range(topology.n_atoms):
        place = (int(topology.chain_indices[i]), int(topology.residues[i]))
        if place[0] != last[0]:
            chains.append({"index": len(chains), "chain_id": str(topology.chains[i]), "residues": []})
        if place != last:
            chains[-1]["residues"].append(_described_residue(topology, i))
        last = place
        symbol = str(topology.elements[i]) or _SYMBOL
        atom: _Atom = {"index": i, "name": str(topology.names[i]) or _NAME, "element": symbol}
        chains[-1]["residues"][-1]["atoms"].append(atom)
    for index, entry in enumerate(r for c in chains for r in c["residues"]):
        entry["index"] = index
    return json.dumps({"chains": chains, "bonds": topology.bonds.tolist()})


def _described_residue(topology: Topology, atom: int) -> _Residue:
    """Return the residue that begins with an atom, without atoms and number."""
    return {
        "index": 0,
        "name": str(topology.resnames[atom]) or _RESIDUE,
        "resSeq": int(topology.resids[atom]),
        "segmentID": str(topology.segids[atom]),
        "atoms": [],
    }


def parse_mdtraj_topology(text: str) -> Topology:
    """Return the topology of mdtraj's JSON form.

    The form holds neither masses nor insertion codes: all atoms weigh one, and the codes are empty.

    Raises
    ------
    KeyError, TypeError, ValueError
        The text is not as `mdtraj_topology` writes it.
    """
    described = parse_json(text)
    places = [(chain, residue) for chain in described["chains"] for residue in chain["residues"]]
    rows = [(atom, k) for k, (_, residue) in enumerate(places) for atom in residue["atoms"]]
    if [atom["index"] for atom, _ in rows] != list(range(len(rows))):
        raise ValueError("the atoms of its topology are not numbered from 0")
    names, elements = (_texts(atom[key] for atom, _ in rows) for key in ("name", "element"))
    chains, residues = [places[k][0] for _, k in rows], [places[k][1] for _, k in rows]
    resnames = _texts(r["name"] for r in residues)
    if ((names == _NAME) & (elements == _SYMBOL) & (resnames == _RESIDUE)).all():
        names = resnames = np.full(len(rows), "")  # of a molecule without a topology
    return Topology(
        names=names,
        elements=np.where(elements == _SYMBOL, "", elements),
        resnames=resnames,
        segids=_texts(r.get("segmentID", "") for r in residues),
        resids=np.array([r["resSeq"] for r in residues], dtype=np.int64),
        masses=np.ones(len(rows)),
        bonds=np.array([bond[:2] for bond in described["bonds"]], dtype=np.int64).reshape(-1, 2),
        chains=_texts(c.get("chain_id") or "" for c in chains),
        residues=np.array([k for _, k in rows], dtype=np.int64),
        chain_indices=np.array([c["index"] for c in chains], dtype=np.int64),
    )


def _texts(values: Iterable[object]) -> Text:
    return np.array([str(value) for value in values], dtype=str)
