"""Distances in spaces of constant curvature, by chords: accurate near and far, whatever the curvature's sign.

Points are (c, s), (..., dim + 1) in float64, as `ConstantCurvature` has them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trajvae.geometry.trigonometry import arc_ratio


def split_point(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coordinates c (..., 1) and s (..., dim) of points (..., dim + 1)."""
    return z[..., :1], z[..., 1:]


def safe_root(square: Tensor) -> Tensor:
    """Return the square root, with gradient zero at zero instead of infinite."""
    positive = square > 0
    root = torch.where(positive, square, torch.ones_like(square)).sqrt()
    return torch.where(positive, root, torch.zeros_like(square))


def exact_point(z: Tensor, curvature: Tensor, sign: int) -> Tensor:
    """Return points with c recomputed from s, except on spheres, where they stay as they are.

    In float32 the c that came in has lost the digits that differences need.
    """
    if sign > 0:
        return z
    s = z[..., 1:]
    return torch.cat([(1.0 - curvature * s.square().sum(dim=-1, keepdim=True)).sqrt(), s], dim=-1)


def squared_chord(a: Tensor, b: Tensor, curvature: Tensor) -> Tensor:
    """Return |s - s'|^2 + (c - c')^2 / K, (...), without dividing by K: (c - c') (c + c') = K (|s'|^2 - |s|^2)."""
    c, s = split_point(a)
    d, t = split_point(b)
    spatial = (s - t).square().sum(dim=-1)
    total = (c + d).squeeze(-1)
    safe = torch.where(total.abs() > 0.5, total, torch.ones_like(total))
    difference = ((t - s) * (t + s)).sum(dim=-1) / safe
    by_sum = curvature * difference.square()
    k = torch.where(curvature.abs() > 0, curvature, torch.ones_like(curvature))
    direct = (c - d).squeeze(-1).square() / k
    return spatial + torch.where(total.abs() > 0.5, by_sum, direct)


def distance(first: Tensor, second: Tensor, curvature: Tensor) -> Tensor:
    """Return geodesic distances (...) of exact points of equal shape.

    From the chord q, sin_K(d / 2) = sqrt(q) / 2; on spheres the complementary chord takes over beyond 90 degrees.
    """
    q = squared_chord(first, second, curvature)
    half = curvature * q / 4.0
    near = 2.0 * arc_ratio(half.clamp(max=0.5)) * safe_root(q / 4.0)
    far = half > 0.5
    if bool(far.any()):
        other = squared_chord(first, -second, curvature).clamp(min=0.0) * curvature / 4.0
        angle = math.pi / 2.0 - torch.asin(safe_root(torch.where(far, other, torch.zeros_like(other))).clamp(max=1.0))
        scale = torch.where(far, curvature, torch.ones_like(half)).sqrt()
        near = torch.where(far, 2.0 * angle / scale, near)
    return near


def pairwise_distance(first: Tensor, second: Tensor, curvature: Tensor) -> Tensor:
    """Return distances (A, B) between all rows of exact points (A, dim + 1), (B, dim + 1), in memory of that size."""
    (c, s), (d, t) = split_point(first), split_point(second)
    q = torch.cdist(s, t, compute_mode="donot_use_mm_for_euclid_dist").square()
    total = c + d.T
    by_sum = total.abs() > 0.5  # false on spheres only
    difference = s.square().sum(dim=-1, keepdim=True) - t.square().sum(dim=-1)
    q = q + curvature * (difference / torch.where(by_sum, total, torch.inf)).square()
    if not bool(by_sum.all()):
        q = torch.where(by_sum, q, q + (c - d.T).square() / curvature)
    return arc_ratio((0.25 * curvature * q).clamp(max=1.0 - 1e-12)) * safe_root(q)
