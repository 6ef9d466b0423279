"""Compact manifolds with a uniform distribution, and those that are products of spheres."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from trajvae.geometry.manifolds.base import Manifold
from trajvae.geometry.manifolds.constant_curvature import ConstantCurvature
from trajvae.geometry.manifolds.product import ProductSpace


class Compact(Manifold):
    """Describe a compact manifold that a hidden variable is mapped on to.

    Attributes
    ----------
    raw_dim : int
        Number of coordinates that `lift` takes.
    group_size : int
        Number of coordinates that `act` takes; 0 where no group of isometries is known.
    log_volume : float or None
        Log of the volume by the metric that the ambient space induces; None where it is not known.
    exact : bool
        Whether `from_uniform` is available.
    """

    raw_dim: int
    group_size: int
    log_volume: float | None
    exact: bool

    @abstractmethod
    def lift(self, raw: Tensor) -> Tensor:
        """Map outputs of a network (..., raw) smoothly to points (..., ambient)."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n points from the target, the uniform distribution, (n, ambient)."""

    @abstractmethod
    def from_uniform(self, u: Tensor) -> Tensor:
        """Map points of the unit cube (..., dim) one-to-one so that uniform ones give uniform points (..., ambient)."""

    @abstractmethod
    def act(self, head: Tensor, z: Tensor) -> Tensor:
        """Move points (B, ambient) by the isometries that the numbers (B, group) encode."""


class Spheres(Compact):
    """Combine unit spheres side by side: circle (1,), torus (1, ..., 1), sphere (n,).

    Parameters
    ----------
    dims : tuple of int
        Dimension of each sphere.
    """

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims, self._sizes = dims, [d + 1 for d in dims]
        self.space = ProductSpace([ConstantCurvature(d, 1.0) for d in dims])
        self.dim, self.ambient_dim = sum(dims), sum(self._sizes)
        self.raw_dim = self.ambient_dim
        self._heads = [(d + 1) * d for d in dims]
        self.group_size = sum(self._heads)
        self.log_volume: float | None = sum(
            math.log(2.0) + 0.5 * s * math.log(math.pi) - math.lgamma(0.5 * s) for s in self._sizes
        )
        self.exact = all(d == 2 or d % 2 for d in dims)

    def lift(self, raw: Tensor) -> Tensor:
        """Scale each factor's coordinates to unit length, (..., ambient)."""
        parts = torch.split(raw, self._sizes, dim=-1)
        return torch.cat([torch.nn.functional.normalize(p, dim=-1) for p in parts], dim=-1)

    def project(self, z: Tensor) -> Tensor:
        """Return the nearest points of the spheres to ambient coordinates (..., ambient)."""
        return self.lift(z)

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n uniform points, (n, ambient), on the generator's device."""
        device = generator.device if generator is not None else None
        return self.lift(torch.randn(n, self.ambient_dim, generator=generator, device=device))

    def from_uniform(self, u: Tensor) -> Tensor:
        """Map points of the unit cube (..., dim) to the spheres with equal volumes, (..., ambient)."""
        parts = torch.split(inside(u), list(self.dims), dim=-1)
        return torch.cat([_band(p) if d == 2 else _odd(p) for d, p in zip(self.dims, parts, strict=True)], dim=-1)

    def act(self, head: Tensor, z: Tensor) -> Tensor:
        """Turn each sphere's points (B, ambient) by the element of SO(n + 1) that its numbers encode."""
        heads, points = torch.split(head, self._heads, dim=-1), torch.split(z, self._sizes, dim=-1)
        turned = [
            torch.einsum("...ij,...i->...j", special_orthogonal(h.reshape(*h.shape[:-1], d, d + 1)), p)
            for d, h, p in zip(self.dims, heads, points, strict=True)
        ]
        return torch.cat(turned, dim=-1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the roots of the sums of squared angles between a and b, row by row, (...), in radians."""
        return self.space.distance(a, b)

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the roots of the sums of squared angles between all rows of a and b, (A, B), in radians."""
        return self.space.pairwise_distance(a, b)

    def chords(self, z: Tensor) -> Tensor:
        """Return the points themselves: no chord is longer than its arc."""
        return z

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return points of great-circle arcs from a to b (ambient,) at times t (T,), (T, ambient)."""
        return self.space.geodesic(a, b, t)

    def tangent(self, z: Tensor) -> Tensor:
        """Return the logarithm at (1, 0, ...) of each factor, (B, dim)."""
        return self.space.tangent(z)

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Move points along the geodesic of an ambient step's tangent part, by the length of that part."""
        return self.space.retract(z, step)

    def geometry(self) -> str:
        return ",".join(f"s{d}:1.0" for d in self.dims)


def inside(u: Tensor) -> Tensor:
    """Return numbers of the unit cube, moved off its faces by the precision of their type; the derivative stays one."""
    edge = torch.finfo(u.dtype).eps
    return u.clamp(edge, 1.0 - edge)


def special_orthogonal(rows: Tensor) -> Tensor:
    """Complete rows (..., n - 1, n) to rotations (..., n, n) by the Gram-Schmidt process.

    The last row is the cross product of the others: continuous, except where they are linearly dependent.
    """
    done: list[Tensor] = []
    for row in rows.unbind(dim=-2):
        for other in done:
            row = row - (row * other).sum(dim=-1, keepdim=True) * other
        done.append(torch.nn.functional.normalize(row, dim=-1))
    first = torch.stack(done, dim=-2)
    size = first.shape[-1]
    minors = [torch.cat([first[..., :i], first[..., i + 1 :]], dim=-1) for i in range(size)]
    last = torch.stack([(-1.0) ** (size - 1 + i) * _det(minor) for i, minor in enumerate(minors)], dim=-1)
    return torch.cat([first, last.unsqueeze(-2)], dim=-2)


def _det(x: Tensor) -> Tensor:
    """Return determinants, of 1 x 1 and 2 x 2 matrices without a decomposition."""
    if x.shape[-1] == 1:
        return x[..., 0, 0]
    if x.shape[-1] == 2:
        return x[..., 0, 0] * x[..., 1, 1] - x[..., 0, 1] * x[..., 1, 0]
    out: Tensor = torch.linalg.det(x)
    return out


def _band(u: Tensor) -> Tensor:
    """Map the unit square on to the sphere by Archimedes' equal-area cylinder."""
    height, turn = 2.0 * u[..., 0] - 1.0, 2.0 * math.pi * u[..., 1]
    wide = 2.0 * (u[..., 0] * (1.0 - u[..., 0])).sqrt()
    return torch.stack([height, wide * turn.cos(), wide * turn.sin()], dim=-1)


def _odd(u: Tensor) -> Tensor:
    """Map the unit cube of dimension 2 m - 1 on to the unit sphere of C^m: angles, and a uniform point of the simplex.

    References
    ----------
    K. Shoemake, Graphics Gems III (1992), p. 124: m = 2, uniform quaternions.
    """
    m = (u.shape[-1] + 1) // 2
    turn, rest, squares = 2.0 * math.pi * u[..., m - 1 :], torch.ones_like(u[..., 0]), []
    for j in range(m - 1):
        left = torch.log1p(-u[..., j]) / (m - 1 - j)
        squares.append(-rest * torch.expm1(left))
        rest = rest * left.exp()
    radius = torch.stack([*squares, rest], dim=-1).clamp(min=torch.finfo(u.dtype).tiny).sqrt()
    return torch.stack([radius * turn.cos(), radius * turn.sin()], dim=-1).flatten(-2)
