"""Rotations of space, SO(3), as a compact manifold of 3 x 3 matrices."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trajvae.geometry.manifolds.compact import Compact, Spheres, special_orthogonal

_ROOT2 = 2.0**0.5
_ROOT8 = 2.0 * math.sqrt(2.0)


class Rotations(Compact):
    """Describe SO(3) in R^9: rotation matrices, row by row.

    Distances are angles of rotation. Lengths in the ambient space are sqrt 2 times as large, so that the volume has the
    logarithm log(8 pi^2) + 3/2 log 2.
    """

    dim, ambient_dim, raw_dim, group_size, exact = 3, 9, 6, 6, True
    log_volume: float | None = math.log(8.0 * math.pi**2) + 1.5 * math.log(2.0)
    _quaternions = Spheres((3,))

    def lift(self, raw: Tensor) -> Tensor:
        """Map outputs of a network (..., 6) to rotations (..., 9): two orthonormal rows, and their cross product."""
        return special_orthogonal(raw.reshape(*raw.shape[:-1], 2, 3)).flatten(-2)

    def project(self, z: Tensor) -> Tensor:
        """Return the nearest rotations, (..., 9): polar factors with determinant +1; gradients hold near rotations."""
        matrix = _matrix(z)
        u, _, vt = torch.linalg.svd(matrix.detach())
        ones = torch.ones_like(z[..., 0])
        proper = u * torch.stack([ones, ones, torch.linalg.det(u @ vt)], dim=-1).unsqueeze(-2)
        nearest: Tensor = proper @ vt
        # the singular value decomposition of a rotation has no gradient, which is that of the tangent part instead
        change = nearest.mT @ (matrix - matrix.detach())  # zero, with the gradient of the matrix
        return (nearest + nearest @ (0.5 * (change - change.mT))).flatten(-2)

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n uniform rotations, (n, 9), from uniform quaternions."""
        return _of_quaternion(self._quaternions.sample(n, generator))

    def from_uniform(self, u: Tensor) -> Tensor:
        """Map points of the unit cube (..., 3) to rotations with equal volumes, (..., 9), by quaternions.

        The last angle of a quaternion covers half a turn only, since q and -q are one rotation.
        """
        return _of_quaternion(self._quaternions.from_uniform(u * u.new_tensor([1.0, 1.0, 0.5])))

    def act(self, head: Tensor, z: Tensor) -> Tensor:
        """Multiply rotations (B, 9) by the rotations that the numbers (B, 6) encode."""
        return (_matrix(self.lift(head)) @ _matrix(z)).flatten(-2)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the angles in radians between rotations a and b, row by row, (..., 9) to (...)."""
        chord: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
        return _angle_of_chord(chord)

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the angles in radians between all rows of a (A, 9) and b (B, 9), (A, B)."""
        chord: Tensor = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        return _angle_of_chord(chord)

    def chords(self, z: Tensor) -> Tensor:
        """Return the matrices over sqrt 2: their chords are 2 sin(angle / 2), never longer than the angle."""
        return z / _ROOT2

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return rotations from a to b (9,) about one axis at times t (T,), (T, 9)."""
        start = _matrix(a)
        vector = _vector(start.mT @ _matrix(b))
        turned: Tensor = start @ _exponential(t[:, None] * vector)
        return turned.flatten(-2)

    def tangent(self, z: Tensor) -> Tensor:
        """Return rotation vectors in radians, (B, 3)."""
        return _vector(_matrix(z))

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Turn rotations (B, 9) about the axis of an ambient step's tangent part, by the length of that part."""
        at = _matrix(z)
        inner = at.mT @ _matrix(step)
        skew = 0.5 * (inner - inner.mT)
        moved: Tensor = at @ torch.linalg.matrix_exp(skew)
        return self.project(moved.flatten(-2))

    def geometry(self) -> str:
        return "so3"


def _matrix(z: Tensor) -> Tensor:
    """Return points (..., 9) as matrices (..., 3, 3)."""
    return z.reshape(*z.shape[:-1], 3, 3)


def _angle_of_chord(chord: Tensor) -> Tensor:
    """Angles of rotation (...) between rotations by their chord, sqrt 8 times the sine of half the angle."""
    limit = 1.0 - torch.finfo(chord.dtype).eps  # the arc of the sine has no slope at half a turn
    return 2.0 * torch.asin((chord / _ROOT8).clamp(max=limit))


def _of_quaternion(q: Tensor) -> Tensor:
    """Return the rotation matrices of unit quaternions (..., 4), scalar first, row by row (..., 9)."""
    w, x, y, z = q.unbind(dim=-1)
    rows = [
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1)


def _vector(r: Tensor) -> Tensor:
    """Return the rotation vectors (..., 3) of matrices (..., 3, 3), precise up to half a turn.

    Up to a quarter turn the axis is that of the skew part, beyond it that of the symmetric part.
    """
    skew = 0.5 * torch.stack(
        [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1
    )
    sine = torch.linalg.vector_norm(skew, dim=-1, keepdim=True)
    cosine = 0.5 * (r.diagonal(dim1=-1, dim2=-2).sum(dim=-1, keepdim=True) - 1.0)
    angle = torch.atan2(sine, cosine)
    small = skew * torch.where(sine > 1e-6, angle / sine.clamp(min=1e-12), 1.0)
    # beyond a quarter turn: (R + R^T) / 2 = cos + (1 - cos) a a^T, whose largest column lies along the axis
    outer = 0.5 * (r + r.mT) - cosine.unsqueeze(-1) * torch.eye(3).to(r)
    best = outer.diagonal(dim1=-1, dim2=-2).argmax(dim=-1)
    column = outer.gather(-1, best[..., None, None].expand(*best.shape, 3, 1)).squeeze(-1)
    axis = torch.nn.functional.normalize(column, dim=-1)
    sign = torch.where((axis * skew).sum(dim=-1, keepdim=True) < 0.0, -1.0, 1.0).to(r)
    return torch.where(cosine > 0.0, small, angle * sign * axis)


def _exponential(v: Tensor) -> Tensor:
    """Return the rotation matrices of rotation vectors (..., 3)."""
    x, y, z = v.unbind(dim=-1)
    zero = torch.zeros_like(x)
    skew = _matrix(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1))
    turned: Tensor = torch.linalg.matrix_exp(skew)
    return turned
