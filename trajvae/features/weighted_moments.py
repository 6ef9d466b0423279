"""Means and deviations of tensors over frames that may have weights."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.weighted_samples import effective_size


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of values (T, ...) over frames with weights (T,); plain without weights."""
    if weights is None:
        return values.mean(dim=0)
    return torch.einsum("t,t...->...", weights.to(values), values) / float(weights.sum())


def weighted_deviation(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the standard deviation of values (T, ...) over frames with weights (T,)."""
    if weights is None:
        return values.std(dim=0)
    square = weighted_mean((values - weighted_mean(values, weights)).square(), weights)
    return (square * (len(values) / freedom(len(values), weights))).sqrt()


def freedom(n: int, weights: Tensor | None) -> float:
    """Return what sums of squares of n deviations from their mean are divided by, for an estimate without bias.

    It is n - 1, or with weights of mean 1, for sums of weighted squares, n (1 - 1 / n') with n' the effective number of
    frames; 1 at least.
    """
    if weights is None:
        return float(n - 1)
    return max(n * (1.0 - 1.0 / effective_size(weights.double().cpu().numpy())), 1.0)
