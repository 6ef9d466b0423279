"""Whether a map of the unit cube on to a manifold does what it should: law, coverage, density, folds.

A discrepancy alone is blind: a double cover has the right law. Folds show in the hidden coordinates of neighbours.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.geometry.compact import Compact, Sampled
from trajvae.geometry.cube_maps.cube_map import CubeMap, jacobian
from trajvae.geometry.cube_maps.discrepancy import null_quantile
from trajvae.typing import Floats, Int64

COVERAGE, PRIOR_KL, FOLDS = 0.99, 0.05, 0.05
FAR = 0.25  # in the cube: neighbours on the manifold that lie further apart are across a fold
_NEIGHBOURS, _DENSE = 8, 20_000
_NEAREST = 10  # of the estimate of a divergence by neighbours


@dataclass(frozen=True)
class Quality:
    """Hold figures of a map's quality.

    Attributes
    ----------
    mmd, mmd_null : float
        MMD^2 of the map's points and the target's, and the 95 % point of what it is for two samples of one law.
    coverage : float
        Share of the target's points near one of the map's.
    prior_kl : float
        Nats, of the map's law to the target.
    folds : float
        Share of neighbours on the manifold that are far apart in the cube.
    singular_low, singular_high : float
        1 % and 99 % points of the Jacobian's smallest and largest singular values, in the cube's coordinates.
    """

    mmd: float
    mmd_null: float
    coverage: float
    prior_kl: float
    folds: float
    singular_low: float
    singular_high: float

    def failures(self) -> list[str]:
        """Return what is not good enough, in words."""
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
    """Measure a map with n draws, and 20 000 for its coverage.

    Parameters
    ----------
    manifold : Compact
    embedding : CubeMap
    generator : torch.Generator
    n : int
    """
    hidden = torch.rand(2 * n, manifold.dim, generator=generator)
    made, target = embedding.points(hidden), manifold.sample(2 * n, generator)
    spread = 2.0 * float(target.var(dim=0).sum())
    mmd, null = null_quantile(made[:n], target[:n], spread, generator)
    dense = manifold.sample(_DENSE, generator).numpy()
    ours = embedding.points(torch.rand(_DENSE, manifold.dim, generator=generator)).numpy()
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
        _folds(hidden, made),
        float(torch.quantile(singular[:, -1], 0.01)),
        float(torch.quantile(singular[:, 0], 0.99)),
    )


def _neighbours(of: Floats, among: Floats, k: int) -> tuple[Floats, Int64]:
    """Distances to the k nearest points, and which they are, both (n, k)."""
    distance, index = scipy.spatial.cKDTree(among).query(of, list(range(1, k + 1)))
    return np.asarray(distance), np.asarray(index)


def _coverage(ours: Floats, dense: Floats, target: Floats) -> float:
    """Share of the target within twice the 99 % nearest-neighbour distance of as many points of the target."""
    own = _neighbours(dense, dense, 2)[0][:, 1]
    reach = 2.0 * np.quantile(own, 0.99)
    return float((_neighbours(target, ours, 1)[0] <= reach).mean())


def _folds(hidden: Tensor, points: Tensor) -> float:
    near = _neighbours(points.numpy(), points.numpy(), _NEIGHBOURS + 1)[1][:, 1:]
    u = hidden.numpy()
    return float((np.linalg.norm(u[:, None] - u[near], axis=-1) > FAR).mean())


def _divergence(ours: Floats, target: Floats, dim: int) -> float:
    """KL of our points (n, ambient) to the target's (m, ambient) of an intrinsic dimension, by neighbours, in nats.

    References
    ----------
    Q. Wang, S. Kulkarni, S. Verdu, IEEE Trans. Inf. Theory 55, 2392 (2009), eq. 5.
    """
    own = _neighbours(ours, ours, _NEAREST + 1)[0][:, -1]
    other = _neighbours(ours, target, _NEAREST)[0][:, -1]
    return float(dim * np.log(other / own).mean() + math.log(len(target) / (len(ours) - 1)))
