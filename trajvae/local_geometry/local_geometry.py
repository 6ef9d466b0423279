"""Local geometry: bonds, angles and torsions of drawn conformations become those of the simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from trajvae.display import Brief
from trajvae.local_geometry.angle_coupling import AngleCoupling
from trajvae.local_geometry.bonded import BondedTerms
from trajvae.local_geometry.least_squares import solve
from trajvae.local_geometry.quantile_tables import QuantileTables
from trajvae.local_geometry.walls import Walls
from trajvae.runtime.progress import count_rows
from trajvae.runtime.threads import map_in_order
from trajvae.typing import AnyArray, Float64, Floats, Int64

_SHARE = 0.2  # of a term's simulated standard deviation: how far it may be from its target
_SMALLEST = (0.003, 0.01, 0.02)  # Å, radians, radians: the same of bonds, angles and torsions, at least
_TAIL = 0.1  # probability beyond which a term of a mean structure is not usual
_ATOMS_TOGETHER = 12_800  # in conformations worked on at once: their derivatives fit a cache
_TOGETHER = (64, 1024)  # conformations worked on at once, at least and at most


@dataclass(frozen=True, eq=False, repr=False)
class LocalGeometry(Brief):
    """Hold the bonded terms of a molecule with their tables, and give conformations the simulation's local geometry.

    Attributes
    ----------
    terms : BondedTerms
    tables : QuantileTables
    coupling : AngleCoupling
        Applied to what the tables give.
    walls : Walls or None
        Pairs of atoms that must not be near each other.
    neighbours : int
        Of how many near training frames a draw combines the residuals; 0 where it is drawn from p(x|z).
    """

    terms: BondedTerms
    tables: QuantileTables
    coupling: AngleCoupling
    walls: Walls | None
    neighbours: int = 0

    @classmethod
    def fit(cls, bonds: Int64, simulated: Floats, drawn: Floats, walls: Walls | None) -> LocalGeometry:
        """Return the local geometry that maps drawn conformations (S, N, D) to simulated ones (T, N, D).

        Parameters
        ----------
        bonds : ndarray of int64, shape (B, 2)
        simulated, drawn : ndarray
            In Å.
        walls : Walls, optional
        """
        terms = BondedTerms.of(bonds, simulated.shape[1], simulated.shape[2])
        ours, theirs = _measured(terms, drawn), _measured(terms, simulated)
        tables = QuantileTables.fit(ours, theirs, len(terms.torsions))
        matched = tables.matched(torch.from_numpy(ours.T)).T.numpy()
        return cls(terms, tables, AngleCoupling.fit(terms, matched, theirs), walls)

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return the tables and the atoms of the terms by name; walls follow from the test of validity."""
        atoms = {"bonds": self.terms.bonds, "angles": self.terms.angles, "torsions": self.terms.torsions}
        others = {"coupling": self.coupling.coefficients, "neighbours": np.array([self.neighbours])}
        return {**atoms, **self.tables.to_arrays(), **others}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray], walls: Walls | None) -> LocalGeometry:
        """Return the local geometry with the fields of `to_arrays`."""
        terms = BondedTerms(*(np.asarray(arrays[k], dtype=np.int64) for k in ("bonds", "angles", "torsions")))
        neighbours = arrays.get("neighbours", np.zeros(1))  # files of earlier versions have neither
        coupling = AngleCoupling.of(terms, arrays.get("coupling"))
        return cls(terms, QuantileTables.from_arrays(arrays), coupling, walls, int(neighbours[0]))

    @cached_property
    def width(self) -> Float64:
        """How far each term may be from its target, (K,), in Å or radians."""
        kinds = [len(self.terms.bonds), len(self.terms.angles), len(self.terms.torsions)]
        return np.asarray(np.maximum(_SHARE * self.tables.deviation, np.repeat(_SMALLEST, kinds)), dtype=np.float64)

    def restore(self, positions: Floats, *, mean: bool = False, workers: int = 1) -> Float64:
        """Return the conformations nearest to drawn ones that have the simulation's bonds, angles and torsions.

        Every term takes the simulated value with the rank that its drawn value has among the model's draws, so that
        terms are distributed as simulated and stay correlated as drawn, but for angles and their bonds, which are
        correlated as simulated. Atoms move as little as that needs.

        Parameters
        ----------
        positions : ndarray, shape (n, N, D)
            Draws from p(x|z) in Å.
        mean : bool
            Whether positions are means of p(x|z), which have no such distribution: a term keeps its value where that
            is usual in the simulation (80 % of its values), else it takes the nearest usual one.
        workers : int
            Threads that work at once.

        Returns
        -------
        ndarray, shape (n, N, D)
            Each depends on its own draw only, not on the others.
        """
        together = int(np.clip(_ATOMS_TOGETHER // positions.shape[1], *_TOGETHER))
        parts = [positions[i : i + together] for i in range(0, len(positions), together)]
        done = map_in_order(lambda part: self._restore(part, mean), parts, workers)
        told = count_rows(done, lambda part: part, "restoring bonds and angles", "conformation", len(positions))
        return np.concatenate([np.empty((0, *positions.shape[1:])), *told])

    def matched(self, values: Tensor) -> Tensor:
        """Return the simulated values of terms (K, B) that drawn values are mapped to, (K, B)."""
        return self.coupling.apply(self.tables.matched(values))

    @torch.no_grad()
    def _restore(self, positions: Floats, mean: bool) -> Float64:
        middle = positions.mean(axis=1, keepdims=True, dtype=np.float64)  # single precision suffices near the origin
        x = _conformations_last(positions - middle)
        values = self.terms.values(x.double())
        targets = self.tables.nearest_usual(values, _TAIL) if mean else self.matched(values)
        width = torch.from_numpy(self.width[:, None]).to(x)
        moved = solve(self.terms, targets.to(x), width, x, self.walls)
        return np.asarray(moved.permute(2, 0, 1).double().numpy() + middle, dtype=np.float64)


def _measured(terms: BondedTerms, frames: Floats) -> Float64:
    """Return the values of terms in frames (T, N, D), (T, K)."""
    step = 1000
    parts = [
        terms.values(_conformations_last(frames[i : i + step]).double()).T.numpy() for i in range(0, len(frames), step)
    ]
    return np.concatenate(parts)


def _conformations_last(positions: Floats) -> Tensor:
    """Return positions (n, N, D) as (N, D, n) in single precision."""
    return torch.from_numpy(np.ascontiguousarray(positions, dtype=np.float32)).permute(1, 2, 0).contiguous()
