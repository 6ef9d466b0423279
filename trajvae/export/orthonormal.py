"""Learned embeddings whose encoder gives isometries: a fixed point of the manifold, turned by orthonormal rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trajvae.export.network import Affine
from trajvae.export.stage import Pullback, Stage
from trajvae.geometry.manifolds import Rotations, Spheres
from trajvae.geometry.manifolds.compact import special_orthogonal
from trajvae.latents import Embedded
from trajvae.typing import Float64

_SHORTEST = 1e-12  # length of a row below which it is no direction


class OrthonormalRows(Stage):
    """Make rotations of the plane and of space from heads, side by side: their rows, one after the other.

    Parameters
    ----------
    dims : sequence of int
        1 for a rotation of the plane, whose head is a row of 2 numbers; 2 for one of space, two rows of 3. The last row
        of a rotation follows from those before it.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        self.dims = list(dims)
        self._cuts = np.cumsum([d * (d + 1) for d in dims])[:-1]
        self._ends = np.cumsum([(d + 1) ** 2 for d in dims])[:-1]

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        made = [_ROWS[d](part) for d, part in zip(self.dims, np.split(x, self._cuts, axis=1), strict=True)]

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            pieces = np.split(gradient, self._ends, axis=2)
            return np.concatenate([back(piece) for (_, back), piece in zip(made, pieces, strict=True)], axis=2)

        return np.concatenate([rows for rows, _ in made], axis=1), pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _RowsModule(self.dims)


def turned_point(latent: Embedded) -> list[Stage] | None:
    """Return the steps from the head `group` of a latent space to its points; None where they are not known here."""
    manifold = latent.manifold
    if not latent.grouped or not isinstance(manifold, Spheres | Rotations):
        return None
    dims = manifold.dims if isinstance(manifold, Spheres) else (2,)
    if max(dims) > 2:
        return None
    with torch.inference_mode(False), torch.no_grad():
        start = latent.map.points(latent.hidden.mean({"loc": latent.centre.double()[None], **_heads(latent)}))
    point = start[0].numpy()
    if isinstance(manifold, Rotations):
        return [OrthonormalRows(dims), Affine(np.zeros(9), np.kron(np.eye(3), point.reshape(3, 3)))]
    matrix, row, column = np.zeros((sum((d + 1) ** 2 for d in dims), len(point))), 0, 0
    for d in dims:
        own = point[column : column + d + 1]
        matrix[row : row + (d + 1) ** 2, column : column + d + 1] = np.kron(own[:, None], np.eye(d + 1))
        row, column = row + (d + 1) ** 2, column + d + 1
    return [OrthonormalRows(dims), Affine(np.zeros(len(matrix)), matrix)]


def _heads(latent: Embedded) -> dict[str, Tensor]:
    """Return heads of the hidden posterior beside `loc`, on which its centre does not depend, as zeros."""
    return {name: torch.zeros(1, n, dtype=torch.float64) for name, n in latent.hidden.sizes.items() if name != "loc"}


def _dot(a: Float64, b: Float64) -> Float64:
    return np.asarray((a * b).sum(axis=-1, keepdims=True))


def _cross(a: Float64, b: Float64) -> Float64:
    return np.stack([a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=-1)


def _unit(a: Float64) -> tuple[Float64, Float64]:
    """Return rows of length one, and the lengths that they had."""
    length = np.maximum(np.sqrt(_dot(a, a)), _SHORTEST)
    return a / length, length


def _of_plane(x: Float64) -> tuple[Float64, Pullback]:
    """Return both rows (B, 4) of rotations whose first rows have the directions of x (B, 2)."""
    e, length = _unit(x)

    def pullback(gradient: Float64) -> Float64:
        """Carry gradients back."""
        g = gradient[..., :2] + np.stack([gradient[..., 3], -gradient[..., 2]], axis=-1)
        return np.asarray((g - _dot(g, e[:, None]) * e[:, None]) / length[:, None])

    return np.concatenate([e, -e[:, 1:], e[:, :1]], axis=1), pullback


def _of_space(x: Float64) -> tuple[Float64, Pullback]:
    """Return the rows (B, 9) of rotations by the Gram-Schmidt process from two rows, x (B, 6)."""
    b = x[:, 3:]
    e1, length1 = _unit(x[:, :3])
    along = _dot(b, e1)
    e2, length2 = _unit(b - along * e1)

    def pullback(gradient: Float64) -> Float64:
        """Carry gradients back."""
        u, v = e1[:, None], e2[:, None]
        g1, g2, g3 = (gradient[..., k : k + 3] for k in (0, 3, 6))
        g1, g2 = g1 + _cross(v, g3), g2 + _cross(g3, u)
        g = (g2 - _dot(g2, v) * v) / length2[:, None]
        lean = _dot(g, u)
        g1 = g1 - lean * b[:, None] - along[:, None] * g
        return np.concatenate([(g1 - _dot(g1, u) * u) / length1[:, None], g - lean * u], axis=-1)

    return np.concatenate([e1, e2, _cross(e1, e2)], axis=1), pullback


_ROWS = {1: _of_plane, 2: _of_space}


class _RowsModule(nn.Module):
    """Make the same rows of tensors, in float64."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = list(dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return rows (B, L) of heads (B, K)."""
        parts = torch.split(x.double(), [d * (d + 1) for d in self.dims], dim=1)
        heads = [part.view(-1, d, d + 1) for d, part in zip(self.dims, parts, strict=True)]
        return torch.cat([special_orthogonal(head).flatten(1) for head in heads], dim=1)
