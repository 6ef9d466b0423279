"""Products of spaces of constant curvature: points are the coordinates of the factors side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trajvae.geometry.manifolds.base import Manifold
from trajvae.geometry.manifolds.chord_distances import safe_root
from trajvae.geometry.manifolds.constant_curvature import ConstantCurvature


class ProductSpace(nn.Module, Manifold):
    """Combine spaces of constant curvature into their product.

    Points have (c, s) of each factor that is or may become curved, and Cartesian coordinates of each flat factor.

    Parameters
    ----------
    factors : sequence of ConstantCurvature
        A factor with K = 0 that is not learnable counts as flat: its c, which is always 1, is left out.

    Attributes
    ----------
    flat_factors : list of bool
        Which factors are flat.
    """

    def __init__(self, factors: list[ConstantCurvature]) -> None:
        super().__init__()
        self.spaces = nn.ModuleList(factors)
        self.flat_factors = [not isinstance(f.curvature, nn.Parameter) and float(f.curvature) == 0.0 for f in factors]
        self._dims = [f.dim for f in factors]
        self._sizes = [f.dim + (not e) for f, e in zip(factors, self.flat_factors, strict=True)]
        self.dim, self.ambient_dim = sum(self._dims), sum(self._sizes)

    @property
    def factors(self) -> list[ConstantCurvature]:
        """The factors, in order."""
        return [s for s in self.spaces if isinstance(s, ConstantCurvature)]

    def vectors(self, v: Tensor) -> list[Tensor]:
        """Return the tangent coordinates (..., dim) of each factor."""
        return list(torch.split(v, self._dims, dim=-1))

    def points(self, z: Tensor, flat: float = 1.0) -> list[Tensor]:
        """Return the points (..., ambient) of each factor; `flat` is the c of flat factors (0 for steps)."""
        parts = torch.split(z, self._sizes, dim=-1)
        return [
            nn.functional.pad(p, (1, 0), value=flat) if e else p for p, e in zip(parts, self.flat_factors, strict=True)
        ]

    def join(self, points: list[Tensor]) -> Tensor:
        """Return the factors' points side by side, (..., ambient)."""
        return torch.cat([p[..., 1:] if e else p for p, e in zip(points, self.flat_factors, strict=True)], dim=-1)

    def from_tangent(self, v: Tensor) -> Tensor:
        """Return the exponential map at the origin, (..., dim) to (..., ambient)."""
        return self.join([s.from_tangent(p) for s, p in zip(self.factors, self.vectors(v), strict=True)])

    def tangent(self, z: Tensor) -> Tensor:
        """Return the logarithm at the origin, (..., ambient) to (..., dim)."""
        return torch.cat([s.tangent(p) for s, p in zip(self.factors, self.points(z), strict=True)], dim=-1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the root of the sum of the factors' squared distances, (..., ambient) to (...)."""
        pairs = zip(self.factors, self.points(a), self.points(b), strict=True)
        return safe_root(torch.stack([s.distance(x, y).square() for s, x, y in pairs]).sum(dim=0))

    def chords(self, z: Tensor) -> Tensor:
        """Return the factors' `ConstantCurvature.chords` side by side."""
        return torch.cat([s.chords(p) for s, p in zip(self.factors, self.points(z), strict=True)], dim=-1)

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return distances (A, B) between all rows of a (A, ambient) and b (B, ambient)."""
        pairs = zip(self.factors, self.points(a), self.points(b), strict=True)
        return safe_root(torch.stack([s.pairwise_distance(x, y).square() for s, x, y in pairs]).sum(dim=0))

    def project(self, z: Tensor) -> Tensor:
        """Project each factor's coordinates on to its manifold."""
        return self.join([s.project(p) for s, p in zip(self.factors, self.points(z), strict=True)])

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Move along a multiple of a gradient in the coordinates, factor by factor, as `ConstantCurvature.retract`."""
        parts = zip(self.factors, self.points(z), self.points(step, 0.0), strict=True)
        return self.join([s.retract(p, d) for s, p, d in parts])

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return points of the geodesic from a to b, both (ambient,), at times t (T,) in (0, 1), (T, ambient)."""
        parts = zip(self.factors, self.points(a), self.points(b), strict=True)
        return self.join([s.geodesic(x, y, t) for s, x, y in parts])

    def geometry(self) -> str:
        each = zip(self.factors, self.flat_factors, strict=True)
        return ",".join(f"e{s.dim}" if flat else s.geometry() for s, flat in each)
