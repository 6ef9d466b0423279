"""Points that stand for many."""

from __future__ import annotations

import numpy as np
import scipy
import torch
from torch import Tensor

_MOST_POINTS = 5000


def medoids(points: Tensor, n: int, seed: int) -> Tensor:
    """Return indices of at most n points (N, F): those nearest the means of a k-means clustering, each once.

    Parameters
    ----------
    points : Tensor, shape (N, F)
    n : int
        All distinct points where they are not more.
    seed : int
    """
    random = np.random.default_rng(seed)
    some = np.sort(random.permutation(len(points))[: max(n, _MOST_POINTS)])
    data = points[torch.from_numpy(some).to(points.device)].cpu().double().numpy()
    distinct, first = np.unique(data, axis=0, return_index=True)
    if len(distinct) <= n:
        nearest = np.sort(first)
    else:
        means, _ = scipy.cluster.vq.kmeans2(distinct, n, minit="++", seed=random)
        nearest = np.unique(first[scipy.spatial.distance.cdist(means, distinct).argmin(axis=1)])
    return torch.from_numpy(some[nearest]).to(points.device)
