"""Test whether conformations could come from a simulation: bonds, angles, contacts and shape as simulated."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from trajvae.molecule.bonded_terms import (
    bond_angles,
    bond_lengths,
    chain_volumes,
    coordinate_major,
    omegas,
    scalar_products,
    signed_volumes,
)
from trajvae.molecule.nonbonded_pairs import NonbondedPairs
from trajvae.molecule.simulated_terms import planarity
from trajvae.molecule.validity.handedness import KINDS
from trajvae.molecule.validity.learned_terms import CONTACT, NEAR, LearnedTerms
from trajvae.molecule.validity.learning import learn_terms
from trajvae.molecule.validity.real_bonds import bonds_that_hold
from trajvae.molecule.validity.rings import pierced
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Floats, Int64

_BLOCK_NUMBERS, _BLOCK_FRAMES = 2**16, 16  # coordinates tested at a time, which fit a cache, and least number of frames
REASONS = ("valid", "bond", "angle", "contact", "chirality", "omega", "planarity", "handedness", "ring")


@dataclass(frozen=True, eq=False, repr=False)
class Validity(LearnedTerms):
    """Hold ranges learned from simulated frames, and test conformations by them.

    The attributes are those of `learned_terms.LearnedTerms`.
    """

    @classmethod
    def fit(cls, positions: Floats, topology: Topology) -> Validity:
        """Learn the ranges from simulated frames (T, N, D).

        Warns
        -----
        TrajvaeWarning
            Bonds of the topology that are none in the frames; they are left out.
        """
        without_contacts = cls(**learn_terms(positions, topology, bonds_that_hold(positions, topology)))
        contact, contact_14 = without_contacts._smallest_distances(positions)
        return replace(without_contacts, contact=CONTACT * contact, contact_14=CONTACT * contact_14)

    def reasons(self, positions: Floats) -> Int64:
        """Return the first test that each frame (T, N, D) fails, as an index into `REASONS`, (T,); 0 for valid."""
        step = max(_BLOCK_FRAMES, _BLOCK_NUMBERS // max(positions[:1].size, 1))
        parts = [self._first_failures(positions[i : i + step]) for i in range(0, len(positions), step)]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def _first_failures(self, positions: Floats) -> Int64:
        """Return `reasons` for a block of frames; a frame that fails a test is left out of the next tests."""
        out, left, x = np.zeros(len(positions), dtype=np.int64), np.arange(len(positions)), coordinate_major(positions)
        tests = (
            self._fail_bonds,
            self._fail_angles,
            self._fail_contacts,
            self._fail_chirality,
            self._fail_omega,
            self._fail_planarity,
            self._fail_handedness,
            self._fail_rings,
        )
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
        if len(self.stretch) and len(self.bonds):
            mean = self.mean_stretch(lengths)
            inside &= (mean >= self.stretch[0]) & (mean <= self.stretch[1])
        return np.asarray(~(inside & np.isfinite(positions).all(axis=(1, 2))))

    def mean_stretch(self, lengths: Float64) -> Float64:
        """Return the mean deviation of bond lengths (T, B) from the simulation's, in standard deviations, (T,)."""
        weights = 1.0 / self.bond_spread
        return np.asarray((lengths @ weights - self.bond_mean @ weights) / len(weights))

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

    def _fail_planarity(self, positions: Floats) -> Bool:
        """Return which frames have a planar centre that is out of the plane of its neighbours, (T,)."""
        if not len(self.planes):
            return np.zeros(len(positions), dtype=bool)
        volumes = signed_volumes(positions, self.planes)
        return np.asarray(((volumes < self.plane_low) | (volumes > self.plane_high)).any(axis=1))

    def _fail_handedness(self, positions: Floats) -> Bool:
        """Return which frames have a chain of the wrong handedness, as a whole or at four atoms in a row, (T,)."""
        if not len(self.fours):
            return np.zeros(len(positions), dtype=bool)
        volumes = chain_volumes(positions, self.fours)
        wrong = (volumes * self.four_sign < 0.0).any(axis=1)
        for kind in range(len(KINDS)):
            which = self.four_kind == kind
            if which.any():
                mean = volumes[:, which].mean(axis=1)
                wrong |= (mean < self.chain_low[kind]) | (mean > self.chain_high[kind])
        return np.asarray(wrong)

    def _fail_rings(self, positions: Floats) -> Bool:
        """Return which frames have a bond through a small ring, (T,)."""
        out = np.zeros(len(positions), dtype=bool)
        out[pierced(positions, self.rings, self.bonds)[0]] = True
        return out

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

    def contacts(self, positions: Floats, beyond: float = 0.0) -> Iterator[tuple[int, Float64, Int64, Int64, Float64]]:
        """Yield the distances of pairs three or more bonds apart that may be too near, for blocks of frames.

        Parameters
        ----------
        positions : ndarray, shape (T, N, D)
            In Å.
        beyond : float
            Distance in Å by which pairs may be farther apart than is allowed, and are known nevertheless.

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
        for first, lengths, i, j, is_14 in self._pairs.distances(positions, reach + beyond):
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
