"""The plain topology: subsets, arrays and back, bonds where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.topology import GROUPS, Topology


@pytest.fixture
def water_pair() -> Topology:
    """Two waters in two segments, with bonds."""
    return Topology(
        names=np.array(["OW", "H1", "H2"] * 2),
        elements=np.array(["O", "H", "H"] * 2),
        resnames=np.array(["SOL"] * 6),
        segids=np.array(["A"] * 3 + ["B"] * 3),
        resids=np.array([1, 1, 1, 2, 2, 2]),
        masses=np.array([16.0, 1.0, 1.0] * 2),
        bonds=np.array([[0, 1], [0, 2], [3, 4], [3, 5]]),
    )


def test_subset_renumbers_bonds_and_drops_broken_ones(water_pair):
    """Bonds of a reordered subset join the same atoms; a bond with an atom left out is gone."""
    part = water_pair.subset(np.array([5, 3, 1]))
    assert part.names.tolist() == ["H2", "OW", "H1"]
    assert part.resids.tolist() == [2, 2, 1]
    assert part.bonds.tolist() == [[1, 0]]


def test_subset_of_all_is_the_same(water_pair):
    """The identity changes nothing."""
    part = water_pair.subset(np.arange(6))
    for name, array in water_pair.to_arrays().items():
        np.testing.assert_array_equal(part.to_arrays()[name], array)


def test_subset_without_bonds_keeps_their_shape():
    """Where nothing is bonded, bonds stay (0, 2)."""
    assert Topology.anonymous(5).subset(np.array([1, 3])).bonds.shape == (0, 2)


@pytest.mark.parametrize("bonded", [True, False])
def test_arrays_round_trip(water_pair, bonded):
    """`from_arrays` undoes `to_arrays`, from objects as an HDF5 reader may give them too."""
    before = water_pair if bonded else Topology.anonymous(4)
    stored = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in before.to_arrays().items()}
    after = Topology.from_arrays(stored)
    for name, array in before.to_arrays().items():
        np.testing.assert_array_equal(after.to_arrays()[name], array)
        assert after.to_arrays()[name].dtype.kind == array.dtype.kind
    assert after.bonds.shape == before.bonds.shape


def test_anonymous_atoms_have_no_names_and_unit_masses(water_pair):
    """Nothing is known but the number."""
    none = Topology.anonymous(3)
    assert (none.n_atoms, none.named, none.masses.tolist()) == (3, False, [1.0, 1.0, 1.0])
    assert water_pair.named


def test_backbone_is_the_bonds_where_there_are_any(water_pair):
    """Known bonds are not added to."""
    np.testing.assert_array_equal(water_pair.backbone_bonds(), water_pair.bonds)


def test_backbone_without_bonds_joins_consecutive_atoms_of_a_segment(water_pair):
    """Never across segments."""
    loose = Topology(**{**water_pair.to_arrays(), "bonds": np.empty((0, 2), dtype=np.int64)})
    assert loose.backbone_bonds().tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]
    assert Topology.anonymous(1).backbone_bonds().shape == (0, 2)


@pytest.fixture
def grouped(water_pair) -> Topology:
    """The waters with indices that identifiers do not tell."""
    own = {"residues": np.array([0, 0, 1, 2, 2, 2]), "segments": np.array([0, 0, 0, 1, 1, 1])}
    own |= {"chain_indices": np.array([0, 0, 1, 2, 2, 2]), "chains": np.array(["H", "H", "L", "L", "L", "L"])}
    return Topology(**{**water_pair.to_arrays(), **own, "icodes": np.array(["", "", "A", "", "", ""])})


def test_groups_follow_identifiers_by_default(water_pair):
    """Residues, segments and chains change where an identifier does; earlier files have no such arrays."""
    old = {k: v for k, v in water_pair.to_arrays().items() if k not in GROUPS}
    for top in (water_pair, Topology.from_arrays(old)):
        assert top.residues.tolist() == top.segments.tolist() == top.chain_indices.tolist() == [0, 0, 0, 1, 1, 1]
        assert top.chains.tolist() == ["A"] * 3 + ["B"] * 3 and top.icodes.tolist() == [""] * 6


def test_a_subset_numbers_its_groups_anew(grouped):
    """Indices begin with 0 and have no gap."""
    part = grouped.subset(np.array([2, 4, 5]))
    assert part.residues.tolist() == part.chain_indices.tolist() == part.segments.tolist() == [0, 1, 1]
    assert part.chains.tolist() == ["L"] * 3 and part.icodes.tolist() == ["A", "", ""]


def test_groups_survive_arrays(grouped):
    """All of them."""
    after = Topology.from_arrays(grouped.to_arrays())
    for name in GROUPS:
        np.testing.assert_array_equal(getattr(after, name), getattr(grouped, name))
