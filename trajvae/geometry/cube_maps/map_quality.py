"""Quality of a map of the unit cube on to a manifold: distribution, coverage, density and folds.

The discrepancy between distributions alone does not show every fault: a map that covers the manifold twice has the
right distribution. Folds show in the hidden coordinates of neighbours on the manifold.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.geometry.cube_maps.cube_map import CubeMap, jacobian
from trajvae.geometry.cube_maps.discrepancy import null_quantile
from trajvae.geometry.manifolds import Compact, Sampled
from trajvae.typing import Floats, Int64

COVERAGE, PRIOR_KL, FOLDS = 0.99, 0.05, 0.05  # limits of a good map
FAR = 0.25  # distance in the cube beyond which neighbours on the manifold lie on both sides of a fold
_NEIGHBOURS = 8  # of each point that are looked at for folds
_SAMPLES = 20_000  # for the coverage
_NEAREST = 10  # which neighbour the estimate of a divergence uses


@dataclass(frozen=True)
class Quality:
    """Hold figures of a map's quality.

    Attributes
    ----------
    mmd, mmd_null : float
        MMD^2 between points of the map and of the target, and the 95 % quantile for two samples of one distribution.
    coverage : float
        Fraction of the target's points that are near a point of the map.
    prior_kl : float
        Divergence of the map's distribution from the target in nats.
    folds : float
        Fraction of neighbours on the manifold that are far apart in the cube.
    singular_low, singular_high : float
        1 % quantile of the smallest and 99 % quantile of the largest singular value of the Jacobian.
    """

    mmd: float
    mmd_null: float
    coverage: float
    prior_kl: float
    folds: float
    singular_low: float
    singular_high: float

    def failures(self) -> list[str]:
        """Return a sentence for each figure that is not good enough."""
        checks = [
            (
                self.mmd <= self.mmd_null,
                f"MMD^2 {self.mmd:.2e} is above the 95 % point of its null {self.mmd_null:.2e}",
            ),
            (self.coverage >= COVERAGE, f"coverage {self.coverage:.3f} is below {COVERAGE}"),
            (abs(self.prior_kl) <= PRIOR_KL, f"prior KL {self.prior_kl:.3f} nats is beyond {PRIOR_KL}"),
            (self.folds <= FOLDS, f"folds {self.folds:.3f} are above {FOLDS}"),
        ]
        return [text for good, text in checks if not good]

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


@torch.no_grad()
def measure(manifold: Compact, embedding: CubeMap, generator: torch.Generator, n: int = 2000) -> Quality:
    """Measure the quality of a map with n draws, and its coverage with 20 000.

    Parameters
    ----------
    manifold : Compact
    embedding : CubeMap
    generator : torch.Generator
    n : int
    """
    hidden = torch.rand(2 * n, manifold.dim, generator=generator)
    mapped, target = embedding.points(hidden), manifold.sample(2 * n, generator)
    spread = 2.0 * float(target.var(dim=0).sum())
    mmd, null = null_quantile(mapped[:n], target[:n], spread, generator)
    dense = manifold.sample(_SAMPLES, generator).numpy()
    ours = embedding.points(torch.rand(_SAMPLES, manifold.dim, generator=generator)).numpy()
    singular = torch.linalg.svdvals(jacobian(embedding, hidden))
    if isinstance(manifold, Sampled) or manifold.log_volume is None:
        prior_kl = _divergence(ours, dense, manifold.dim)
    else:
        prior_kl = float(manifold.log_volume - singular.log().sum(dim=-1).mean())
    return Quality(
        mmd,
        null,
        _coverage(ours, dense, target.numpy()),
        prior_kl,
        _folds(hidden, mapped),
        float(torch.quantile(singular[:, -1], 0.01)),
        float(torch.quantile(singular[:, 0], 0.99)),
    )


def _neighbours(of: Floats, among: Floats, k: int) -> tuple[Floats, Int64]:
    """Return the distances to the k nearest points, and their indices, both (n, k)."""
    distance, index = scipy.spatial.cKDTree(among).query(of, list(range(1, k + 1)))
    return np.asarray(distance), np.asarray(index)


def _coverage(ours: Floats, dense: Floats, target: Floats) -> float:
    """Return the fraction of the target's points that have a point of the map nearby.

    Nearby is twice the 99 % quantile of nearest-neighbour distances among as many points of the target.
    """
    spacing = _neighbours(dense, dense, 2)[0][:, 1]
    reach = 2.0 * np.quantile(spacing, 0.99)
    return float((_neighbours(target, ours, 1)[0] <= reach).mean())


def _folds(hidden: Tensor, points: Tensor) -> float:
    """Return the fraction of neighbours on the manifold that are far apart in the cube."""
    near = _neighbours(points.numpy(), points.numpy(), _NEIGHBOURS + 1)[1][:, 1:]
    u = hidden.numpy()
    return float((np.linalg.norm(u[:, None] - u[near], axis=-1) > FAR).mean())


def _divergence(ours: Floats, target: Floats, dim: int) -> float:
    """Return the divergence of points (n, ambient) from the target's (m, ambient) in nats, by nearest neighbours.

    References
    ----------
    Q. Wang, S. Kulkarni, S. Verdu, IEEE Trans. Inf. Theory 55, 2392 (2009), eq. 5.
    """
    inside = _neighbours(ours, ours, _NEAREST + 1)[0][:, -1]
    between = _neighbours(ours, target, _NEAREST)[0][:, -1]
    return float(dim * np.log(between / inside).mean() + math.log(len(target) / (len(ours) - 1)))
