"""Which of many structures come first, which of them are one, and why better ones were put behind."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from trajvae.alignment.distances import rmsd_matrix
from trajvae.figures import RejectionFigures
from trajvae.models.record import TrainingRecord
from trajvae.molecule.bonded_terms import bond_angles, bond_lengths
from trajvae.molecule.validity import REASONS
from trajvae.outputs.searching.failures import explain
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Int64

OUTSIDE, UNFAMILIAR = "out of support", "unfamiliar"
_WORDS = {
    OUTSIDE: "its latent point lies where no training frames are",
    UNFAMILIAR: "a bond or an angle beyond those of all frames that the model keeps",
}
_NEAR, _FAR = 0.1, 0.5  # Å; two structures that are nearer are one, however fine a model is, or however coarse
_LOOKED_AT, _TOGETHER = 2000, 250  # candidates that are looked at for `keep` different ones, and at once


@dataclass(frozen=True, eq=False)
class Candidates:
    """Hold structures that were found, with what was measured of each; arrays of shape (n, ...).

    Attributes
    ----------
    latent, positions : ndarray
    start : ndarray of int64
        The start of the descent that each came from.
    value, cost : ndarray
        The objective, and what is minimised.
    reason : ndarray of int64
        See `validity.REASONS`.
    inside : ndarray of bool
        Whether z lies in the simulation's support.
    familiar : ndarray of bool
    projected : ndarray of bool
        Whether it was moved into the allowed ranges.
    """

    latent: Float64
    positions: Float64
    start: Int64
    value: Float64
    cost: Float64
    reason: Int64
    inside: Bool
    familiar: Bool
    projected: Bool

    @property
    def valid(self) -> Bool:
        """Whether each structure passes the validity test, (n,)."""
        return np.asarray(self.reason == 0)

    @property
    def good(self) -> Bool:
        """Whether each structure is valid and in support, (n,)."""
        return self.valid & self.inside

    def take(self, rows: Int64) -> Candidates:
        """Return some of the structures."""
        return Candidates(*(getattr(self, f.name)[rows] for f in fields(self)))

    def join(self, other: Candidates) -> Candidates:
        """Return these structures and others."""
        return Candidates(*(np.concatenate([getattr(c, f.name) for c in (self, other)]) for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Ranked:
    """Hold what is returned of many candidates.

    Attributes
    ----------
    kept : Candidates
        Best first, no two alike.
    merged : ndarray of int64
        How many candidates each stands for, itself included.
    rejected : tuple of RejectionFigures
        Why better candidates than the first were put behind; see `rejections`.
    radius : float
        Å; structures nearer than that count once.
    """

    kept: Candidates
    merged: Int64
    rejected: tuple[RejectionFigures, ...]
    radius: float


def familiar(positions: Float64, record: TrainingRecord) -> Bool:
    """Return whether every bond and angle lies in the range of the frames that the model keeps, not widened, (n,)."""
    out = np.ones(len(positions), dtype=bool)
    for terms, atoms in ((bond_lengths, record.validity.bonds), (bond_angles, record.validity.angles)):
        known, mine = terms(record.sample, atoms), terms(positions, atoms)
        out &= ((mine >= known.min(axis=0)) & (mine <= known.max(axis=0))).all(axis=1)
    return out


def rank(found: Candidates, record: TrainingRecord, topology: Topology, wanted: float, keep: int) -> Ranked:
    """Return the best candidates: valid and in support first, then with familiar bonds, then by the objective.

    The best of many draws is best partly because its noise shrank bonds as far as the validity test lets it; among
    valid draws those come first whose every bond and angle the kept frames have too, as far as they reach what was
    wanted: a familiar structure from the middle of the range is no optimum.

    Parameters
    ----------
    found : Candidates
    record : TrainingRecord
    topology : Topology
    wanted : float
        The cost of the expectation at the best optimum.
    keep : int
    """
    first = found.familiar & (found.cost <= wanted)
    order = np.lexsort((found.cost, ~first, ~found.good, ~found.inside))
    radius = float(np.clip(record.figures.rmsd, _NEAR, _FAR))
    chosen, merged = _different(found, order, radius, keep)
    best = chosen[0]
    better = np.flatnonzero(found.cost < found.cost[best])
    return Ranked(found.take(chosen), merged, rejections(found, better, record, topology), radius)


def _different(found: Candidates, order: Int64, radius: float, keep: int) -> tuple[Int64, Int64]:
    """The first `keep` that are further than the radius from each other, and how many were like each."""
    chosen: list[int] = []
    count: list[int] = []
    for first in range(0, min(len(order), _LOOKED_AT), _TOGETHER):
        rows = order[first : first + _TOGETHER]
        while len(rows) and (len(chosen) < keep or first == 0):
            known = np.array(chosen, dtype=np.int64)
            if len(known):
                table = rmsd_matrix(found.positions[rows], found.positions[known])
                like = table.min(axis=1) <= radius
                for k in table[like].argmin(axis=1):
                    count[int(k)] += 1
                rows = rows[~like]
            if len(chosen) == keep or not len(rows):
                break
            chosen.append(int(rows[0]))
            count.append(1)
            rows = rows[1:]
        if len(chosen) == keep:
            break
    return np.array(chosen, dtype=np.int64), np.array(count, dtype=np.int64)


def rejections(
    found: Candidates, better: Int64, record: TrainingRecord, topology: Topology
) -> tuple[RejectionFigures, ...]:
    """Return why candidates with better objectives were ranked behind, one entry a reason, the best first."""
    names = np.array([*REASONS, OUTSIDE, UNFAMILIAR])
    place = np.where(found.valid[better], len(REASONS) + found.inside[better], found.reason[better])
    out: list[tuple[float, RejectionFigures]] = []
    for k in np.unique(place):
        rows = better[place == k]
        best = int(rows[np.argmin(found.cost[rows])])
        words = _WORDS.get(str(names[k])) or explain(record.validity, topology, found.positions[best])
        entry = RejectionFigures(reason=str(names[k]), count=len(rows), best=float(found.value[best]), why=words)
        out.append((float(found.cost[best]), entry))
    return tuple(entry for _, entry in sorted(out, key=lambda pair: pair[0]))
