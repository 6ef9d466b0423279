"""Test whether conformations could come from a simulation: bonds, angles, contacts and chirality as simulated."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np

from trajvae.display import Brief
from trajvae.molecule.bonded_terms import (
    bond_angles,
    bond_lengths,
    coordinate_major,
    omegas,
    scalar_products,
    signed_volumes,
)
from trajvae.molecule.nonbonded_pairs import NonbondedPairs
from trajvae.molecule.observables import angles_of
from trajvae.molecule.simulated_terms import bend_limit, chiral_centres, peptide_bonds, planarity, widened_range
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Bool, Float64, Floats, Int64

CONTACT = 0.9  # smallest allowed distance, as a fraction of the smallest one in the simulation for the same elements
NEAR = 6.0  # Å; largest distance of near pairs
_BLOCK_NUMBERS, _BLOCK_FRAMES = 2**16, 16  # coordinates tested at a time, which fit a cache, and least number of frames
REASONS = ("valid", "bond", "angle", "contact", "chirality", "omega")


@dataclass(frozen=True, eq=False, repr=False)
class Validity(Brief):
    """Hold ranges learned from simulated frames, and test conformations by them.

    Attributes
    ----------
    bonds (B, 2), angles (A, 3), centres (C, 4) : ndarray of int64
        Atoms of bonds and angles; a chiral centre and three of its neighbours.
    bond_low, bond_high, angle_low, angle_high : ndarray
        Allowed ranges in Å and radians.
    handedness : ndarray, shape (C,)
        The sign, +1 or -1, that the triple product of each centre's bonds has in the simulation.
    kinds : ndarray, shape (N,)
        Each atom's element as a number.
    contact, contact_14 : ndarray, shape (K, K)
        Smallest allowed distances in Å between atoms of two kinds: of pairs more than three bonds apart, and of pairs
        three bonds apart.
    omega : ndarray of int64, shape (O, 4)
        Atoms of the torsions of peptide bonds.
    omega_bend : ndarray, shape (O,)
        Largest allowed deviation of each torsion from planar, in radians.
    omega_forms : ndarray of bool, shape (O, 2)
        Whether each peptide bond is cis, and whether it is trans, in any frame of the simulation.
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
        centres, handedness = chiral_centres(positions, bonds, n)
        omega = peptide_bonds(topology) if positions.shape[2] == 3 else np.empty((0, 4), dtype=np.int64)
        bend, cis = planarity(omegas(positions, omega))
        kinds = np.unique(topology.elements, return_inverse=True)[1].astype(np.int64)
        count = int(kinds.max()) + 1
        without_contacts = cls(
            bonds, angles, centres, bond_low, bond_high, angle_low, angle_high, handedness, kinds,
            np.full((count, count), np.inf), np.full((count, count), np.inf),
            omega, bend_limit(bend), np.stack([cis.any(axis=0), (~cis).any(axis=0)], axis=1),
        )  # fmt: skip
        contact, contact_14 = without_contacts._smallest_distances(positions)
        return replace(without_contacts, contact=CONTACT * contact, contact_14=CONTACT * contact_14)

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return all fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> Validity:
        """Return the test with the fields of `to_arrays`; files of early versions lack those of peptide bonds."""
        has_omega = any(name.startswith("omega") for name in arrays)
        out = cls(**{f.name: arrays[f.name] for f in fields(cls) if has_omega or not f.name.startswith("omega")})
        return replace(out, omega_forms=out.omega_forms.astype(bool))

    def reasons(self, positions: Floats) -> Int64:
        """Return the first test that each frame (T, N, D) fails, as an index into `REASONS`, (T,); 0 for valid."""
        step = max(_BLOCK_FRAMES, _BLOCK_NUMBERS // max(positions[:1].size, 1))
        parts = [self._first_failures(positions[i : i + step]) for i in range(0, len(positions), step)]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def _first_failures(self, positions: Floats) -> Int64:
        """Return `reasons` for a block of frames; a frame that fails a test is left out of the next tests."""
        out, left, x = np.zeros(len(positions), dtype=np.int64), np.arange(len(positions)), coordinate_major(positions)
        tests = (self._fail_bonds, self._fail_angles, self._fail_contacts, self._fail_chirality, self._fail_omega)
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

    def _fail_bonds(self, positions: Floats) -> Bool:
        """Return which frames have a bond out of range, or a coordinate that is not finite, (T,)."""
        lengths = bond_lengths(positions, self.bonds)
        inside = ((lengths >= self.bond_low) & (lengths <= self.bond_high)).all(axis=1)
        return np.asarray(~(inside & np.isfinite(positions).all(axis=(1, 2))))

    def _fail_angles(self, positions: Floats) -> Bool:
        """Return which frames have a bond angle out of range, (T,)."""
        angles = bond_angles(positions, self.angles)
        return np.asarray(((angles < self.angle_low) | (angles > self.angle_high)).any(axis=1))

    def _fail_chirality(self, positions: Floats) -> Bool:
        """Return which frames have a chiral centre of the wrong handedness, (T,)."""
        if not len(self.centres):
            return np.zeros(len(positions), dtype=bool)
        return np.asarray((signed_volumes(positions, self.centres) * self.handedness <= 0).any(axis=1))

    def _fail_omega(self, positions: Floats) -> Bool:
        """Return which frames have a peptide bond far from planar, or in a form (cis, trans) never simulated, (T,)."""
        bend, cis = planarity(omegas(positions, self.omega))
        simulated = np.where(cis, self.omega_forms[:, 0], self.omega_forms[:, 1])
        return np.asarray(((bend > self.omega_bend) | ~simulated).any(axis=1))

    @functools.cached_property
    def _pairs(self) -> NonbondedPairs:
        """The pairs of atoms that are three or more bonds apart."""
        return NonbondedPairs(self.bonds, len(self.kinds))

    def _smallest_distances(self, positions: Floats) -> tuple[Float64, Float64]:
        """Return the smallest distances in any frame by kinds of two atoms, (K, K), `NEAR` at most.

        The first table is that of pairs more than three bonds apart, the second that of pairs three bonds apart.
        """
        shape = self.contact.shape
        tables = [np.full(shape, np.inf), np.full(shape, np.inf)]
        for _, lengths, i, j, is_14 in self._pairs.distances(positions, NEAR):
            smallest = lengths.min(axis=0)
            for table, rows in zip(tables, (~is_14, is_14), strict=True):
                np.minimum.at(table, (self.kinds[i[rows]], self.kinds[j[rows]]), smallest[rows])
        out = [np.minimum(t, t.T) for t in tables]
        return np.minimum(out[0], NEAR), np.minimum(out[1], NEAR)

    def contacts(self, positions: Floats) -> Iterator[tuple[int, Float64, Int64, Int64, Float64]]:
        """Yield the distances of pairs three or more bonds apart that may be too near, for blocks of frames.

        Yields
        ------
        first : int
            Number of the first frame of the block.
        distances : ndarray, shape (t, P)
        i, j : ndarray of int64, shape (P,)
            Atoms of the pairs.
        limits : ndarray, shape (P,)
            Smallest allowed distances in Å.
        """
        reach = float(max(self.contact.max(initial=0.0), self.contact_14.max(initial=0.0)))
        for first, lengths, i, j, is_14 in self._pairs.distances(positions, reach):
            a, b = self.kinds[i], self.kinds[j]
            yield first, lengths, i, j, np.where(is_14, self.contact_14[a, b], self.contact[a, b])

    @functools.cached_property
    def _contact_limits(self) -> Float64:
        """Smallest allowed distances of all pairs in Å, (N, N); 0 for pairs that may be at any distance."""
        i, j, is_14 = self._pairs.all_pairs
        a, b = self.kinds[i], self.kinds[j]
        out = np.zeros((len(self.kinds), len(self.kinds)))
        out[i, j] = np.where(is_14, self.contact_14[a, b], self.contact[a, b])
        return out

    def _fail_contacts(self, positions: Floats) -> Bool:
        """Return which frames have two atoms that are too near each other, (T,)."""
        out = np.zeros(len(positions), dtype=bool)
        if not self._pairs.are_few:
            for first, lengths, _, _, limit in self.contacts(positions):
                out[first : first + len(lengths)] |= (lengths < limit).any(axis=1)
            return out
        flat = coordinate_major(positions).T
        # each atom with all later ones, so that coordinates are not copied
        for i, limit in enumerate(self._contact_limits[:-1]):
            vectors = (flat[:, i + 1 :] - flat[:, i : i + 1]).T
            out |= (np.sqrt(scalar_products(vectors, vectors)) < limit[i + 1 :]).any(axis=1)
        return out
