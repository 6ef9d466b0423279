"""Molecules made whole and complexes kept together: the shape of the system before it was wrapped, or a note."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.periodic.contacts import Snapshot
from trajvae.periodic.image_history import ImageHistory
from trajvae.periodic.lattice import box_vectors
from trajvae.periodic.unwrapper import Unwrapper

SHAPES = {
    "cubic": (90.0, 90.0, 90.0),
    "octahedron": (70.53, 109.47, 70.53),
    "dodecahedron": (60.0, 60.0, 90.0),
    "triclinic": (75.0, 100.0, 115.0),
}


def chain_bonds(sizes):
    """Bonds between consecutive atoms of every chain."""
    atoms = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    return np.concatenate([np.column_stack([a[:-1], a[1:]]) for a in atoms])


def strands(n_chains, length=8, apart=4.8):
    """C-alphas of strands side by side, (n, 3)."""
    strand = np.column_stack([3.6 * np.arange(length), np.zeros(length), np.zeros(length)])
    return np.concatenate([strand + np.array([0.0, 0.0, apart * k]) for k in range(n_chains)])


def moving(base, frames, rng):
    """The system in thermal motion, drifting through the cell."""
    return base + 0.1 * rng.normal(size=(frames, *base.shape)) + np.cumsum(rng.normal(size=(frames, 1, 3)) * 4.0, 0)


def boxes_of(length, angles, frames):
    """Boxes of a run at constant pressure."""
    scale = 1.0 + 0.005 * np.sin(np.arange(frames))
    return np.column_stack([np.outer(scale, [length] * 3), np.tile(angles, (frames, 1))])


def wrapped(x, boxes, group):
    """Every group of atoms moved so that its first atom is in the cell, as a file holds it."""
    vectors = box_vectors(boxes)
    first = np.unique(group, return_index=True)[1]
    return (x - np.floor(x[:, first] @ np.linalg.inv(vectors))[:, group] @ vectors).astype(np.float32)


def planned(x, boxes, bonds, frames=5):
    """A plan from frames spread over the run."""
    some = np.unique(np.linspace(0, len(x) - 1, frames).astype(int))
    return Unwrapper.plan(x.shape[1], bonds, [Snapshot(x[t], None if boxes is None else boxes[t]) for t in some])


def same_shape(got, x):
    """Whether all atoms stand where they do beside the first one."""
    moved = got.astype(np.float64) - x
    return np.abs(moved - moved[:, :1]).max() < 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_chains", [2, 4, 8, 12])
@pytest.mark.parametrize("by", ["atom", "residue", "molecule", "random"])
def test_complexes_keep_their_shape_in_every_cell(shape, n_chains, by):
    """Drifting strands, wrapped by parts of any size: the shape of the original in every frame, and no note."""
    rng = np.random.default_rng(n_chains)
    sizes = [8] * n_chains
    x = moving(strands(n_chains), 15, rng)
    boxes = boxes_of(4.8 * n_chains + 45.0, SHAPES[shape], 15)
    n = x.shape[1]
    group = {"atom": np.arange(n), "residue": np.arange(n) // 4, "molecule": np.arange(n) // 8}.get(
        by, np.arange(n) // 8
    )
    y = wrapped(x, boxes, group)
    if by == "random":
        k = rng.integers(-1, 2, size=(15, n, 3)).astype(float)
        y = (y + k @ box_vectors(boxes)).astype(np.float32)
    plan = planned(y, boxes, chain_bonds(sizes))
    assert plan.notes == ()
    assert same_shape(plan.apply(y, boxes, ImageHistory()), x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [45.0, 60.0, 100.0])
def test_an_intact_fibril_stays_bit_for_bit(shape, length):
    """Eight chains that span up to 0.75 of the cell, whole and side by side in the file."""
    x = moving(strands(8), 20, np.random.default_rng(0)).astype(np.float32)
    boxes = boxes_of(length, SHAPES[shape], 20)
    plan = planned(x, boxes, chain_bonds([8] * 8))
    np.testing.assert_array_equal(plan.apply(x, boxes, ImageHistory()), x)


def test_a_fibril_as_near_its_own_image_as_its_neighbours():
    """As it stands it stays; wrapped by molecule no choice can be made; one note says so in either case."""
    x = moving(strands(8), 20, np.random.default_rng(1))
    boxes = np.tile([80.0, 80.0, 38.4, 90.0, 90.0, 90.0], (20, 1))
    intact = x.astype(np.float32)
    plan = planned(intact, boxes, chain_bonds([8] * 8))
    assert len(plan.notes) == 1 and "as they stand together in the file" in plan.notes[0]
    np.testing.assert_array_equal(plan.apply(intact, boxes, ImageHistory()), intact)
    broken = planned(wrapped(x, boxes, np.arange(64) // 8), boxes, chain_bonds([8] * 8))
    assert len(broken.notes) == 1 and "\n" not in broken.notes[0]


def test_chunks_of_any_size_give_the_same():
    """A ligand that leaves its place in a wrapped run: the history makes chunks of 1, 7 and all frames equal."""
    rng = np.random.default_rng(2)
    base = np.concatenate([strands(3), strands(1, 4) + np.array([4.0, 4.5, 5.0])])
    x = moving(base, 30, rng)
    x[8:, 24:] += 2.5 * np.arange(22)[:, None, None] * [0.3, 1.0, 0.1]
    boxes = boxes_of(50.0, SHAPES["octahedron"], 30)
    y = wrapped(x, boxes, np.arange(28))
    plan = planned(y, boxes, chain_bonds([8, 8, 8, 4]))
    results = []
    for size in (1, 7, 30):
        history = ImageHistory()
        results.append(
            np.concatenate([plan.apply(y[t : t + size], boxes[t : t + size], history) for t in range(0, 30, size)])
        )
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[2])
    assert same_shape(results[2][:18], x[:18])


def test_a_ligand_that_leaves_in_an_unwrapped_run_stays_as_the_file_has_it():
    """The file follows the ligand beyond the cell; so do the positions."""
    rng = np.random.default_rng(3)
    x = moving(np.concatenate([strands(3), strands(1, 4) + np.array([4.0, 4.5, 5.0])]), 30, rng)
    x[5:, 24:] += 1.7 * np.arange(25)[:, None, None] * [0.0, 1.0, 0.0]
    x = x.astype(np.float32)
    boxes = boxes_of(60.0, SHAPES["cubic"], 30)
    plan = planned(x, boxes, chain_bonds([8, 8, 8, 4]))
    np.testing.assert_array_equal(plan.apply(x, boxes, ImageHistory()), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_chain_longer_than_half_of_the_cell(shape):
    """A stretched chain of 1.5 cells, wrapped by atom."""
    x = moving(strands(1, 30), 10, np.random.default_rng(4))
    boxes = boxes_of(70.0, SHAPES[shape], 10)
    y = wrapped(x, boxes, np.arange(30))
    assert same_shape(planned(y, boxes, chain_bonds([30])).apply(y, boxes), x)


def tube(frames, rng):
    """A ladder of two rails along z, bonded to its own image over 30 Å, with its bonds."""
    z = 1.5 * np.arange(20)
    base = np.concatenate([np.column_stack([np.full(20, s), np.zeros(20), z]) for s in (0.0, 1.5)]) + 10.0
    rails = [np.column_stack([np.arange(20), (np.arange(20) + 1) % 20]) + k for k in (0, 20)]
    bonds = np.concatenate([*rails, np.column_stack([np.arange(20), np.arange(20) + 20])])
    return (base + 0.05 * rng.normal(size=(frames, 40, 3))).astype(np.float32), bonds


def test_a_network_bonded_to_its_own_image_is_not_broken():
    """Positions as in the file, and the two bonds over the boundary are left out of checks."""
    x, bonds = tube(12, np.random.default_rng(5))
    boxes = np.tile([40.0, 40.0, 30.0, 90.0, 90.0, 90.0], (12, 1))
    plan = planned(x, boxes, bonds)
    np.testing.assert_array_equal(plan.apply(x, boxes, ImageHistory()), x)
    length = np.linalg.norm(x[0, bonds[:, 1]] - x[0, bonds[:, 0]], axis=1)
    np.testing.assert_array_equal(plan.checkable, length < 5.0)
    assert plan.notes == ()


def test_a_wrapped_network_keeps_the_picture_of_its_first_frame():
    """A tube that drifts through the cell: later frames are drawn like the first."""
    x, bonds = tube(12, np.random.default_rng(6))
    boxes = np.tile([40.0, 40.0, 30.0, 90.0, 90.0, 90.0], (12, 1))
    drift = x + 2.0 * np.arange(12)[:, None, None] * [0.0, 0.0, 1.0]
    y = wrapped(drift, boxes, np.arange(40))
    got = planned(y, boxes, bonds).apply(y, boxes)
    first = got - got[:, :1] - (got[0] - got[0, 0])
    np.testing.assert_array_equal(got[0], y[0])
    assert np.abs(first).max() < 1.0


def test_frames_without_a_box_stay_as_they_are():
    """A start structure without a box before a wrapped run, and a frame without one amid it."""
    rng = np.random.default_rng(7)
    x = moving(strands(4), 12, rng)
    boxes = boxes_of(60.0, SHAPES["dodecahedron"], 12)
    y = wrapped(x, boxes, np.arange(32))
    boxes[[0, 6]] = 0.0
    y[[0, 6]] = x[[0, 6]]
    plan = planned(y, boxes, chain_bonds([8] * 4))
    got = plan.apply(y, boxes, ImageHistory())
    np.testing.assert_array_equal(got[[0, 6]], y[[0, 6]])
    assert same_shape(got, x)
    assert plan.apply(y, None) is y


def test_atoms_without_bonds_are_left_alone():
    """A layer of beads: the positions of the file, and one note; none without a box."""
    x = np.random.default_rng(8).uniform(0.0, 100.0, (10, 64, 3)).astype(np.float32)
    boxes = np.tile([100.0, 100.0, 100.0, 90.0, 90.0, 90.0], (10, 1))
    plan = planned(x, boxes, np.empty((0, 2), dtype=np.int64))
    assert plan.apply(x, boxes) is x
    assert len(plan.notes) == 1 and "no bonds" in plan.notes[0]
    assert planned(x, None, np.empty((0, 2), dtype=np.int64)).notes == ()


def test_molecules_that_never_touch_are_followed_and_a_note_says_so():
    """Two molecules far apart, wrapped: the second crosses the boundary without a jump."""
    x = np.concatenate([strands(1), strands(1) + np.array([0.0, 45.0, 0.0])])[None] + np.zeros((20, 1, 1))
    x = x + 10.0
    x[:, 8:] += 1.5 * np.arange(20)[:, None, None] * [0.0, 1.0, 0.0]
    boxes = np.tile([80.0, 80.0, 80.0, 90.0, 90.0, 90.0], (20, 1))
    y = wrapped(x, boxes, np.arange(16))
    plan = planned(y[:2], boxes[:2], chain_bonds([8, 8]))
    assert len(plan.notes) == 1 and "touch no other" in plan.notes[0]
    assert same_shape(plan.apply(y, boxes, ImageHistory()), x)


def test_a_reference_decides_where_the_run_leaves_a_choice():
    """An intact structure among the samples, of a fibril whose ends are near each other's image."""
    x = moving(strands(8), 20, np.random.default_rng(9))
    boxes = np.tile([80.0, 80.0, 38.4, 90.0, 90.0, 90.0], (20, 1))
    y = wrapped(x, boxes, np.arange(64) // 8)
    samples = [Snapshot(x[0], None), Snapshot(y[5], boxes[5]), Snapshot(y[15], boxes[15])]
    plan = Unwrapper.plan(64, chain_bonds([8] * 8), samples)
    assert same_shape(plan.apply(y, boxes, ImageHistory()), x)


def test_float64_positions_stay_float64():
    """Arrays are repaired in their own precision."""
    x = moving(strands(2), 4, np.random.default_rng(10))
    boxes = boxes_of(60.0, SHAPES["cubic"], 4)
    y = x - np.floor(x / boxes[:, None, :3]) * boxes[:, None, :3]
    got = planned(y, boxes, chain_bonds([8, 8])).apply(y, boxes)
    assert got.dtype == np.float64
    moved = got - x
    assert np.abs(moved - moved[:, :1]).max() < 1e-9
