"""Differential entropy of a sample by nearest neighbours, relative to the normal distribution of its covariance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEIGHBOURS = 5
_NORMAL_SAMPLES = 8  # that the bias of the estimator is measured with
_SMALLEST = 1e-12  # of distances, and of variances relative to the largest


def entropy(z: Tensor, generator: torch.Generator) -> float:
    """Return the differential entropy in nats of the distribution that points (n, d) are drawn from.

    It is the entropy of the normal distribution with the sample's covariance, plus d times the difference in mean log
    nearest-neighbour distance between the sample and normal samples of its size. So the bias of such distances, which
    grows with d, cancels for normal samples; whitened coordinates allow for unequal widths.

    Parameters
    ----------
    z : Tensor of float64, shape (n, d)
        Independent draws, more than d + 5. Correlated draws, such as those of few distinct frames, are closer together,
        which makes the entropy too low.
    generator : torch.Generator

    References
    ----------
    L. F. Kozachenko, N. N. Leonenko, Probl. Inf. Transm. 23, 95 (1987).
    """
    n, dim = z.shape
    whitened, log_det = _whiten(z)
    normal_samples = torch.randn(_NORMAL_SAMPLES, n, dim, generator=generator, dtype=z.dtype, device=z.device)
    bias = torch.stack([_log_distances(_whiten(x)[0]) for x in normal_samples]).mean()
    return _normal_entropy(log_det, n, dim) + float(dim * (_log_distances(whitened) - bias))


def normal_entropy(z: Tensor) -> float:
    """Return the differential entropy in nats of the normal distribution with the covariance of points (n, d), n > d.

    No distribution of that covariance has a higher one. The estimate is unbiased for independent normal points, however
    few.

    References
    ----------
    N. Misra, H. Singh, E. Demchuk, J. Multivariate Anal. 92, 324 (2005): the unbiased estimate.
    """
    return _normal_entropy(_whiten(z)[1], *z.shape)


def _normal_entropy(log_det: Tensor, n: int, dim: int) -> float:
    """Entropy from the log determinant of the covariance of n points, which is too small in the mean (Wishart)."""
    degrees = (n - torch.arange(1, dim + 1, dtype=torch.float64)) / 2.0
    deficit = float(torch.digamma(degrees).sum()) + dim * math.log(2.0 / (n - 1))
    return 0.5 * (dim * math.log(2.0 * math.pi * math.e) + float(log_det) - deficit)


def _whiten(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return points with zero mean and unit covariance, and the log determinant of the covariance that they had."""
    values, axes = torch.linalg.eigh(z.T.cov().reshape(z.shape[1], -1))
    values = values.clamp(min=_SMALLEST * float(values[-1].clamp(min=_SMALLEST)))
    return (z - z.mean(dim=0)) @ axes / values.sqrt(), values.log().sum()


def _log_distances(z: Tensor) -> Tensor:
    """Return the mean log distance to the fifth nearest other point."""
    near = torch.cdist(z, z).topk(NEIGHBOURS + 1, dim=1, largest=False).values[:, -1]
    return near.clamp(min=_SMALLEST).log().mean()
