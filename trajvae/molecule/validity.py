"""Whether a conformation could come from the simulation: bonds, angles, contacts and chirality as it has them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import scipy

from trajvae.display import Brief
from trajvae.molecule.bonded_terms import (
    bond_angles,
    bond_lengths,
    coordinate_major,
    omegas,
    scalar_products,
    signed_volumes,
)
from trajvae.molecule.observables import angles_of
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Bool, Float64, Floats, Int64

CONTACT = 0.9  # share of the simulation's smallest distance of a pair type
DENSE = 300  # atoms up to which all pairs are looked at; beyond, a tree of those near each other is faster
NEAR = 6.0  # Å; how near
_AT_ONCE, _FEWEST = 2**16, 16  # coordinates that are judged at once, and frames at least: what a cache holds
REASONS = ("valid", "bond", "angle", "contact", "chirality", "omega")


def widened_range(values: Float64) -> tuple[Float64, Float64]:
    """Return smallest and largest values of terms (T, K), widened by a quarter of the range or five deviations."""
    low, high = values.min(axis=0), values.max(axis=0)
    robust = 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    margin = np.maximum((high - low) / 4.0, 5.0 * robust)
    return low - margin, high + margin


@dataclass(frozen=True, eq=False, repr=False)
class Validity(Brief):
    """Test conformations against ranges learned from simulated frames.

    Attributes
    ----------
    bonds (B, 2), angles (A, 3), centres (C, 4) : ndarray of int64
    bond_low, bond_high, angle_low, angle_high : ndarray
        Allowed ranges in Å and radians.
    handedness : ndarray, shape (C,)
        +1 or -1.
    kinds : ndarray, shape (N,)
        Each atom's element as a number.
    contact, contact_14 : ndarray, shape (K, K)
        Smallest allowed distance in Å by kinds, of unbonded pairs and of pairs three bonds apart.
    omega : ndarray of int64, shape (O, 4)
        Peptide bonds, by the atoms of their torsions.
    omega_bend : ndarray, shape (O,)
        How far in radians each may be from planar.
    omega_forms : ndarray of bool, shape (O, 2)
        Whether the simulation has it cis, and trans.
    """

    bonds: Int64
    angles: Int64
    centres: Int64
    bond_low: Float64
    bond_high: Float64
    angle_low: Float64
    angle_high: Float64
    handedness: Float64
    kinds: Int64
    contact: Float64
    contact_14: Float64
    omega: Int64 = field(default_factory=lambda: np.empty((0, 4), dtype=np.int64))
    omega_bend: Float64 = field(default_factory=lambda: np.empty(0))
    omega_forms: Bool = field(default_factory=lambda: np.empty((0, 2), dtype=bool))

    @classmethod
    def fit(cls, positions: Floats, topology: Topology) -> Validity:
        """Learn the ranges from simulated frames (T, N, D)."""
        n = topology.n_atoms
        bonds = topology.backbone_bonds()
        angles = angles_of(bonds, n)
        bond_low, bond_high = widened_range(bond_lengths(positions, bonds))
        angle_low, angle_high = widened_range(bond_angles(positions, angles))
        centres, handedness = _chiral_centres(positions, bonds, n)
        omega = peptide_bonds(topology) if positions.shape[2] == 3 else np.empty((0, 4), dtype=np.int64)
        bend, cis = _planarity(omegas(positions, omega))
        kinds = np.unique(topology.elements, return_inverse=True)[1].astype(np.int64)
        count = int(kinds.max()) + 1
        blank = cls(
            bonds, angles, centres, bond_low, bond_high, angle_low, angle_high, handedness, kinds,
            np.full((count, count), np.inf), np.full((count, count), np.inf),
            omega, _bend_limit(bend), np.stack([cis.any(axis=0), (~cis).any(axis=0)], axis=1),
        )  # fmt: skip
        contact, contact_14 = blank._smallest(positions)
        return cls(**{**blank.to_arrays(), "contact": CONTACT * contact, "contact_14": CONTACT * contact_14})

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return all fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> Validity:
        """Return the test of `to_arrays`; where peptide bonds were not looked at, all of theirs are absent."""
        looked_at = any(name.startswith("omega") for name in arrays)
        out = cls(**{f.name: arrays[f.name] for f in fields(cls) if looked_at or not f.name.startswith("omega")})
        return replace(out, omega_forms=out.omega_forms.astype(bool))

    def reasons(self, positions: Floats) -> Int64:
        """Return the first test that each frame (T, N, D) fails, as an index into `REASONS`, (T,); 0 for valid."""
        step = max(_FEWEST, _AT_ONCE // max(positions[:1].size, 1))
        parts = [self._first_failures(positions[i : i + step]) for i in range(0, len(positions), step)]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def _first_failures(self, positions: Floats) -> Int64:
        """As `reasons`, of a few frames; each is looked at until it fails."""
        out, left, x = np.zeros(len(positions), dtype=np.int64), np.arange(len(positions)), coordinate_major(positions)
        tests = (self._stretched, self._bent, self._clashes, self._mirrored, self._twisted)
        for reason, test in enumerate(tests, start=1):
            failed = test(x)
            out[left[failed]] = reason
            if failed.all():
                break
            if failed.any():
                left, x = left[~failed], x.T[..., ~failed].T
        return out

    def test(self, positions: Floats) -> Bool:
        """Return whether each frame (T, N, D) is valid, (T,)."""
        return np.asarray(self.reasons(positions) == 0)

    def _stretched(self, positions: Floats) -> Bool:
        lengths = bond_lengths(positions, self.bonds)
        inside = ((lengths >= self.bond_low) & (lengths <= self.bond_high)).all(axis=1)
        return np.asarray(~(inside & np.isfinite(positions).all(axis=(1, 2))))

    def _bent(self, positions: Floats) -> Bool:
        bends = bond_angles(positions, self.angles)
        return np.asarray(((bends < self.angle_low) | (bends > self.angle_high)).any(axis=1))

    def _mirrored(self, positions: Floats) -> Bool:
        if not len(self.centres):
            return np.zeros(len(positions), dtype=bool)
        return np.asarray((signed_volumes(positions, self.centres) * self.handedness <= 0).any(axis=1))

    def _twisted(self, positions: Floats) -> Bool:
        bend, cis = _planarity(omegas(positions, self.omega))
        form = np.where(cis, self.omega_forms[:, 0], self.omega_forms[:, 1])
        return np.asarray(((bend > self.omega_bend) | ~form).any(axis=1))

    @functools.cached_property
    def _near_pairs(self) -> tuple[Int64, Int64]:
        """Pairs up to two bonds apart, and three bonds apart, as sorted numbers i * N + j."""
        n = len(self.kinds)
        ones = np.ones(len(self.bonds))
        graph = scipy.sparse.coo_array((ones, (self.bonds[:, 0], self.bonds[:, 1])), shape=(n, n)).tocsr()
        graph = graph + graph.T
        two = graph + graph @ graph
        three = two @ graph
        codes = []
        for matrix in (two, three):
            entries = matrix.tocoo()
            upper = entries.row < entries.col
            codes.append(np.unique(entries.row[upper].astype(np.int64) * n + entries.col[upper]))
        return codes[0], np.setdiff1d(codes[1], codes[0])

    @functools.cached_property
    def _all_pairs(self) -> tuple[Int64, Int64, Bool]:
        """Every unbonded pair, and whether it is three bonds apart."""
        n = len(self.kinds)
        near, fourth = self._near_pairs
        i, j = np.triu_indices(n, 1)
        keep = ~np.isin(i * n + j, near, assume_unique=True)
        i, j = i[keep], j[keep]
        return i, j, np.isin(i * n + j, fourth, assume_unique=True)

    def _frames_of_pairs(self, positions: Floats, reach: float) -> Any:
        """Yield (first frame, distances (t, P), i (P,), j (P,), 1-4 (P,)) for the unbonded pairs of some frames."""
        n = len(self.kinds)
        near, fourth = self._near_pairs
        if n <= DENSE:
            i, j, is_14 = self._all_pairs
            step = int(np.clip(4_000_000 // max(len(i), 1), 1, 4096))
            for first in range(0, len(positions) if len(i) else 0, step):
                x = positions[first : first + step].astype(np.float64)
                square = sum(np.square(x[:, i, d] - x[:, j, d]) for d in range(x.shape[2]))
                yield first, np.sqrt(square), i, j, is_14
            return
        for first, x in enumerate(positions):
            pairs = scipy.spatial.cKDTree(x).query_pairs(reach, output_type="ndarray")
            pairs = pairs[~np.isin(pairs[:, 0] * n + pairs[:, 1], near)]
            is_14 = np.isin(pairs[:, 0] * n + pairs[:, 1], fourth)
            lengths = np.linalg.norm(x[pairs[:, 0]].astype(np.float64) - x[pairs[:, 1]], axis=-1)
            yield first, lengths[None], pairs[:, 0], pairs[:, 1], is_14

    def _smallest(self, positions: Floats) -> tuple[Float64, Float64]:
        """Smallest distance by pair of kinds in any frame, `NEAR` at most."""
        shape = self.contact.shape
        tables = [np.full(shape, np.inf), np.full(shape, np.inf)]
        for _, lengths, i, j, is_14 in self._frames_of_pairs(positions, NEAR):
            least = lengths.min(axis=0)
            for table, rows in zip(tables, (~is_14, is_14), strict=True):
                np.minimum.at(table, (self.kinds[i[rows]], self.kinds[j[rows]]), least[rows])
        out = [np.minimum(t, t.T) for t in tables]
        return np.minimum(out[0], NEAR), np.minimum(out[1], NEAR)

    def contacts(self, positions: Floats) -> Any:
        """Yield (first frame, distances (t, P), i (P,), j (P,), smallest allowed distances (P,)) of unbonded pairs."""
        reach = float(max(self.contact.max(initial=0.0), self.contact_14.max(initial=0.0)))
        for first, lengths, i, j, is_14 in self._frames_of_pairs(positions, reach):
            a, b = self.kinds[i], self.kinds[j]
            yield first, lengths, i, j, np.where(is_14, self.contact_14[a, b], self.contact[a, b])

    @functools.cached_property
    def _least(self) -> Float64:
        """The smallest allowed distance of every pair, (N, N); 0 where there is none."""
        i, j, is_14 = self._all_pairs
        a, b = self.kinds[i], self.kinds[j]
        out = np.zeros((len(self.kinds), len(self.kinds)))
        out[i, j] = np.where(is_14, self.contact_14[a, b], self.contact[a, b])
        return out

    def _clashes(self, positions: Floats) -> Bool:
        out = np.zeros(len(positions), dtype=bool)
        if len(self.kinds) > DENSE:
            for first, lengths, _, _, limit in self.contacts(positions):
                out[first : first + len(lengths)] |= (lengths < limit).any(axis=1)
            return out
        flat = coordinate_major(positions).T
        for i, limit in enumerate(self._least[:-1]):  # each atom with all behind it: no copies of coordinates
            apart = (flat[:, i + 1 :] - flat[:, i : i + 1]).T
            out |= (np.sqrt(scalar_products(apart, apart)) < limit[i + 1 :]).any(axis=1)
        return out


def _bend_limit(bend: Float64) -> Float64:
    """As other ranges, but not beyond halfway from the largest bend (T, O) to the right angle between cis and trans."""
    return np.asarray(np.minimum(widened_range(bend)[1], 0.5 * (bend.max(axis=0) + np.pi / 2)))


def _planarity(omega: Float64) -> tuple[Float64, Bool]:
    """How far torsions are from planar, in [0, pi / 2], and whether each is on the cis side."""
    size = np.abs(omega)
    return np.minimum(size, np.pi - size), np.asarray(size < np.pi / 2)


def peptide_bonds(topology: Topology) -> Int64:
    """Return the torsions C-C-N-C of all bonds between a C and an N of different residues, (O, 4)."""
    around: list[list[int]] = [[] for _ in range(topology.n_atoms)]
    for a, b in topology.bonds.tolist():
        around[a].append(b)
        around[b].append(a)
    found = []
    for a, b in topology.bonds.tolist():
        c, n = (a, b) if topology.names[a] == "C" else (b, a)
        if (topology.names[c], topology.names[n]) != ("C", "N") or topology.residues[c] == topology.residues[n]:
            continue
        ends = [[k for k in around[i] if k not in (c, n) and topology.elements[k] == "C"] for i in (c, n)]
        if ends[0] and ends[1]:
            found.append((ends[0][0], c, n, min(ends[1], key=lambda k: topology.names[k] != "CA")))
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def _chiral_centres(positions: Floats, bonds: Int64, n: int) -> tuple[Int64, Float64]:
    """Atoms with three or more neighbours whose handedness never changes and that are far from planar."""
    around: list[list[int]] = [[] for _ in range(n)]
    for a, b in bonds.tolist():
        around[a].append(b)
        around[b].append(a)
    found = [[j, *sorted(near)[:3]] for j, near in enumerate(around) if len(near) >= 3]
    centres = np.array(found, dtype=np.int64).reshape(-1, 4)
    if positions.shape[2] != 3 or not len(centres):
        return np.empty((0, 4), dtype=np.int64), np.empty(0)
    volumes = signed_volumes(positions, centres)
    sign = np.sign(volumes.mean(axis=0))
    steady = ((volumes * sign) > 0).all(axis=0) & (np.abs(volumes.mean(axis=0)) > 0.3)
    return centres[steady], sign[steady]
