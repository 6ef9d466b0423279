"""The spanning tree: every atom placed once, from atoms that are there, by coordinates that say something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from trajvae.alignment.align import pairwise_rmsd
from trajvae.features.rebuild import RebuildPlan, measure, rebuild
from trajvae.features.tree import generations, link_fragments, spanning_tree
from trajvae.readers import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64

Bonds = Sequence[tuple[int, int]]


def tree(bonds: Bonds, x: Float64, heavy: Sequence[bool] | None = None) -> Int64:
    """References of one frame (N, D) or of frames (T, N, D); all atoms are heavy unless told."""
    x = x if x.ndim == 3 else x[None]
    light = np.ones(x.shape[1], dtype=bool) if heavy is None else np.array(heavy)
    return spanning_tree(np.array(bonds, dtype=np.int64).reshape(-1, 2), x, light)


def assert_sound(references: Int64, dimension: int) -> None:
    """Each atom is placed once, from different atoms placed before it; only the first D have references missing."""
    n = len(references)
    assert references.shape == (n, dimension) and references.dtype == np.int64
    order = generations(references)
    assert sorted(np.concatenate(order).tolist()) == list(range(n)) and len(order[0]) == 1
    depth = np.empty(n, dtype=int)
    for k, atoms in enumerate(order):
        depth[atoms] = k
    for atom, row in enumerate(references):
        known = row[row >= 0]
        assert len({atom, *known.tolist()}) == len(known) + 1
        assert (row[: len(known)] >= 0).all() and (depth[known] < depth[atom]).all()
    assert [(references[:, k] >= 0).sum() for k in range(dimension)] == [max(n - k, 0) for k in range(1, dimension + 1)]


def assert_returns(references: Int64, x: Float64) -> None:
    """Frames (T, N, D) rebuilt from their own coordinates are the same to 1e-10 Å."""
    plan = RebuildPlan(references)
    y = rebuild(measure(torch.from_numpy(x), plan), plan).numpy()
    assert pairwise_rmsd(y, x, np.ones(x.shape[1])).max() < 1e-10


def parents(references: Int64) -> set[tuple[int, int]]:
    """The bonds of the tree, smaller atom first."""
    return {(min(a, p), max(a, p)) for a, p in enumerate(references[:, 0].tolist()) if p >= 0}


def methyl(at: Float64, sign: float) -> Float64:
    """Three hydrogens of a carbon whose fourth bond runs along x, (3, 3)."""
    turn = np.radians([0.0, 120.0, 240.0])
    return at + 1.09 * np.stack([sign * 0.334 * np.ones(3), 0.943 * np.cos(turn), 0.943 * np.sin(turn)], axis=1)


ETHANE = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (1, 7)]
HEAVY_ETHANE = [True] * 2 + [False] * 6


@pytest.fixture
def ethane() -> Float64:
    """Eclipsed, (8, 3) in Å."""
    carbons = np.array([[0.0, 0.0, 0.0], [1.53, 0.0, 0.0]])
    return np.concatenate([carbons, methyl(carbons[0], -1.0), methyl(carbons[1], 1.0)])


@pytest.fixture
def ring() -> Float64:
    """A chair of six atoms, (6, 3) in Å."""
    turn = np.radians(60.0 * np.arange(6))
    return np.stack([1.45 * np.cos(turn), 1.45 * np.sin(turn), 0.25 * (-1.0) ** np.arange(6)], axis=1)


RING = [(k, (k + 1) % 6) for k in range(6)]


def test_a_chain_is_grown_from_its_middle():
    """Whatever the atoms are called, the root is the middle one and every torsion runs along the chain."""
    names = np.random.default_rng(0).permutation(9)
    turn = 1.2 * np.arange(9)
    x = np.empty((9, 3))
    x[names] = np.stack([np.cos(turn), np.sin(turn), 0.5 * turn], axis=1)
    references = tree([(names[k], names[k + 1]) for k in range(8)], x)
    assert_sound(references, 3)
    assert references[names[4], 0] < 0
    place = np.argsort(names)
    for atom in np.flatnonzero(references[:, 2] >= 0):
        along = place[[atom, *references[atom]]]
        assert abs(np.diff(along)).tolist() == [1, 1, 1] and len(set(along.tolist())) == 4


def test_siblings_are_placed_by_a_phase_to_the_first(ethane):
    """Ethane: one proper torsion about the carbons' bond, every other hydrogen an improper one to its first sibling."""
    references = tree(ETHANE, ethane, HEAVY_ETHANE)
    assert_sound(references, 3)
    assert parents(references) == set(ETHANE)
    root = int(np.flatnonzero(references[:, 0] < 0)[0])
    other = 1 - root
    here, there = ([2, 3, 4], [5, 6, 7])[:: 1 if root == 0 else -1]
    first = there[0]
    assert references[first, :2].tolist() == [other, root] and references[first, 2] in here
    for sibling in there[1:]:
        assert references[sibling].tolist() == [other, root, first]
    assert_returns(references, ethane[None])


