"""How frames move when they are shifted and turned."""

from __future__ import annotations

import torch
from torch import Tensor


def moves(x: Tensor) -> Tensor:
    """Return how frames (B, N, D) move when shifted along, then turned about, each axis, (B, moves, N, D)."""
    dimension = x.shape[2]
    shifts = torch.eye(dimension, dtype=x.dtype, device=x.device)[:, None, :].expand(-1, x.shape[1], -1)
    parts = [shifts.expand(len(x), -1, -1, -1)]
    for i in range(dimension):
        for j in range(i + 1, dimension):
            turned = torch.zeros_like(x)
            turned[..., i], turned[..., j] = -x[..., j], x[..., i]
            parts.append(turned[:, None])
    return torch.cat(parts, dim=1)
