"""States of a Markov model: clusters of latent points, by the distances of the latent space.

References
----------
D. Arthur, S. Vassilvitskii, SODA 2007, 1027: the first centres, far from each other.
L. Kaufman, P. J. Rousseeuw, Finding Groups in Data (1990), ch. 2: medoids.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from trajvae.errors import OptionError
from trajvae.geometry.manifolds.base import Manifold
from trajvae.geometry.manifolds.named import manifold_of
from trajvae.kinetic_analysis.deeptime_library import k_means
from trajvae.typing import Float64, Int64

FEWEST, MOST = 2, 2000
_USUAL = (5, 200)  # least and largest number of states that is chosen
_SAMPLE = 2000  # latent points whose distances to each other are measured
_ROUNDS = 50
_DISTANCES = 2**22  # that are measured at once


class States(NamedTuple):
    """Hold clusters of latent points.

    Attributes
    ----------
    centers : ndarray, shape (S, ambient)
    states : ndarray of int64, shape (T,)
        Number of the nearest centre of each frame.
    """

    centers: Float64
    states: Int64


def choose_number(n_frames: int, wanted: int | None = None) -> int:
    """Return the number of states: that asked for, or half the root of the number of frames, from 5 to 200.

    Raises
    ------
    OptionError
        Fewer than 2, more than 2000, or more than a tenth of the frames.
    """
    if wanted is None:
        return int(np.clip(round(0.5 * n_frames**0.5), *_USUAL))
    most = min(MOST, n_frames // 10)
    if not FEWEST <= wanted <= most:
        raise OptionError(
            f"the number of states must be from {FEWEST} to {most} (at most one for ten frames), got {wanted}"
        )
    return wanted


def find_states(latent: Float64, geometry: str, n: int, seed: int) -> States:
    """Return clusters of latent points: by k-means where the latent space is flat, else around medoids.

    Parameters
    ----------
    latent : ndarray, shape (T, ambient)
    geometry : str
        Signature of the latent space, such as `e2` or `s2`; see `trajvae.free_energy`.
    n : int
        Number of states; fewer are returned where fewer points differ.
    seed : int
    """
    space = manifold_of(geometry, latent.shape[1])
    if space.flat:
        centers = k_means(latent, n, seed)
    else:
        centers = _medoids(latent, space, n, np.random.default_rng(seed))
    return States(centers, nearest_states(latent, centers, space))


def nearest_states(latent: Float64, centers: Float64, space: Manifold) -> Int64:
    """Return the number of the nearest centre (S, ambient) of each latent point (T, ambient), (T,)."""
    out = np.empty(len(latent), dtype=np.int64)
    rows, fixed = max(1, _DISTANCES // centers.size), torch.from_numpy(np.ascontiguousarray(centers))
    for start in range(0, len(latent), rows):
        part = torch.from_numpy(np.ascontiguousarray(latent[start : start + rows]))
        out[start : start + rows] = space.pairwise_distance(part, fixed).argmin(dim=1).numpy()
    return out


def _medoids(latent: Float64, space: Manifold, n: int, generator: np.random.Generator) -> Float64:
    """Return the points that lie least far from those of their cluster, in squares of distances."""
    sample = np.unique(latent[np.sort(generator.permutation(len(latent))[:_SAMPLE])], axis=0)
    if len(sample) <= n:
        return np.asarray(sample)
    points = torch.from_numpy(sample)
    rows = max(1, _DISTANCES // sample.size)
    parts = [points[k : k + rows] for k in range(0, len(points), rows)]
    square = np.concatenate([space.pairwise_distance(part, points).square().numpy() for part in parts])
    chosen = _spread(square, n, generator)
    for _ in range(_ROUNDS):
        cluster = square[:, chosen].argmin(axis=1)
        moved = np.array([_middle(square, np.flatnonzero(cluster == k), chosen[k]) for k in range(n)])
        if (moved == chosen).all():
            break
        chosen = moved
    return np.asarray(sample[chosen])


def _spread(square: Float64, n: int, generator: np.random.Generator) -> Int64:
    """Choose n points far from each other: each in proportion to its square distance from those chosen."""
    chosen = [int(generator.integers(len(square)))]
    nearest = square[chosen[0]].copy()
    while len(chosen) < n:
        left = nearest.clip(min=0.0) + 1e-300
        chosen.append(int(generator.choice(len(square), p=left / left.sum())))
        nearest = np.minimum(nearest, square[chosen[-1]])
    return np.array(chosen, dtype=np.int64)


def _middle(square: Float64, members: Int64, before: int) -> int:
    """Return the member with the least sum of square distances to the others."""
    if not len(members):
        return int(before)
    return int(members[square[np.ix_(members, members)].sum(axis=1).argmin()])
