"""Walls between atoms that are not bonded: pairs nearer than ever in the simulation are pushed apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.typing import Floats, Int64

SHARE = 0.97  # of the smallest simulated distance of two kinds of atoms: where the wall stands
_SOFT = 0.02  # Å; a pair's deviation, and how far behind the wall moves aim
_CLOSE = 0.3  # Å behind a wall within which pairs that were too near are held
_ROOM = 1.5  # Å beyond the wall within which pairs are watched, since atoms move
_ALL_PAIRS = 1000  # atoms up to which the distances of all pairs are computed
_TINY = 1e-6


class Contacts(NamedTuple):
    """Hold the pairs of atoms that are too near, each in one conformation, and the derivatives of their distances.

    Attributes
    ----------
    first, second, sample : Tensor of int64, shape (M,)
        Two atoms, and the number of the conformation.
    direction : Tensor, shape (M, D)
        Derivative of the weighted residual with respect to the first atom.
    residual : Tensor, shape (M,)
    """

    first: Tensor
    second: Tensor
    sample: Tensor
    direction: Tensor
    residual: Tensor

    def times(self, v: Tensor) -> Tensor:
        """Return J v, (N, D, B) to (M,)."""
        away = v[self.first, :, self.sample] - v[self.second, :, self.sample]
        return (away * self.direction).sum(dim=1)

    def add_transposed(self, u: Tensor, out: Tensor) -> None:
        """Add J^T u, (M,), to (N, D, B)."""
        self._add(u[:, None] * self.direction, out, -1.0)

    def add_squares(self, out: Tensor) -> None:
        """Add the diagonal of J^T J to (N, D, B)."""
        self._add(self.direction.square(), out, 1.0)

    def _add(self, values: Tensor, out: Tensor, sign: float) -> None:
        axes = torch.arange(out.shape[1], device=out.device)
        for atoms, own in ((self.first, values), (self.second, sign * values)):
            out.index_put_((atoms[:, None], axes, self.sample[:, None]), own, accumulate=True)


class Walls:
    """Find pairs of atoms that are nearer than the simulation ever had them.

    Parameters
    ----------
    limits : ndarray, shape (N, N)
        Where the wall of each pair stands in Å, in the upper triangle; 0 for pairs that may be at any distance.
    """

    def __init__(self, limits: Floats) -> None:
        self.limits = torch.from_numpy(np.triu(np.asarray(limits, dtype=np.float32), 1))
        self.reach = float(self.limits.max()) + _ROOM if self.limits.numel() else 0.0

    def near(self, x: Tensor) -> Tensor:
        """Return the pairs (P, 2) that are near a wall in any of the conformations (N, D, B)."""
        frames = x.permute(2, 0, 1).contiguous()
        if len(x) > _ALL_PAIRS:
            return self._by_tree(frames)
        limits, found = self.limits.to(x), torch.zeros(len(x), len(x), dtype=torch.bool, device=x.device)
        for some in torch.split(frames, max(1, int(4e6) // len(x) ** 2)):
            found |= (torch.cdist(some, some) < limits + _ROOM).any(dim=0)
        return (found & (limits > 0.0)).nonzero()

    def _by_tree(self, frames: Tensor) -> Tensor:
        n = frames.shape[1]
        numbers: list[Int64] = [np.empty(0, dtype=np.int64)]
        for frame in frames.cpu().numpy():
            pairs = scipy.spatial.cKDTree(frame).query_pairs(self.reach, output_type="ndarray")
            numbers.append(pairs[:, 0] * n + pairs[:, 1])
        pairs = np.stack(np.divmod(np.unique(np.concatenate(numbers)), n), axis=1)
        near = torch.from_numpy(pairs)
        return near[self.limits[near[:, 0], near[:, 1]] > 0.0].to(frames.device)

    def linearised(self, x: Tensor, pairs: Tensor, met: Tensor | None = None) -> Contacts | None:
        """Return those of some pairs that are too near; None where none is.

        Parameters
        ----------
        x : Tensor, shape (N, D, B)
            Conformations in Å.
        pairs : Tensor of int64, shape (P, 2)
        met : Tensor of bool, shape (P, B), optional
            Pairs that were too near before, which are added to. Those that are still close behind the wall are given
            too, with a residual of zero: without them the next step would bring them back.
        """
        away = x.index_select(0, pairs[:, 0]) - x.index_select(0, pairs[:, 1])
        square = away.square().sum(dim=1)
        limit = self.limits.to(x)[pairs[:, 0], pairs[:, 1]]
        held = square < limit.square()[:, None]
        if met is not None:
            met |= held
            held = met & (square < (limit + _CLOSE).square()[:, None])
        pair, sample = held.nonzero(as_tuple=True)
        if not len(pair):
            return None
        length = square[pair, sample].sqrt().clamp(min=_TINY)
        unit = away[pair, :, sample] / length[:, None]
        residual = ((limit[pair] + _SOFT - length) / _SOFT).clamp(min=0.0)
        return Contacts(pairs[pair, 0], pairs[pair, 1], sample, -unit / _SOFT, residual)
