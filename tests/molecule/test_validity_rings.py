"""Small rings of molecules, and bonds through them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trajvae.molecule.validity import REASONS, Validity
from trajvae.molecule.validity.rings import pierced, small_rings, unpierced
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64


def _ring(n: int, first: int = 0) -> list[list[int]]:
    return [[first + k, first + (k + 1) % n] for k in range(n)]


def _corners(n: int, radius: float) -> Float64:
    way = 2.0 * np.pi * np.arange(n) / n
    return np.stack([radius * np.cos(way), radius * np.sin(way), np.zeros(n)], axis=1)


def _members(rings: Int64) -> list[set[int]]:
    return [set(ring) for ring in rings.tolist()]


def test_rings_of_a_tryptophan_s_indole() -> None:
    """Two fused rings of five and six atoms, in order, with a tail that is in none."""
    bonds = np.array([*_ring(5), [1, 5], [5, 6], [6, 7], [7, 8], [8, 2], [0, 9], [9, 10]])
    rings = small_rings(bonds, 11)
    assert rings.shape == (2, 8)
    assert sorted(_members(rings), key=len) == [{0, 1, 2, 3, 4}, {1, 2, 5, 6, 7, 8}]
    pairs = {frozenset(bond) for bond in bonds.tolist()}
    for ring in rings.tolist():
        steps = [frozenset(p) for p in zip(ring, [*ring[1:], ring[0]], strict=True) if len(set(p)) == 2]
        assert set(steps) <= pairs and len(set(steps)) == len(set(ring))


@pytest.mark.parametrize(("n", "found"), [(3, 1), (8, 1), (9, 0)])
def test_rings_of_three_to_eight(n: int, found: int) -> None:
    """Larger ones are no obstacle; chains and single bonds have none."""
    assert len(small_rings(np.array(_ring(n)), n)) == found
    assert len(small_rings(np.array([[0, 1], [1, 2]]), 3)) == len(small_rings(np.empty((0, 2), dtype=int), 3)) == 0


def test_elastic_networks_have_none() -> None:
    """Springs between all near beads make more rings than beads, and pass through one another."""
    n = 12
    bonds = np.array([[i, j] for i in range(n) for j in range(i + 1, min(i + 4, n))])
    assert len(bonds) - n + 1 > n
    assert small_rings(bonds, n).shape == (0, 8)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_segments_through_polygons(n: int) -> None:
    """A stick through the centre, one past the rim, one that ends before, and one that lies in the plane."""
    sides = np.array([*_ring(n), [n, n + 1]])
    rings = small_rings(sides, n + 2)
    sticks = {"through": ([0.1, 0.05, -1], [0.1, -0.05, 1]), "past": ([2.5, 0, -1], [2.5, 0, 1])}
    sticks |= {"before": ([0.1, 0, 0.2], [0.1, 0, 1]), "in the plane": ([-4, 0.1, 0.0], [4, 0.1, 0.0])}
    x = np.stack([np.concatenate([_corners(n, 1.0), np.array(ends, dtype=float)]) for ends in sticks.values()])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    frame, ring, bond = pierced(x @ turn + 5.0, rings, sides)
    assert frame.tolist() == [0] and ring.tolist() == [0] and bond.tolist() == [n]
    assert len(unpierced(x[1:], rings, sides)) == 1 and len(unpierced(x, rings, sides)) == 0


def test_random_sticks_as_by_triangles() -> None:
    """The sign of volumes says the same of a stick through one of the ring's triangles."""
    random = np.random.default_rng(0)
    x = np.concatenate([np.tile(_corners(6, 1.5), (2000, 1, 1)), random.normal(0, 1.3, (2000, 2, 3))], axis=1)
    x[:, :6] += random.normal(0.0, 0.1, (2000, 6, 3))
    sides = np.array([*_ring(6), [6, 7]])
    found = np.zeros(len(x), dtype=bool)
    found[pierced(x, small_rings(sides, 8), sides)[0]] = True

    def volume(*points: Float64) -> Float64:
        a, b, c, d = points
        return np.asarray((np.cross(b - a, c - a) * (d - a)).sum(axis=1))

    p, q, centre = x[:, 6], x[:, 7], x[:, :6].mean(axis=1)
    expected = np.zeros(len(x), dtype=bool)
    for k in range(6):
        a, b, c = centre, x[:, k], x[:, (k + 1) % 6]
        between = volume(a, b, c, p) * volume(a, b, c, q) < 0.0
        sides_of_line = np.sign([volume(p, q, a, b), volume(p, q, b, c), volume(p, q, c, a)])
        expected |= between & (np.abs(sides_of_line.sum(axis=0)) == 3)
    assert np.array_equal(found, expected) and 100 < found.sum() < 1900


def test_a_bond_through_a_ring_is_found() -> None:
    """A wide ring of beads and a stick that never passes through it in the simulation: where it does, it is `ring`."""
    random = np.random.default_rng(0)
    bonds = np.array([*_ring(6), [6, 7]])
    base = np.concatenate([_corners(6, 5.0), [[12.0, 0.0, -2.0], [12.0, 0.0, 2.0]]])
    x = base + 0.05 * random.normal(size=(400, 8, 3))
    topology = dataclasses.replace(Topology.anonymous(8), bonds=bonds)
    learned = Validity.fit(x, topology)
    assert len(learned.rings) == 1 and learned.test(x).all()
    inside = x[:50].copy()
    inside[:, 6:, 0] -= 12.0
    wide = dataclasses.replace(learned, contact=np.zeros((1, 1)))
    assert {REASONS[k] for k in wide.reasons(inside)} == {"ring"}
