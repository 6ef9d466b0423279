"""Bonds of a topology that do not hold in the trajectory are named, and not learned from."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.validity import Validity
from trajvae.molecule.validity.real_bonds import bonds_that_hold
from trajvae.readers.sources import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats

System = tuple[Floats, Topology]


@pytest.fixture(scope="module")
def peptide(examples: Path) -> System:
    """The heptapeptide, heavy atoms, 600 frames."""
    frames = open_source(examples / "peptide.xtc", Reading(topology=examples / "peptide.pdb", step=20))
    return frames.read().positions, frames.topology


def _with(topology: Topology, bond: list[int]) -> Topology:
    return dataclasses.replace(topology, bonds=np.concatenate([topology.bonds, [bond]]))


def test_bonds_of_the_simulation_hold(peptide: System) -> None:
    """Nothing is said, and nothing left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bonds_that_hold(*peptide) is not None
        assert np.array_equal(bonds_that_hold(*peptide), peptide[1].bonds)


def test_a_bond_of_8_angstrom_is_named_and_left_out(peptide: System) -> None:
    """The message has the bond, the atoms, the lengths, and what to do; the others are learned as without it."""
    x, topology = peptide
    first, last = 1, x.shape[1] - 2
    label = f"{topology.resnames[last]}{topology.resids[last]}:{topology.names[last]}"
    with pytest.warns(TrajvaeWarning, match=rf"1 of 38 bonds do not hold.*atom {last} \({label}\).*Å.*--bonds none"):
        learned = Validity.fit(x, _with(topology, [first, last]))
    assert [first, last] not in learned.bonds.tolist()
    assert np.array_equal(learned.bonds, Validity.fit(x, topology).bonds) and learned.test(x).all()


def test_another_order_of_the_atoms_is_told(peptide: System) -> None:
    """Two atoms of distant residues that are exchanged: their bonds do not hold."""
    x, topology = peptide
    order = np.arange(x.shape[1])
    order[[3, 30]] = order[[30, 3]]
    with pytest.warns(TrajvaeWarning, match="do not hold"):
        found = bonds_that_hold(x[:, order], topology)
    assert not np.isin(found, [3, 30]).any() and len(found) >= len(topology.bonds) - 5


def _beads(bonds: list[list[int]], n: int) -> Topology:
    names = np.array([f"B{k}" for k in range(n)])
    plain = {"resids": np.ones(n, dtype=np.int64), "masses": np.ones(n), "bonds": np.array(bonds)}
    return Topology(names=names, elements=np.full(n, ""), resnames=names, segids=np.full(n, "A"), **plain)


def _springs(random: np.random.Generator) -> tuple[Float64, list[list[int]]]:
    """An elastic network of 10 beads whose springs have 4 to 9 Å and vary by 0.5 Å."""
    at = np.stack([3.8 * np.arange(10.0), 2.0 * (np.arange(10) % 2), np.zeros(10)], axis=1)
    bonds = [[i, j] for i in range(10) for j in range(i + 1, 10) if np.linalg.norm(at[i] - at[j]) < 9.0]
    return at + 0.35 * random.normal(size=(300, 10, 3)), bonds


def test_elastic_networks_and_soft_chains_hold() -> None:
    """Long springs of a coarse-grained model, and bonds of an ideal chain, which vary by half their length."""
    random = np.random.default_rng(0)
    x, bonds = _springs(random)
    ideal = np.cumsum(random.normal(size=(2000, 12, 3)), axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(bonds_that_hold(x, _beads(bonds, 10))) == len(bonds)
        assert len(bonds_that_hold(ideal, Topology.anonymous(12))) == 11
        assert len(bonds_that_hold(ideal[:1], Topology.anonymous(12))) == 11
        assert len(bonds_that_hold(ideal, dataclasses.replace(Topology.anonymous(1)))) == 0


def test_beads_that_drift_apart_are_no_bond() -> None:
    """One spring of many whose beads move freely is named by the numbers of its atoms."""
    random = np.random.default_rng(0)
    x, bonds = _springs(random)
    away = x.copy()
    away[:, 9] += random.uniform(0.0, 40.0, (300, 1)) * np.array([0.6, 0.8, 0.0])
    chain = [bond for bond in bonds if 9 not in bond] + [[8, 9]]
    with pytest.warns(TrajvaeWarning, match=r"1 of \d+ bonds do not hold.*atom 8 .*atom 9"):
        found = bonds_that_hold(away, _beads(chain, 10))
    assert [8, 9] not in found.tolist() and len(found) == len(chain) - 1