def test_turning_a_bond_changes_one_coordinate(ethane):
    """All hydrogens of a turning methyl group follow the one proper torsion."""
    references = tree(ETHANE, ethane, HEAVY_ETHANE)
    plan = RebuildPlan(references)
    turn = np.radians(37.0)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), np.sin(turn)], [0, -np.sin(turn), np.cos(turn)]])
    turned = ethane.copy()
    turned[5:] = turned[5:] @ rotation
    before, after = (measure(torch.from_numpy(x[None]), plan) for x in (ethane, turned))
    torch.testing.assert_close(after.bonds, before.bonds, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.angles, before.angles, rtol=0, atol=1e-12)
    change = torch.remainder(after.torsions - before.torsions + torch.pi, 2 * torch.pi) - torch.pi
    assert (change.abs() > 1e-9).sum() == 1 and change.abs().max() == pytest.approx(turn)


def test_turning_a_bond_of_the_plane_changes_one_coordinate():
    """In two dimensions the branches beyond a bond follow the first sibling's angle."""
    x = np.array([[0.0, 0], [1, 0], [2, 0.3], [3, 0.1], [3.6, 0.9], [3.7, -0.8], [-1, 0.2]])
    references = tree([(6, 0), (0, 1), (1, 2), (2, 3), (3, 4), (3, 5)], x)
    assert_sound(references, 2)
    c, s = np.cos(0.4), np.sin(0.4)
    turned = x.copy()
    turned[4:6] = x[3] + (x[4:6] - x[3]) @ np.array([[c, s], [-s, c]])
    before, after = (measure(torch.from_numpy(f[None]), RebuildPlan(references)).angles for f in (x, turned))
    assert ((after - before).abs() > 1e-9).sum() == 1
    assert_returns(references, np.stack([x, turned]))


def test_a_ring_is_opened_once(ring):
    """Six atoms in a ring: five tree bonds, all of them bonds, opened opposite to the root."""
    references = tree(RING, ring)
    assert_sound(references, 3)
    left = {(min(b), max(b)) for b in RING} - parents(references)
    assert len(left) == 1 and len(parents(references)) == 5
    root = int(np.flatnonzero(references[:, 0] < 0)[0])
    assert (root + 3) % 6 in next(iter(left))
    assert_returns(references, ring[None] + 0.05 * np.random.default_rng(0).normal(size=(20, 6, 3)))


def test_fused_rings_with_a_tail_lose_one_bond_each(ring):
    """Two rings that share a bond, with a tail: as many bonds are left out as there are rings."""
    second = ring[:4] * [-1.0, 1.0, 1.0] + [2.9, 0.0, 0.3]
    x = np.concatenate([ring, second, [[-2.8, 0.4, 0.6]]])
    bonds = [*RING, (0, 6), (6, 7), (7, 8), (8, 9), (9, 1), (3, 10)]
    references = tree(bonds, x)
    assert_sound(references, 3)
    assert parents(references) < {(min(b), max(b)) for b in bonds} and len(parents(references)) == len(bonds) - 2
    assert_returns(references, x[None])


