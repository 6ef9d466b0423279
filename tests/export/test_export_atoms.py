"""A model's atoms among those of a simulation: by name and residue, or an error that names the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import MDAnalysis as mda
import numpy as np
import pytest

from trajvae import Model
from trajvae.errors import ModelError
from trajvae.export.atoms import match_atoms
from trajvae.molecule.from_mdanalysis import bonds_of, topology_of
from trajvae.topology import Topology
from trajvae.typing import Int64

Trained = Callable[..., Model]


@pytest.fixture
def own(trained: Trained) -> Topology:
    """The model's: heavy atoms."""
    return trained().topology


@pytest.fixture
def whole(dipeptide: mda.Universe) -> Topology:
    """The simulation's: all atoms."""
    return topology_of(dipeptide.atoms, bonds_of(dipeptide))


@pytest.fixture
def wanted(dipeptide: mda.Universe) -> Int64:
    """What MDAnalysis says."""
    return np.asarray(dipeptide.select_atoms("not name H*").indices)


def joined(*parts: Topology) -> Topology:
    """Molecules one after the other."""
    arrays = {name: np.concatenate([p.to_arrays()[name] for p in parts]) for name in parts[0].to_arrays()}
    for name in ("residues", "segments", "chain_indices"):
        arrays[name] = np.empty(0)
    return Topology.from_arrays(arrays)


def test_atoms_are_found_by_name_and_residue(own: Topology, whole: Topology, wanted: Int64) -> None:
    """In any order, after other molecules, and whatever the chains are called."""
    np.testing.assert_array_equal(match_atoms(own, whole, "x"), wanted)
    order = np.random.default_rng(0).permutation(whole.n_atoms)
    np.testing.assert_array_equal(order[match_atoms(own, whole.subset(order), "x")], wanted)
    water = replace(whole, resnames=np.full(whole.n_atoms, "HOH"), residues=np.empty(0, dtype=np.int64))
    np.testing.assert_array_equal(match_atoms(own, joined(water, whole), "x"), wanted + whole.n_atoms)
    other = replace(whole, chains=np.full(whole.n_atoms, "Q"))
    np.testing.assert_array_equal(match_atoms(own, other, "x"), wanted)


def test_chains_tell_copies_apart(own: Topology, whole: Topology, wanted: Int64) -> None:
    """Of two copies the one in the chain of the same name; both copies, where the model has both."""
    first = replace(whole, chains=np.full(whole.n_atoms, "Q"))
    pair = joined(first, whole)
    np.testing.assert_array_equal(match_atoms(own, pair, "x"), wanted + whole.n_atoms)
    both = np.r_[wanted, wanted + whole.n_atoms]
    np.testing.assert_array_equal(match_atoms(joined(own, own), joined(first, first), "x"), both)
    with pytest.raises(ModelError, match=r"atom 0, CH3 of ACE1, is there 1 times in the model and 2 times in x"):
        match_atoms(own, joined(first, first), "x")


def test_forms_of_an_amino_acid_are_one(own: Topology, whole: Topology, wanted: Int64) -> None:
    """Protonation and ends of chains have names of their own."""
    named = {name: replace(topology, resnames=np.where(topology.resnames == "ALA", name, topology.resnames))
             for name, topology in (("HIS", own), ("HIE", whole))}  # fmt: skip
    np.testing.assert_array_equal(match_atoms(named["HIS"], named["HIE"], "x"), wanted)


def test_what_is_missing_is_named(own: Topology, whole: Topology) -> None:
    """The first atom of the model that the simulation lacks."""
    without = whole.subset(np.flatnonzero(whole.names != "CB"))
    with pytest.raises(ModelError, match=r"atom 5, CB of ALA2, is not in 'sys.pdb'"):
        match_atoms(own, without, "'sys.pdb'")
    shifted = replace(whole, resids=whole.resids + 5)
    with pytest.raises(ModelError, match="its residues have other numbers"):
        match_atoms(own, shifted, "x")


def test_atoms_without_names_go_by_their_order(own: Topology, whole: Topology) -> None:
    """Where the model has all atoms; else nothing tells them."""
    np.testing.assert_array_equal(match_atoms(Topology.anonymous(22), whole, "x"), np.arange(22))
    with pytest.raises(ModelError, match="the model's atoms have no names"):
        match_atoms(Topology.anonymous(10), whole, "x")
    with pytest.raises(ModelError, match="the atoms of x have no names"):
        match_atoms(own, Topology.anonymous(22), "x")
