"""The unit sphere: unit vectors, whose distances are angles."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.geometry.manifolds.base import Manifold
from trajvae.geometry.manifolds.constant_curvature import ConstantCurvature


class UnitSphere(Manifold):
    """Describe the unit sphere: the space of curvature 1, where steps keep the precision of the points.

    Parameters
    ----------
    space : ConstantCurvature
        Of curvature 1.
    """

    def __init__(self, space: ConstantCurvature) -> None:
        self.space = space
        self.dim, self.ambient_dim = space.dim, space.ambient_dim

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the angles between unit vectors a and b in radians, row by row, (..., ambient) to (...)."""
        return self.space.distance(a, b)

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the angles in radians between all rows of a (A, ambient) and b (B, ambient), (A, B)."""
        return self.space.pairwise_distance(a, b)

    def chords(self, z: Tensor) -> Tensor:
        """Return the unit vectors themselves: a chord is never longer than its arc."""
        return z

    def project(self, z: Tensor) -> Tensor:
        return torch.nn.functional.normalize(z, dim=-1)

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Move points along the great circle of the step's tangent part, by the length of that part."""
        tangent = step - (step * z).sum(dim=-1, keepdim=True) * z
        length = torch.linalg.vector_norm(tangent, dim=-1, keepdim=True)
        moved = length.cos() * z + torch.sinc(length / torch.pi) * tangent
        return torch.nn.functional.normalize(moved, dim=-1)

    def tangent(self, z: Tensor) -> Tensor:
        """Return the logarithm at (1, 0, ...), (B, dim)."""
        return self.space.tangent(z)

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return points of the shorter arc from a to b, both (ambient,), at times t (T,) in [0, 1], (T, ambient)."""
        return self.space.geodesic(a, b, t)

    def geometry(self) -> str:
        return f"s{self.dim}:1.0"
