"""Differential entropy of a sample by nearest neighbours, relative to the normal distribution of its covariance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEIGHBOURS = 5
_TWINS = 8  # normal samples that the estimator's bias is measured by
_LEAST = 1e-12


def entropy(z: Tensor, generator: torch.Generator) -> float:
    """Return the differential entropy in nats of the distribution that points (n, d) are drawn from.

    That of the normal distribution with the sample's covariance, less what nearest neighbours in whitened coordinates
    find the sample to be short of it. Neighbours' own bias, which grows with d, is measured by samples of a normal
    distribution of the same size, so that normal samples have none; whitening takes care of unequal widths.

    Parameters
    ----------
    z : Tensor of float64, shape (n, d)
        Independent draws, more than d + 5. Draws that are correlated, as those of few distinct frames are, stand closer
        together and have an entropy that is too low.
    generator : torch.Generator

    References
    ----------
    L. F. Kozachenko, N. N. Leonenko, Probl. Inf. Transm. 23, 95 (1987).
    """
    n, dim = z.shape
    found, log_det = _whitened(z)
    twins = torch.randn(_TWINS, n, dim, generator=generator, dtype=z.dtype, device=z.device)
    bias = torch.stack([_log_distances(_whitened(x)[0]) for x in twins]).mean()
    # few draws have a covariance whose determinant is too small in the mean: by Wishart's distribution
    degrees = (n - torch.arange(1, dim + 1, dtype=z.dtype, device=z.device)) / 2.0
    shortage = torch.digamma(degrees).sum() + dim * math.log(2.0 / (n - 1))
    normal = 0.5 * (dim * math.log(2.0 * math.pi * math.e) + log_det - shortage)
    return float(normal + dim * (_log_distances(found) - bias))


def _whitened(z: Tensor) -> tuple[Tensor, Tensor]:
    """Points in the axes and units of their covariance, and the log of its determinant."""
    values, axes = torch.linalg.eigh(z.T.cov().reshape(z.shape[1], -1))
    values = values.clamp(min=_LEAST * float(values[-1].clamp(min=_LEAST)))
    return (z - z.mean(dim=0)) @ axes / values.sqrt(), values.log().sum()


def _log_distances(z: Tensor) -> Tensor:
    """Mean log distance to the k-th nearest other point."""
    near = torch.cdist(z, z).topk(NEIGHBOURS + 1, dim=1, largest=False).values[:, -1]
    return near.clamp(min=_LEAST).log().mean()
