"""Whether a latent point lies where the training frames are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trajvae.latents import Latent

NEIGHBOURS = 5
QUANTILE = 0.99
_MOST = 5000  # training latents that are compared with


@dataclass(frozen=True, eq=False)
class Support:
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
        with torch.no_grad():
            distance = self.distance(torch.from_numpy(np.asarray(z, dtype=np.float64)).to(self.points.device))
        return np.asarray(distance.cpu().numpy() <= self.radius * (1.0 + 1e-9))
