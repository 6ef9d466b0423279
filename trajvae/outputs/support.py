"""Whether a latent point lies where the training frames are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trajvae.display import Brief
from trajvae.latents import Latent

NEIGHBOURS = 5
QUANTILE = 0.99
_MOST = 5000  # training latents that are compared with
_ROWS, _SHARE = 2048, 250  # points and training latents that are compared at once


@dataclass(frozen=True, eq=False, repr=False)
class Support(Brief):
    """The training latents and how far each is from its k-th nearest other.

    Attributes
    ----------
    latent : Latent
        For distances on the manifold.
    points : Tensor, shape (T, ambient)
        Float64.
    k : int
    radius : float
        The 99 % quantile of those distances.
    """

    latent: Latent
    points: Tensor
    k: int
    radius: float

    @classmethod
    def fit(cls, latent: Latent, points: NDArray[np.float64], device: torch.device | None = None) -> Support:
        """Measure the training latents (T, ambient); at most 5000 of them, evenly taken."""
        step = max(1, -(-len(points) // _MOST))
        kept = torch.from_numpy(points[::step]).to(device)
        k = min(NEIGHBOURS, len(kept) - 1)
        own = cls(latent, kept, k + 1, 0.0).distance(kept)  # each is its own nearest
        return cls(latent, kept, k, float(torch.quantile(own, QUANTILE)))

    def distance(self, z: Tensor, chunk: int = 1024) -> Tensor:
        """Distance to the k-th nearest training latent, (B, ambient) to (B,); differentiable."""
        points = self.points.to(z)
        parts = [
            self.latent.distance(z[i : i + chunk], points).topk(self.k, dim=1, largest=False).values[:, -1]
            for i in range(0, len(z), chunk)
        ]
        return torch.cat(parts)

    def inside(self, z: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (B, ambient) are as near to the training latents as those are to each other, (B,)."""
        points = torch.from_numpy(np.asarray(z, dtype=np.float64)).to(self.points.device)
        with torch.no_grad():
            parts = [self._inside(points[i : i + _ROWS]) for i in range(0, len(z), _ROWS)]
        return np.concatenate([np.empty(0, dtype=bool), *(part.cpu().numpy() for part in parts)])

    def _inside(self, z: Tensor) -> Tensor:
        """Whether k training latents lie within the radius: they are counted until there are enough."""
        found = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        left = torch.arange(len(z), device=z.device)
        shares = -(-len(self.points) // _SHARE)
        for first in range(shares):  # each share is spread over all of them
            near = self.latent.distance(z[left], self.points[first::shares]) <= self.radius * (1.0 + 1e-9)
            found[left] += near.sum(dim=1)
            left = left[found[left] < self.k]
            if not len(left):
                break
        return found >= self.k
