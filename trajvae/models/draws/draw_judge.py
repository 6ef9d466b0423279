"""How right draws are, beside frames: pair distances, torsions, and the share that is valid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.molecule.bonded_terms import omegas
from trajvae.molecule.histogram_divergence import histogram_divergence
from trajvae.molecule.observables import evaluate_all, pair_observables
from trajvae.molecule.validity import Validity
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats, Int64

_PAIRS = 300
_REDRAWS = 3  # times that a conformation is drawn, if it is not valid before


@dataclass(frozen=True)
class Judgement:
    """Hold how far draws are from the simulation.

    Attributes
    ----------
    pairs, torsions : float
        Mean Jensen-Shannon divergences of pair distances and of torsions, in bits.
    broken : float
        Share of draws that are not valid.
    """

    pairs: float
    torsions: float
    broken: float

    @property
    def total(self) -> float:
        """What is wrong, in bits: both divergences, and one bit for each draw that redraws leave broken."""
        return float(self.pairs + self.torsions + self.broken**_REDRAWS)

    def __str__(self) -> str:
        return f"pairs {self.pairs:.3f} bits, torsions {self.torsions:.3f} bits, {100 * (1 - self.broken):.0f} % valid"


class DrawJudge:
    """Compare draws with frames.

    Parameters
    ----------
    frames : ndarray, shape (T, N, D)
        In Å.
    topology : Topology
    validity : Validity
    """

    def __init__(self, frames: Floats, topology: Topology, validity: Validity) -> None:
        self.validity = validity
        self._items = pair_observables(topology.n_atoms, _PAIRS)
        self._torsions = _chains_of_four(topology.backbone_bonds(), topology.n_atoms)
        self._simulated = evaluate_all(self._items, frames), self._angles(frames)

    def judge(self, drawn: Floats) -> Judgement:
        """Judge draws (n, N, D) in Å."""
        values, (simulated, angles) = evaluate_all(self._items, drawn), self._simulated
        pairs = np.mean([histogram_divergence(simulated[o.name], values[o.name]) for o in self._items])
        turns = [histogram_divergence(a, b, 2 * np.pi) for a, b in zip(angles.T, self._angles(drawn).T, strict=True)]
        broken = 1.0 - float(self.validity.test(drawn).mean())
        return Judgement(float(pairs), float(np.mean(turns)) if turns else 0.0, broken)

    def _angles(self, frames: Floats) -> Float64:
        flat = frames.shape[2] == 2
        return np.empty((len(frames), 0)) if flat or not len(self._torsions) else omegas(frames, self._torsions)


def _chains_of_four(bonds: Int64, n_atoms: int) -> Int64:
    """Return one torsion about each bond that has atoms on both sides, (K, 4)."""
    neighbours: list[list[int]] = [[] for _ in range(n_atoms)]
    for a, b in bonds.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    found = []
    for j, k in bonds.tolist():
        before = [i for i in neighbours[j] if i != k]
        after = [m for m in neighbours[k] if m != j and m not in before[:1]]
        if before and after:
            found.append((before[0], j, k, after[0]))
    return np.array(found, dtype=np.int64).reshape(-1, 4)
