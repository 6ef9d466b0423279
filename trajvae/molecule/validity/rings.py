"""Small rings of a molecule, and bonds that pass through one."""

from __future__ import annotations

from collections import deque

import numpy as np

from trajvae.molecule.bond_graph import connected_components, neighbour_lists
from trajvae.molecule.bonded_terms import coordinate_major
from trajvae.typing import Bool, Float64, Floats, Int64

LARGEST = 8  # atoms; through larger rings a bond may pass


def small_rings(bonds: Int64, n_atoms: int) -> Int64:
    """Return the rings of three to eight atoms that are the smallest ones of a bond of theirs.

    Parameters
    ----------
    bonds : ndarray of int64, shape (B, 2)
    n_atoms : int

    Returns
    -------
    ndarray of int64, shape (R, 8)
        Atoms in the order of the ring; of smaller rings the last atom is repeated. None of a network with more rings
        than atoms, such as an elastic network, whose springs pass through one another.
    """
    independent = len(bonds) - n_atoms + connected_components(bonds, n_atoms)[0] if len(bonds) else 0
    if not 0 < independent <= n_atoms:
        return np.empty((0, LARGEST), dtype=np.int64)
    neighbours = _without_ends(neighbour_lists(bonds, n_atoms))
    found: dict[frozenset[int], list[int]] = {}
    for a, b in bonds.tolist():
        ring = _shortest_way(neighbours, a, b) if b in neighbours[a] else None
        if ring is not None:
            found.setdefault(frozenset(ring), ring)
    rows = [ring + [ring[-1]] * (LARGEST - len(ring)) for ring in found.values()]
    return np.array(rows, dtype=np.int64).reshape(-1, LARGEST)


def _without_ends(neighbours: list[list[int]]) -> list[list[int]]:
    """Return the neighbours of atoms in the graph that is left when atoms with one neighbour are taken off in turn."""
    left = [set(bonded) for bonded in neighbours]
    ends = [i for i, bonded in enumerate(left) if len(bonded) == 1]
    while ends:
        end = ends.pop()
        for other in left[end]:
            left[other].discard(end)
            if len(left[other]) == 1:
                ends.append(other)
        left[end].clear()
    return [sorted(bonded) for bonded in left]


def _shortest_way(neighbours: list[list[int]], start: int, end: int) -> list[int] | None:
    """Return the atoms of the shortest way between two bonded atoms that is not the bond; None if it is long."""
    before, distance, queue = {start: start}, {start: 1}, deque([start])
    while queue:
        here = queue.popleft()
        if distance[here] == LARGEST:
            return None
        for other in neighbours[here]:
            if other in before or (here == start and other == end):
                continue
            before[other], distance[other] = here, distance[here] + 1
            if other == end:
                way = [end]
                while way[-1] != start:
                    way.append(before[way[-1]])
                return way
            queue.append(other)
    return None


def pierced(x: Floats, rings: Int64, bonds: Int64) -> tuple[Int64, Int64, Int64]:
    """Find bonds that pass through rings in frames (T, N, 3).

    A ring is the surface of the triangles between its centre and each two of its neighbouring atoms.

    Parameters
    ----------
    x : ndarray, shape (T, N, 3)
    rings : ndarray of int64, shape (R, 8)
        See `small_rings`.
    bonds : ndarray of int64, shape (B, 2)

    Returns
    -------
    frame, ring, bond : ndarray of int64, shape (K,)
        One entry for each bond through a ring, which has none of its atoms.
    """
    parts = [_near_ring(x, ring, bonds) for ring in rings] if len(x) else []
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    ring = np.repeat(np.arange(len(rings)), [len(frame) for frame, _ in parts])
    frame, bond = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    start, end = x[frame, bonds[bond, 0]].astype(np.float64), x[frame, bonds[bond, 1]].astype(np.float64)
    corners = x[frame[:, None], rings[ring]].astype(np.float64)
    through = _through(start, end, corners)
    return frame[through], ring[through], bond[through]


def _near_ring(x: Floats, ring: Int64, bonds: Int64) -> tuple[Int64, Int64]:
    """Return the bonds that are near enough to a ring to pass through it, as frames and bonds, each (K,)."""
    others = np.flatnonzero(~np.isin(bonds, ring).any(axis=1))
    flat = coordinate_major(x).T  # (3, N, T)
    corners = flat[:, np.unique(ring)]
    centre = corners.mean(axis=1, keepdims=True)
    radius = np.sqrt(np.square(corners - centre).sum(axis=0).max(axis=0))
    a, b = flat[:, bonds[others, 0]], flat[:, bonds[others, 1]]
    # from the middle of the bond to the centre is no farther than both half sizes
    away = np.sqrt(np.square(0.5 * (a + b) - centre).sum(axis=0))
    half = 0.5 * np.sqrt(np.square(a - b).sum(axis=0))
    bond, frame = np.nonzero(away <= half + radius)
    return frame, others[bond]


def _through(start: Float64, end: Float64, corners: Float64) -> Bool:
    """Return which segments from points (K, 3) to others pass through the polygons with corners (K, 8, 3), (K,).

    References
    ----------
    T. Moeller, B. Trumbore, J. Graphics Tools 2, 21 (1997): intersection of a line and a triangle.
    """
    count = 1 + (np.abs(np.diff(corners, axis=1)).max(axis=2, initial=0.0) > 0.0).sum(axis=1)
    real = np.arange(LARGEST) < count[:, None]
    centre = (corners * real[..., None]).sum(axis=1) / count[:, None]
    along = (end - start)[:, None]
    first, second = corners - centre[:, None], np.roll(corners, -1, axis=1) - centre[:, None]
    across = np.cross(along, second)
    volume = (first * across).sum(axis=2)
    scale = np.where(np.abs(volume) > 1e-12, volume, np.inf)
    offset = (start - centre)[:, None]
    u = (offset * across).sum(axis=2) / scale
    other = np.cross(offset, first)
    v = (along * other).sum(axis=2) / scale
    t = (second * other).sum(axis=2) / scale
    inside = (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (t >= 0.0) & (t <= 1.0)
    return np.asarray((inside & np.isfinite(scale)).any(axis=1))


def unpierced(positions: Floats, rings: Int64, bonds: Int64, together: int = 256) -> Int64:
    """Return the rings (R, 8) that no bond passes through in any simulated frame (T, N, D)."""
    if positions.shape[2] != 3:
        return rings[:0]
    keep = np.ones(len(rings), dtype=bool)
    for first in range(0, len(positions), together):
        keep[pierced(positions[first : first + together], rings, bonds)[1]] = False
    return rings[keep]
