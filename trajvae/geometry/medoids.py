"""Medoids: points of a set that represent all of them."""

from __future__ import annotations

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.geometry.manifolds.base import Manifold

_MOST_POINTS = 5000  # that are clustered


def medoids(points: Tensor, n: int, seed: int) -> Tensor:
    """Return the indices of the points nearest to the means of a k-means clustering, each once.

    Parameters
    ----------
    points : Tensor, shape (N, F)
    n : int
        Number of medoids; if there are fewer distinct points, these are returned.
    seed : int
        Seed of the clustering.
    """
    random = np.random.default_rng(seed)
    subset = np.sort(random.permutation(len(points))[: max(n, _MOST_POINTS)])
    data = points[torch.from_numpy(subset).to(points.device)].cpu().double().numpy()
    distinct, first = np.unique(data, axis=0, return_index=True)
    if len(distinct) <= n:
        nearest = np.sort(first)
    else:
        means, _ = scipy.cluster.vq.kmeans2(distinct, n, minit="++", seed=random)
        nearest = np.unique(first[scipy.spatial.distance.cdist(means, distinct).argmin(axis=1)])
    return torch.from_numpy(subset[nearest]).to(points.device)


def medoid(points: Tensor, space: Manifold, weights: Tensor) -> int:
    """Return the index of the point with the least weighted sum of distances to all others.

    Parameters
    ----------
    points : Tensor, shape (N, ambient)
    space : Manifold
        Whose distances count.
    weights : Tensor, shape (N,)

    References
    ----------
    L. Kaufman, P. J. Rousseeuw, Finding Groups in Data (1990), ch. 2.
    """
    return int((space.pairwise_distance(points, points) @ weights.to(points)).argmin())
