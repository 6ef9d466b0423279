"""Compute the displacements of atoms when a frame is translated or rotated as a rigid body."""

from __future__ import annotations

import torch
from torch import Tensor


def rigid_moves(x: Tensor) -> Tensor:
    """Return the displacements of atoms under unit translations and infinitesimal rotations of frames.

    Parameters
    ----------
    x : Tensor, shape (B, N, D)

    Returns
    -------
    Tensor, shape (B, M, N, D)
        First a translation along each axis, then a rotation in each plane of two axes; M is 6 in space, 3 in the plane.
    """
    dimension = x.shape[2]
    shifts = torch.eye(dimension, dtype=x.dtype, device=x.device)[:, None, :].expand(-1, x.shape[1], -1)
    displacements = [shifts.expand(len(x), -1, -1, -1)]
    for i in range(dimension):
        for j in range(i + 1, dimension):
            turned = torch.zeros_like(x)
            turned[..., i], turned[..., j] = -x[..., j], x[..., i]
            displacements.append(turned[:, None])
    return torch.cat(displacements, dim=1)