def test_fragments_are_joined_where_they_are_nearest_in_the_mean():
    """Three fragments take two more bonds, between the pairs that are nearest over all frames, not in the first."""
    line = np.array([[0.0, 0, 0], [1, 0, 0], [4, 0.3, 0], [5, 0, 0], [9, 0, 0.2], [10, 0.5, 0]])
    frames = np.stack([line] * 5)
    frames[0, [2, 3]] = frames[0, [3, 2]]  # in the first frame the second fragment stands the other way round
    bonds = np.array([[0, 1], [2, 3], [4, 5]])
    linked = link_fragments(bonds, frames)
    assert linked[:3].tolist() == bonds.tolist()
    assert {tuple(sorted(b)) for b in linked[3:].tolist()} == {(1, 2), (3, 4)}
    references = tree(bonds.tolist(), frames)
    assert_sound(references, 3)
    assert parents(references) == {(0, 1), (2, 3), (4, 5), (1, 2), (3, 4)}


@pytest.mark.parametrize("dimension", [2, 3])
def test_atoms_without_bonds_are_fragments(dimension):
    """Five lone atoms become one tree, and come back."""
    x = np.random.default_rng(1).normal(size=(10, 5, dimension))
    references = tree([], x)
    assert_sound(references, dimension)
    assert_returns(references, x)


def test_a_heavy_atom_comes_before_a_hydrogen_of_a_smaller_name():
    """An aldehyde's oxygen carries the proper torsion and its hydrogen the phase, whatever their order."""
    bonds, x = [(2, 3), (3, 4), (4, 5), (5, 0), (5, 1)], np.random.default_rng(1).normal(size=(6, 3))
    assert tree(bonds, x, [False, True, True, True, True, True])[[0, 1]].tolist() == [[5, 4, 1], [5, 4, 3]]


# nitrogen first, so that the tree grows from the methyl carbon; the hydrogens are what the nitrogen is turned about
NITRILE = [(0, 1), (1, 2), (2, 3), (2, 4), (2, 5)]


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_references_in_line_are_not_chosen(noise):
    """Acetonitrile: no torsion is told about the straight C-C-N, and the molecule comes back to 1e-10 Å."""
    line = np.array([[2.62, 0.0, 0.0], [1.46, 0.0, 0.0], [0.0, 0.0, 0.0]])
    x = np.concatenate([line, methyl(line[2], -1.0)])
    frames = x + noise * np.random.default_rng(2).normal(size=(50, 6, 3))
    references = tree(NITRILE, frames, [True] * 3 + [False] * 3)
    assert_sound(references, 3)
    assert parents(references) == set(NITRILE)
    for atom in np.flatnonzero(references[:, 1] >= 0):
        way = [atom, *references[atom][references[atom] >= 0]]
        for i, j, k in zip(way, way[1:], way[2:], strict=False):
            a, b = x[i] - x[j], x[k] - x[j]
            assert np.linalg.norm(np.cross(a, b)) / np.linalg.norm(a) / np.linalg.norm(b) > 0.15
    assert_returns(references, frames)


def test_a_straight_chain_of_the_plane_is_no_trouble():
    """Signed angles pass through straight: consecutive atoms are the references and frames come back."""
    x = np.stack([np.arange(6.0), np.zeros(6)], axis=1)
    frames = np.concatenate([x[None], x + 0.1 * np.random.default_rng(0).normal(size=(20, 6, 2))])
    references = tree([(k, k + 1) for k in range(5)], frames)
    assert_sound(references, 2)
    assert parents(references) == {(k, k + 1) for k in range(5)}
    assert_returns(references, frames)


