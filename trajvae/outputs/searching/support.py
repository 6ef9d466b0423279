"""Whether a latent point lies where the training frames are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trajvae.display import Brief
from trajvae.geometry.manifolds import Manifold
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.searching.nearest_latents import Neighbours
from trajvae.typing import Bool, Float64

NEIGHBOURS = 5
QUANTILE = 0.99
_MEASURED = 5000  # training latents whose own neighbours are looked for, among all
_ROWS, _SHARE = 2048, 250  # points and training latents that are compared at once
_SHARES = 20  # of training latents that are counted before neighbours are looked for


@dataclass(frozen=True, eq=False, repr=False)
class Support(Brief):
    """Hold the training latents and how far each is from its k-th nearest other.

    Attributes
    ----------
    manifold : Manifold
        For distances.
    points : Tensor, shape (T, ambient)
        Float64; all of them, since fewer would lie further apart.
    k : int
    radius : float
        The 99 % quantile of those distances.
    """

    manifold: Manifold
    points: Tensor
    k: int
    radius: float
    known: Neighbours = field(repr=False)

    @classmethod
    def of(cls, pipeline: Pipeline, record: TrainingRecord) -> Support:
        """Measure the latents of the frames that a model's networks learned from."""
        return cls.fit(pipeline.vae.latent.manifold, record.latent[record.parts.training], pipeline.device)

    @classmethod
    def fit(cls, manifold: Manifold, points: Float64, device: torch.device | None = None) -> Support:
        """Measure the training latents (T, ambient): how far they are from their neighbours among all of them.

        Beyond 5000 the quantile is that of so many, chosen at random: its share of 99 % is known to 0.14 %.
        """
        kept = torch.from_numpy(np.asarray(points, dtype=np.float64)).to(device)
        known, k, some = Neighbours(manifold, kept), min(NEIGHBOURS, len(kept) - 1), kept
        if len(kept) > _MEASURED:
            chosen = np.random.default_rng(0).choice(len(kept), _MEASURED, replace=False)
            some = kept[torch.from_numpy(np.sort(chosen)).to(kept.device)]
        own = known.kth(some, k + 1)[1]  # each is its own nearest
        return cls(manifold, kept, k, float(torch.quantile(own, QUANTILE)), known)

    def distance(self, z: Tensor) -> Tensor:
        """Return the distance (B,) of points (B, ambient) to their k-th nearest training latent; differentiable."""
        return self.known.to(z, self.known.kth(z, self.k)[0])

    def inside(self, z: Float64) -> Bool:
        """Return whether points (B, ambient) are as near to the training latents as those are to each other, (B,)."""
        points = torch.from_numpy(np.asarray(z, dtype=np.float64)).to(self.points.device)
        with torch.no_grad():
            parts = [self._inside(points[i : i + _ROWS]) for i in range(0, len(z), _ROWS)]
        return np.concatenate([np.empty(0, dtype=bool), *(part.cpu().numpy() for part in parts)])

    def _inside(self, z: Tensor) -> Tensor:
        """Whether k training latents lie within the radius: they are counted until there are enough.

        Most points have as many among the first few thousand; of the others the k-th nearest is looked for.
        """
        limit = self.radius * (1.0 + 1e-9)
        found = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        left = torch.arange(len(z), device=z.device)
        shares = -(-len(self.points) // _SHARE)
        for first in range(min(shares, _SHARES)):  # each share is spread over all of them
            found[left] += (self.manifold.pairwise_distance(z[left], self.points[first::shares]) <= limit).sum(dim=1)
            left = left[found[left] < self.k]
            if not len(left):
                break
        inside = found >= self.k
        if shares > _SHARES and len(left):
            inside[left] = self.known.kth(z[left], self.k)[1] <= limit
        return inside
