"""The reversible VAMP-2 score of pairs of latent points, with its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.geometry.manifolds import Manifold

RIDGE = 0.1  # added to the variance of each coordinate in training, in squared prior widths


def lagged_coordinates(manifold: Manifold, z: Tensor) -> Tensor:
    """Return the coordinates whose linear combinations a score is taken of, (B, ambient) to (B, C).

    They are those whose Euclidean distances never exceed the manifold's: z itself of flat spaces, ambient coordinates
    of spheres and rotations, where the tangent space at a point is torn at the opposite one, and the logarithm at the
    origin of hyperbolic spaces, whose ambient coordinates grow exponentially.
    """
    found = manifold.chords(z)
    return z if found is None else found


def reversible_moments(first: Tensor, second: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), covariance and lagged covariance (C, C) of pairs in both directions of time, in float64.

    Parameters are those of `vamp2`.
    """
    x, y = first.double(), second.double()
    w = torch.ones_like(x[:, 0]) if weights is None else weights.double()
    share = (w / w.sum())[:, None]
    mean = 0.5 * (share * (x + y)).sum(dim=0)
    x, y = x - mean, y - mean
    lagged = x.mT @ (share * y)
    return mean, 0.5 * (x.mT @ (share * x) + y.mT @ (share * y)), 0.5 * (lagged + lagged.mT)


def slowest_combinations(covariance: Tensor, lagged: Tensor, n: int, ridge: float) -> Tensor:
    """Return the n combinations of variance 1 that are most correlated in time, slowest first, (n, C).

    Parameters
    ----------
    covariance, lagged : Tensor, shape (C, C)
        As `reversible_moments` returns them.
    n : int
    ridge : float
        Added to the variances.

    References
    ----------
    G. Perez-Hernandez et al., J. Chem. Phys. 139, 015102 (2013): time-lagged independent component analysis.
    """
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(len(covariance)).to(covariance))
    whitening = vectors / values.clamp(min=1e-12).sqrt()
    strength, turned = torch.linalg.eigh(whitening.mT @ lagged @ whitening)
    slowest: Tensor = whitening @ turned[:, strength.abs().argsort(descending=True)[:n]]
    return slowest.mT.contiguous()


def vamp2(first: Tensor, second: Tensor, weights: Tensor | None = None, ridge: float = 0.0) -> Tensor:
    """Return the VAMP-2 score of pairs, with the constant: 1 plus the squared singular values, a scalar in float64.

    The covariances are those of a reversible process: each pair counts in both directions of time, and one mean is
    subtracted from both.

    Parameters
    ----------
    first, second : Tensor, shape (P, C)
        Coordinates of the frames of each pair.
    weights : Tensor, shape (P,), optional
        How much each pair counts.
    ridge : float
        Added to the variances: coordinates must vary by more to score. 0 takes directions without variance out instead.

    References
    ----------
    H. Wu, F. Noé, J. Nonlinear Sci. 30, 23 (2020), arXiv:1707.04659, eqs. 27 and 33; symmetrised as in
    F. Noé, F. Nüske, Multiscale Model. Simul. 11, 635 (2013).
    """
    _, covariance, lagged = reversible_moments(first, second, weights)
    if ridge:
        transfer = torch.linalg.solve(covariance + ridge * torch.eye(len(covariance)).to(covariance), lagged)
    else:
        transfer = torch.linalg.pinv(covariance, hermitian=True, rtol=1e-10) @ lagged
    score: Tensor = 1.0 + (transfer * transfer.mT).sum()
    return score
