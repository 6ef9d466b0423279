"""Where the flexible torsions of internal coordinates bring atoms, all other coordinates being at their means."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trajvae.features.internal import Internal
from trajvae.features.rebuild import rebuild

_TOUCHING = 2.2  # mean bonds; distance at which the closeness of two atoms is a half
_STEEP = 6  # its power law
_BOUND = 3  # bonds along the tree, up to which atoms are close whatever the torsions are


class PlacedAtoms:
    """Place atoms by flexible torsions alone, and tell how each torsion sees them.

    Parameters
    ----------
    features : Internal
        Fitted ones, or blank ones that are loaded before use.
    """

    def __init__(self, features: Internal) -> None:
        self.features = features
        references = features.plan.references
        flexible, plan = features.flexible.cpu().numpy(), features.plan
        turned = (plan.turned if plan.dimension == 3 else plan.angled)[flexible]
        own = np.full(len(references), -1)
        own[turned] = np.arange(len(turned))
        latest = own.copy()  # of the torsions that an atom depends on
        for generation in plan.steps:
            for atom, earlier, _ in generation:
                latest[atom] = max([own[atom], *(latest[r] for r in earlier if r >= 0)])
        self._references = torch.from_numpy(references[turned])
        self.known = torch.from_numpy(latest < np.arange(len(turned))[:, None])
        self._pairs = torch.triu_indices(len(references), len(references), 1)
        self._apart = torch.from_numpy(_bonds_between(references) > _BOUND)[self._pairs[0], self._pairs[1]]

    @property
    def bond(self) -> Tensor:
        """The mean length of a bond in Å."""
        return self.features.middle[: len(self.features.references) - 1].mean()

    def positions(self, torsions: Tensor) -> Tensor:
        """Return positions (B, N, D) in Å of flexible torsions (B, K), as they are rebuilt, not superposed."""
        linear = self.features.middle.to(torsions).expand(len(torsions), -1)
        return rebuild(self.features.coordinates(torch.cat([linear, torsions], dim=1)), self.features.plan)

    def seen_from(self, positions: Tensor, group: slice) -> Tensor:
        """Return positions (B, N, D) in the frames of the references of some torsions, (K', B, N, D).

        Atoms that depend on the torsion itself, or on one after it, are at the origin, as the first reference is. The
        second reference is on the negative first axis, the third in the plane of the first two axes.
        """
        first, second, *third = self._references[group].T
        x = positions.transpose(0, 1)
        along = _unit(x[first] - x[second])
        if positions.shape[2] == 2:
            axes = torch.stack([along, torch.stack([-along[..., 1], along[..., 0]], dim=-1)], dim=-1)
        else:
            normal = _unit(torch.linalg.cross(along, x[second] - x[third[0]]))
            axes = torch.stack([along, torch.linalg.cross(normal, along), normal], dim=-1)
        known = self.known[group].to(positions)[:, None, :, None]
        return (positions - x[first][:, :, None]) @ axes * known

    def closeness(self, positions: Tensor) -> Tensor:
        """Return 1 / (1 + (d / 2.2 bonds)^6) of all pairs of atoms at distances d, (B, N (N - 1) / 2).

        It is 0 for pairs that are up to three bonds apart.
        """
        i, j = self._pairs
        square = (positions[:, i] - positions[:, j]).square().sum(dim=-1) / (_TOUCHING * self.bond.to(positions)) ** 2
        return self._apart.to(positions) / (1.0 + square ** (_STEEP // 2))


def _bonds_between(references: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> np.ndarray:
    """Return numbers of bonds along the tree between atoms, (N, N); 4 stands for four or more."""
    n = len(references)
    near = np.eye(n, dtype=bool)
    child = np.flatnonzero(references[:, 0] >= 0)
    near[child, references[child, 0]] = near[references[child, 0], child] = True
    out, reached = np.full((n, n), _BOUND + 1), np.eye(n, dtype=bool)
    for bonds in range(_BOUND + 1):
        out[reached & (out > _BOUND)] = bonds
        reached = reached @ near
    return out


def _unit(a: Tensor) -> Tensor:
    return a * torch.rsqrt(a.square().sum(dim=-1, keepdim=True))
