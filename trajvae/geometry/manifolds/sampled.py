"""Manifolds that are known by samples alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trajvae.geometry.manifolds.compact import Compact

_CHARTS, _DENSE = 4096, 20_000
Draw = Callable[[int, torch.Generator], Tensor]


class Sampled(nn.Module, Compact):
    """Describe a manifold that is given by samples alone, by flat charts at some of them; distances are chords.

    Parameters
    ----------
    dim, ambient_dim : int
    draw : callable, optional
        Maps (n, generator) to n samples (n, ambient); a loaded model has no such function.
    """

    centres: Tensor
    bases: Tensor

    def __init__(self, dim: int, ambient_dim: int, draw: Draw | None = None) -> None:
        super().__init__()
        self.dim, self.ambient_dim, self.raw_dim, self.draw = dim, ambient_dim, ambient_dim, draw
        self.group_size, self.exact = 0, False
        self.log_volume: float | None = None  # estimated by `chart`, and used to learn a map only
        self.register_buffer("centres", torch.zeros(_CHARTS, ambient_dim))
        self.register_buffer("bases", torch.zeros(_CHARTS, ambient_dim, dim))

    def chart(self, generator: torch.Generator) -> None:
        """Fit a flat chart at each of 4096 samples, to the nearest of 20 000: their mean and principal axes.

        The volume is estimated too, for a distribution that is uniform.
        """
        samples = self.sample(_DENSE, generator)
        nearest = [
            torch.cdist(p, samples).topk(4 * self.dim + 5, largest=False) for p in torch.split(samples[:_CHARTS], 512)
        ]
        patches = samples[torch.cat([n.indices for n in nearest])]
        self.log_volume = _entropy(torch.cat([n.values[:, -1] for n in nearest]), 4 * self.dim + 4, self.dim)
        self.centres.copy_(patches.mean(dim=1))
        axes = torch.linalg.svd((patches - patches.mean(dim=1, keepdim=True)).mT, full_matrices=False)[0]
        self.bases.copy_(axes[..., : self.dim])

    def lift(self, raw: Tensor) -> Tensor:
        """Project points (B, ambient) on to the chart whose centre is nearest."""
        centres, bases = self.centres.to(raw), self.bases.to(raw)
        nearest = torch.cdist(raw.detach(), centres).argmin(dim=1)
        centre, basis = centres[nearest], bases[nearest]
        along = (basis.mT @ (raw - centre)[..., None]).squeeze(-1)
        return centre + (basis @ along[..., None]).squeeze(-1)

    def project(self, z: Tensor) -> Tensor:
        """Project points (B, ambient) on to the chart whose centre is nearest."""
        return self.lift(z)

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n points from the user's function, (n, ambient)."""
        if self.draw is None:
            raise ValueError("a loaded model has no function that draws samples of its manifold")
        return self.draw(n, generator or torch.Generator())

    def from_uniform(self, u: Tensor) -> Tensor:
        """Raise ValueError: a manifold that is given by samples has no exact map."""
        raise ValueError("a manifold that is given by samples has no exact map")

    def act(self, head: Tensor, z: Tensor) -> Tensor:
        """Return the points unchanged: no group of isometries is known."""
        return z

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the chords between points a and b, row by row, (..., ambient) to (...)."""
        length: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
        return length

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the chords between all rows of a (A, ambient) and b (B, ambient), (A, B)."""
        return torch.cdist(a, b)

    def chords(self, z: Tensor) -> Tensor:
        return z

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return points of the chord from a to b (ambient,) at times t (T,), (T, ambient)."""
        return a + t[:, None] * (b - a)

    def tangent(self, z: Tensor) -> Tensor:
        """Return the first `dim` coordinates, (B, dim): no origin is known."""
        return z[..., : self.dim]

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Add the step and project the sum on to the nearest chart, (B, ambient)."""
        return self.lift(z + step)


def _entropy(radius: Tensor, k: int, dim: int) -> float:
    """Return the entropy of a distribution from distances to the k-th nearest draws; if uniform, the log volume.

    References
    ----------
    L. Kozachenko, N. Leonenko, Probl. Inf. Transm. 23, 95 (1987).
    """
    ball = 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim + 1.0)
    ranks = torch.digamma(torch.tensor([float(_DENSE), float(k)], dtype=torch.float64))
    return float(ranks[0] - ranks[1] + ball + dim * radius.double().clamp(min=1e-12).log().mean())
