"""Walls between atoms that are not bonded: pairs nearer than ever in the simulation are pushed apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.typing import Float64, Int64

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


class NearPairs(NamedTuple):
    """Hold pairs of atoms that are near their walls.

    Attributes
    ----------
    atoms : Tensor of int64, shape (P, 2)
    wall : Tensor, shape (P,)
        Where the wall of each pair stands in Å.
    """

    atoms: Tensor
    wall: Tensor


class Walls:
    """Find pairs of atoms that are nearer than the simulation ever had them.

    Parameters
    ----------
    n_atoms : int
    wall_of : callable
        Returns where the walls of pairs (P, 2), first atom below the second, stand in Å, (P,): 0 for pairs that may be
        at any distance. It is asked for near pairs only where there are many atoms.
    highest : float
        Of all walls, in Å.
    """

    def __init__(self, n_atoms: int, wall_of: Callable[[Int64], Float64], highest: float) -> None:
        self.n_atoms, self.wall_of, self.reach = n_atoms, wall_of, highest + _ROOM

    @cached_property
    def _matrix(self) -> Tensor:
        """Walls of all pairs in the upper triangle, (N, N)."""
        pairs = np.stack(np.triu_indices(self.n_atoms, 1), axis=1)
        out = np.zeros((self.n_atoms, self.n_atoms), dtype=np.float32)
        out[pairs[:, 0], pairs[:, 1]] = self.wall_of(pairs)
        return torch.from_numpy(out)

    def near(self, x: Tensor) -> NearPairs:
        """Return the pairs that are near a wall in any of the conformations (N, D, B)."""
        frames = x.permute(2, 0, 1).contiguous()
        if self.n_atoms > _ALL_PAIRS:
            return self._by_tree(frames)
        walls = self._matrix.to(x)
        found = torch.zeros(self.n_atoms, self.n_atoms, dtype=torch.bool, device=x.device)
        for some in torch.split(frames, max(1, int(4e6) // self.n_atoms**2)):
            found |= (torch.cdist(some, some) < walls + _ROOM).any(dim=0)
        atoms = (found & (walls > 0.0)).nonzero()
        return NearPairs(atoms, walls[atoms[:, 0], atoms[:, 1]])

    def _by_tree(self, frames: Tensor) -> NearPairs:
        """Return the same, by trees, and pairs that are within reach of the highest wall."""
        n = self.n_atoms
        numbers: list[Int64] = [np.empty(0, dtype=np.int64)]
        for frame in frames.cpu().numpy():
            pairs = scipy.spatial.cKDTree(frame).query_pairs(self.reach, output_type="ndarray")
            numbers.append(pairs[:, 0] * n + pairs[:, 1])
        atoms = np.stack(np.divmod(np.unique(np.concatenate(numbers)), n), axis=1)
        wall = self.wall_of(atoms)
        return NearPairs(
            torch.from_numpy(atoms[wall > 0.0]).to(frames.device), torch.from_numpy(wall[wall > 0.0]).to(frames)
        )

    def linearised(self, x: Tensor, near: NearPairs, met: Tensor | None = None) -> Contacts | None:
        """Return those of some pairs that are too near; None where none is.

        Parameters
        ----------
        x : Tensor, shape (N, D, B)
            Conformations in Å.
        near : NearPairs
        met : Tensor of bool, shape (P, B), optional
            Pairs that were too near before, which are added to. Those that are still close behind the wall are given
            too, with a residual of zero: without them the next step would bring them back.
        """
        pairs, limit = near
        away = x.index_select(0, pairs[:, 0]) - x.index_select(0, pairs[:, 1])
        square = away.square().sum(dim=1)
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
