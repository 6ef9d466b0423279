"""Checks of objectives: differentiable functions of positions."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.molecule.observables import Function
from trajvae.testing.features import example_alignment, example_frames
from trajvae.testing.numbers import close, require


def check_objective(function: Function, *, positions: Tensor | None = None, period: float = 0.0) -> None:
    """Check an objective or an observable.

    Parameters
    ----------
    function : callable
        Maps positions (B, N, D) in Å to values (B,).
    positions : Tensor, optional, shape (B, N, D)
        Frames, float64; by default of a coil of six atoms in space.
    period : float
        Of values that go round a circle.

    Raises
    ------
    AssertionError
        What is wrong: shapes, values that depend on other frames, gradients that are not finite (atoms in line are
        tried too) or are not those of finite differences.
    """
    x = example_frames(example_alignment(), 5) if positions is None else positions.double()
    values = function(x)
    require(values.shape == (len(x),), f"expected one value a frame, ({len(x)},), found {tuple(values.shape)}")
    require(bool(values.isfinite().all()), "values are not finite")
    close(torch.cat([function(frame[None]) for frame in x]), values, "values of one frame alone")
    require(function(x.float()).dtype == torch.float32, "values of float32 positions are not float32")
    _check_gradient(function, x, period)
    line = torch.zeros_like(x[:1])
    line[..., 0] = torch.arange(x.shape[1], dtype=x.dtype)
    leaf = line.requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(leaf).sum(), leaf)
    require(bool(gradient.isfinite().all()), "the gradient is not finite where atoms are in line")


def _check_gradient(function: Function, x: Tensor, period: float) -> None:
    leaf = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(leaf).sum(), leaf)
    step = 1e-5
    for k in range(3):
        way = torch.randn(x.shape, generator=torch.Generator().manual_seed(k), dtype=x.dtype)
        apart = function(x + step * way) - function(x - step * way)
        if period:
            apart = torch.remainder(apart + 0.5 * period, period) - 0.5 * period
        expected = apart / (2.0 * step)
        close((gradient * way).sum(dim=(1, 2)), expected, "gradient", rtol=1e-5, atol=1e-6)
