"""Normal models of a molecule's conformations that cost no training, and how right their draws are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.features import Features, FittingData
from trajvae.local_geometry import LocalGeometry
from trajvae.models.geometry_fit import walls_of
from trajvae.molecule.bonded_terms import omegas
from trajvae.molecule.histogram_divergence import histogram_divergence
from trajvae.molecule.observables import evaluate_all, pair_observables
from trajvae.molecule.validity import Validity
from trajvae.typing import Float64, Floats, Int64

_PAIRS = 300
_REDRAWS = 3  # times that a conformation is drawn, if it is not valid before
_DRAWS = 400  # that are judged; giving them local geometry takes most of the time


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


class Judge:
    """Compare draws with training frames, after what `generate` does to draws of their kind.

    Parameters
    ----------
    data : FittingData
    """

    def __init__(self, data: FittingData) -> None:
        self._frames, topology = data.frames, data.topology
        self.validity = Validity.fit(data.frames, topology)
        self._items = pair_observables(topology.n_atoms, _PAIRS)
        self._torsions = _chains_of_four(topology.backbone_bonds(), topology.n_atoms)
        self._simulated = evaluate_all(self._items, data.frames), self._angles(data.frames)

    def judge(self, features: Features) -> Judgement:
        """Judge draws of a normal distribution of features."""
        drawn = quick_draws(features, self._frames, _DRAWS)
        if features.kind == "cartesian" and len(self.validity.bonds):
            drawn = self._with_local_geometry(drawn)
        values, (simulated, angles) = evaluate_all(self._items, drawn), self._simulated
        pairs = np.mean([histogram_divergence(simulated[o.name], values[o.name]) for o in self._items])
        turns = [histogram_divergence(a, b, 2 * np.pi) for a, b in zip(angles.T, self._angles(drawn).T, strict=True)]
        broken = 1.0 - float(self.validity.test(drawn).mean())
        return Judgement(float(pairs), float(np.mean(turns)) if turns else 0.0, broken)

    def _angles(self, frames: Floats) -> Float64:
        flat = frames.shape[2] == 2
        return np.empty((len(frames), 0)) if flat or not len(self._torsions) else omegas(frames, self._torsions)

    def _with_local_geometry(self, drawn: Float64) -> Float64:
        """Bonds are not held against Cartesian draws: they are given the simulation's, as `generate` does."""
        geometry = LocalGeometry.fit(self.validity.bonds, self._frames, drawn, walls_of(self.validity))
        return geometry.restore(drawn)


def quick_draws(features: Features, frames: Floats, n: int) -> Float64:
    """Draw conformations (n, N, D) from the normal distribution of linear targets, angular ones resampled alone.

    There are as many draws as frames (T, N, D) at most.
    """
    generator = torch.Generator().manual_seed(0)
    targets = features.targets(torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float64)))
    linear, angular = targets[:, : features.n_linear], targets[:, features.n_linear :]
    mean, n_frames = linear.mean(dim=0), len(linear)
    n = min(n, n_frames)
    weights = torch.randn(n, n_frames, generator=generator, dtype=torch.float64) / max(n_frames - 1, 1) ** 0.5
    drawn = mean + weights @ (linear - mean)
    columns: list[Tensor] = [column[torch.randint(n_frames, (n,), generator=generator)] for column in angular.T]
    return np.asarray(features.positions(torch.cat([drawn, *(c[:, None] for c in columns)], dim=1)).numpy())


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
