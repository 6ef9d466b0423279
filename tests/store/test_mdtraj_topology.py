"""Topologies in mdtraj's JSON form are read as they were written; what is none is an error of Python's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trajvae.store.mdtraj_topology import mdtraj_topology, parse_mdtraj_topology
from trajvae.topology import Topology


def peptide() -> Topology:
    """Two chains: two neighbouring residues that agree in every identifier, and one with an atom without an element."""
    return Topology(
        names=np.array(["N", "CA", "N", "CA", "MW"]),
        elements=np.array(["N", "C", "N", "C", ""]),
        resnames=np.array(["ALA", "ALA", "ALA", "ALA", "SOL"]),
        segids=np.array(["P", "P", "P", "P", "W"]),
        resids=np.array([7, 7, 7, 7, 1]),
        masses=np.ones(5),
        bonds=np.array([[0, 1], [1, 2], [2, 3]]),
        chains=np.array(["A", "A", "A", "A", "B"]),
        residues=np.array([0, 0, 1, 1, 2]),
    )


@pytest.mark.parametrize("topology", [peptide(), Topology.anonymous(3)], ids=["peptide", "anonymous"])
def test_a_topology_is_read_as_it_was(topology: Topology) -> None:
    """Every array; masses and insertion codes, which the form does not hold, are the default ones."""
    found = parse_mdtraj_topology(mdtraj_topology(topology))
    for name, array in topology.to_arrays().items():
        np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)


@pytest.mark.parametrize("key", ["index", "name", "element"])
def test_an_atom_that_lacks_something(key: str) -> None:
    """Or whose number is another."""
    described = json.loads(mdtraj_topology(peptide()))
    atom = described["chains"][0]["residues"][0]["atoms"][1]
    if key == "index":
        atom["index"] = 5
        with pytest.raises(ValueError, match="not numbered from 0"):
            parse_mdtraj_topology(json.dumps(described))
    del atom[key]
    with pytest.raises(KeyError, match=key):
        parse_mdtraj_topology(json.dumps(described))
