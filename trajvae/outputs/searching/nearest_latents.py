"""The k-th nearest of many latent points, exactly, by the distance of their manifold."""

from __future__ import annotations

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.geometry.manifolds import Manifold

_PAIRS = 2**22  # distances that are measured at once
_SPARE = 4  # points beside the k nearest chords that are looked at first
_BLOCK = 32  # rows whose candidates are measured together
_ROUNDING = 1e-9


class Neighbours:
    """Find neighbours among latent points.

    Parameters
    ----------
    manifold : Manifold
        For distances.
    points : Tensor, shape (T, ambient)
        Float64.

    Notes
    -----
    Where the manifold has chords, a k-d tree of them gives candidates: a point that is not among the m nearest
    chords is at least as far as the m-th chord is long, so the k-th nearest is known where it is nearer than that;
    else m is doubled. Elsewhere all distances are measured.
    """

    def __init__(self, manifold: Manifold, points: Tensor) -> None:
        self.manifold, self.points = manifold, points
        chords = manifold.chords(points)
        self._tree = None if chords is None else scipy.spatial.cKDTree(chords.detach().double().cpu().numpy())

    @torch.no_grad()
    def kth(self, z: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return index and distance of the k-th nearest point to each row of z (B, ambient), both (B,)."""
        z = z.detach().to(self.points)
        index = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        distance = torch.zeros(len(z), dtype=z.dtype, device=z.device)
        rows, m = torch.arange(len(z), device=z.device), min(k + _SPARE, len(self.points))
        while len(rows):
            m = len(self.points) if self._tree is None else m
            left = []
            for part in torch.split(rows, max(1, _PAIRS // m)):
                index[part], distance[part], settled = self._look(z[part], k, m)
                left.append(part[~settled])
            rows, m = torch.cat(left), min(2 * m, len(self.points))
        return index, distance

    def _look(self, z: Tensor, k: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
        """The k-th nearest among the points of the m nearest chords, its distance, and whether that is settled."""
        settled = torch.ones(len(z), dtype=torch.bool, device=z.device)
        if self._tree is None or (m == len(self.points) and not self.manifold.chords_are_distances):
            near = self.manifold.pairwise_distance(z, self.points).topk(k, dim=1, largest=False)
            return near.indices[:, -1], near.values[:, -1], settled
        length, number = self._candidates(self._tree, z, k if self.manifold.chords_are_distances else m)
        if self.manifold.chords_are_distances:
            return number[:, -1], length[:, -1], settled
        near = self._own(z, number).topk(k, dim=1, largest=False)
        found = near.values[:, -1]
        return number.gather(1, near.indices[:, -1:])[:, 0], found, found <= length[:, -1] * (1.0 + _ROUNDING)

    def _candidates(self, tree: scipy.spatial.cKDTree, z: Tensor, m: int) -> tuple[Tensor, Tensor]:
        """Lengths of the m shortest chords of each row, and the points they lead to, both (B, m)."""
        chords = self.manifold.chords(z)
        ends = (z if chords is None else chords).detach().double().cpu().numpy()
        length, number = (np.asarray(x) for x in tree.query(ends, k=m, workers=torch.get_num_threads()))
        return torch.from_numpy(length.reshape(len(z), m)).to(z), torch.from_numpy(number.reshape(len(z), m)).to(
            z.device
        )

    def _own(self, z: Tensor, number: Tensor) -> Tensor:
        """Distances of each row of z (B, ambient) to points of its own (B, m): of a block all are measured."""
        out = torch.empty(number.shape, dtype=z.dtype, device=z.device)
        for first in range(0, len(z), _BLOCK):
            rows = slice(first, first + _BLOCK)
            some = number[rows]
            table = self.manifold.pairwise_distance(z[rows], self.points[some.flatten()]).view(len(some), *some.shape)
            out[rows] = table.diagonal(dim1=0, dim2=1).T
        return out

    def to(self, z: Tensor, index: Tensor) -> Tensor:
        """Return distances of each row of z (B, ambient) to the points of given indices (B,), differentiable, (B,)."""
        points = self.points.to(z)[index]
        blocks = zip(torch.split(z, _BLOCK), torch.split(points, _BLOCK), strict=True)
        return torch.cat([self.manifold.pairwise_distance(a, b).diagonal() for a, b in blocks])
