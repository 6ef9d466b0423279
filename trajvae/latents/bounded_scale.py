"""Bounds of the standard deviations of wrapped normal distributions on curved spaces."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_WIDEST = 0.7  # of a posterior on a sphere of dimension 2 or more, in units of the radius


class BoundedScale(Function):
    """Bound standard deviations (..., dim) smoothly, by the curvatures (F,) of spaces.

    At its centre's antipode, on a sphere of dimension 2 or more, the density of a wrapped normal is infinite, and the
    gradient of a divergence has no mean once draws come near. On a hyperboloid coordinates grow exponentially.
    """

    @staticmethod
    def forward(ctx: Any, scale: Tensor, curvature: Tensor, several: Tensor, owner: Tensor) -> Tensor:
        """Return scale / (1 + (scale / bound)^4)^(1/4), and keep what the derivatives need."""
        bend = curvature.abs().sqrt()
        half = 0.5 * bend / (1.0 + bend)
        inverse = torch.where(curvature < 0, half, torch.where(several, bend / _WIDEST, 0.0))[owner]
        cube = (scale * inverse).pow_(3)
        over = (cube * scale).mul_(inverse).add_(1.0).reciprocal_()
        out = scale * over.sqrt().sqrt_()
        ctx.save_for_backward(scale, curvature, bend, several, owner, cube, over, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Return the gradients by scale and curvature, with derivatives in closed form."""
        scale, curvature, bend, several, owner, cube, over, out = ctx.saved_tensors
        slope, to_curvature = gradient * out * over, None
        if ctx.needs_input_grad[1]:
            steep = 0.5 / bend.clamp(min=1e-150)  # of the bend by |K|
            by_curvature = torch.where(
                curvature < 0, -0.5 * steep / (1.0 + bend).square(), torch.where(several, steep / _WIDEST, 0.0)
            )
            to_inverse = -(slope * cube * scale).flatten(0, -2).sum(dim=0)
            to_curvature = torch.zeros_like(curvature).index_add_(0, owner, to_inverse) * by_curvature
        return slope / scale, to_curvature, None, None