def test_unbonded_atoms_of_a_segment_follow_each_other(adk):
    """C-alpha atoms have no bonds among them: the tree runs from each to the next, from the middle outwards."""
    frames = open_source(adk[1], Reading(topology=adk[0], select="name CA", stop=20))
    assert not len(frames.topology.bonds)
    x = frames.read().positions
    references = spanning_tree(frames.topology.backbone_bonds(), x, frames.topology.elements != "H")
    assert_sound(references, 3)
    assert parents(references) == {(k, k + 1) for k in range(213)}
    assert references[107, 0] < 0 or references[106, 0] < 0


def test_segments_are_joined_by_one_bond():
    """Two chains without bonds, one beside the other: within each from atom to atom, between them the nearest."""
    chain = np.repeat([0, 1], 3)
    names = {"segids": np.array(list("AAABBB")), "residues": chain, "segments": chain, "chain_indices": chain}
    topology = replace(Topology.anonymous(6), **names)
    x = np.array([[0.0, 0, 0], [3, 1, 0], [6, 0, 1], [6, 9, 0], [3, 6, 1], [0.5, 2.5, 0.3]])
    references = tree(topology.backbone_bonds().tolist(), x)
    assert_sound(references, 3)
    assert parents(references) == {(0, 1), (1, 2), (3, 4), (4, 5), (0, 5)}


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_smallest_molecules_have_trees(n, dimension):
    """One atom has no reference, two a bond, three an angle, four the first torsion."""
    x = np.array([[0.0, 0, 0], [1, 0.2, 0], [1.4, 1.1, 0.1], [2.3, 1.2, 0.9]])[:n, :dimension]
    references = tree([(k, k + 1) for k in range(n - 1)], x)
    assert_sound(references, dimension)
    assert_returns(references, x[None])


@pytest.fixture(scope="module")
def dipeptide(examples) -> tuple[Topology, Int64]:
    """All atoms of alanine dipeptide, hydrogens named before carbons, and their references."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="all", step=100)
    frames = open_source(examples / "alanine_dipeptide.xtc", reading)
    topology = frames.topology
    return topology, spanning_tree(topology.bonds, frames.read().positions, topology.elements != "H")


def test_all_atoms_of_the_dipeptide(dipeptide):
    """Twenty-two atoms and their twenty-one bonds: all of them in the tree, phi and psi among its torsions."""
    topology, references = dipeptide
    assert_sound(references, 3)
    assert parents(references) == {tuple(sorted(b)) for b in topology.bonds.tolist()}
    proper = [row for row in references if (row >= 0).all() and references[row[2], 0] != row[0]]
    middles = {frozenset(topology.names[row[:2]].tolist()) for row in proper}
    assert {frozenset({"N", "CA"}), frozenset({"CA", "C"})} <= middles


def test_each_bond_turns_one_torsion_and_heavy_atoms_carry_it(dipeptide):
    """Of the atoms beyond a bond one has a proper torsion, a heavy one if there is any; the others a phase to it."""
    topology, references = dipeptide
    branches = 0
    for parent in np.flatnonzero(references[:, 1] >= 0):
        children = np.flatnonzero(references[:, 0] == parent)
        firsts = [c for c in children if references[c, 2] not in children]
        assert len(firsts) == min(len(children), 1)
        for child in children[children != firsts[0]] if firsts else ():
            assert references[child].tolist() == [parent, references[parent, 0], firsts[0]]
            branches += 1
        heavy = topology.elements[children] != "H"
        assert not heavy.any() or heavy[children == firsts[0]].all()
    assert branches > 5


def test_generations_place_references_first():
    """The root alone, then what hangs on it, in the order of the longest way back."""
    references = np.array([[1, 2, 3], [2, 3, -1], [3, -1, -1], [-1, -1, -1], [3, 2, 1]])
    assert [g.tolist() for g in generations(references)] == [[3], [2], [1], [0, 4]]


def test_references_in_a_circle_are_refused():
    """Two atoms that need each other can never be placed."""
    with pytest.raises(ValueError, match="circle"):
        generations(np.array([[-1, -1, -1], [2, 0, -1], [1, 0, -1]]))
