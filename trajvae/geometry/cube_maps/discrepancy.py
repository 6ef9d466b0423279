"""The maximum mean discrepancy (MMD) between two samples, and its null distribution.

References
----------
A. Gretton et al., J. Mach. Learn. Res. 13, 723 (2012), eq. 3 (unbiased estimate) and sec. 7 (permutation null).
I. Tolstikhin et al., arXiv:1711.01558: inverse multiquadric kernels in Wasserstein autoencoders.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients

SCALES = (0.05, 0.2, 1.0, 5.0)  # of the inverse multiquadric kernels, in units of the squared spread


def multiquadric(square: Tensor, spread: float) -> Tensor:
    """Return the mean over scales of C / (C + d^2) for squared distances."""
    total = torch.zeros_like(square)
    for scale in SCALES:
        total += (square * (1.0 / (scale * spread)) + 1.0).reciprocal_()
    return total.mul_(1.0 / len(SCALES))


def _minus_slope(square: Tensor, spread: float) -> Tensor:
    """Return minus the derivative of the kernel by the squared distance."""
    total = torch.zeros_like(square)
    for scale in SCALES:
        inverse = (square * (1.0 / (scale * spread)) + 1.0).reciprocal_()
        total.addcmul_(inverse, inverse, value=1.0 / (scale * spread))
    return total.mul_(1.0 / len(SCALES))


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distances between all rows of x and y."""
    lengths = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return torch.addmm(lengths, x, y.T, alpha=-2.0).clamp_(min=0.0)


class _Discrepancy(AutogradFunction):
    """Compute the terms of MMD^2 that depend on x, with their gradient in closed form."""

    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor, y: Tensor, spread: float) -> Tensor:
        """Compute the mean kernel within x, less twice the mean kernel between x and y."""
        n = len(x)
        own, other = _squares(x, x), _squares(x, y)
        ctx.save_for_backward(x, y, own, other)
        ctx.spread = spread
        within = (multiquadric(own, spread).sum() - n) / (n * (n - 1))
        return within - 2.0 * multiquadric(other, spread).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Apply the chain rule; the derivative of f(|x_i - y_j|^2) by x_i is 2 f' (x_i - y_j)."""
        x, y, own, other = ctx.saved_tensors
        n, m = len(x), len(y)
        within, between = _minus_slope(own, ctx.spread), _minus_slope(other, ctx.spread)
        inner = within.sum(dim=1, keepdim=True) * x - within @ x
        outer = between.sum(dim=1, keepdim=True) * x - between @ y
        return gradient * (outer * (4.0 / (n * m)) - inner * (4.0 / (n * (n - 1)))), None, None


def discrepancy(x: Tensor, y: Tensor, spread: float) -> Tensor:
    """Return the unbiased estimate of MMD^2 between samples x (n, d) and y (m, d), without terms of y alone.

    Parameters
    ----------
    x, y : Tensor
        The samples; only x has a gradient.
    spread : float
        Twice the distributions' total variance: the mean squared distance of two draws.
    """
    out: Tensor = _Discrepancy.apply(x, y, spread)
    return out


def null_quantile(
    x: Tensor, y: Tensor, spread: float, generator: torch.Generator, share: float = 0.95, times: int = 200
) -> tuple[float, float]:
    """Return MMD^2 of two samples of equal size (n, d), and a quantile of its null distribution by permutations.

    Parameters
    ----------
    x, y : Tensor, shape (n, d)
    spread : float
        See `discrepancy`.
    generator : torch.Generator
    share : float
        Probability of the quantile.
    times : int
        Number of permutations.
    """
    n = len(x)
    pooled = torch.cat([x, y]).double()
    kernel = multiquadric(torch.cdist(pooled, pooled).square(), spread).fill_diagonal_(0.0)
    orders = torch.stack([torch.randperm(2 * n, generator=generator) for _ in range(times)])
    first = torch.zeros(2 * n, times + 1, dtype=kernel.dtype, device=kernel.device)
    first[:n, 0] = 1.0
    first[orders[:, :n].T.to(kernel.device), torch.arange(1, times + 1, device=kernel.device)] = 1.0
    reach = kernel @ first
    within = (first * reach).sum(dim=0)
    across = ((1.0 - first) * reach).sum(dim=0)
    other = kernel.sum() - within - 2.0 * across
    squares = (within + other) / (n * (n - 1)) - 2.0 * across / n**2
    return float(squares[0]), float(torch.quantile(squares[1:], share))
