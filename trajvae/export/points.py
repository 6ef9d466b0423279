"""From the encoder's outputs to latent points: unit vectors, and products of spaces of constant curvature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trajvae.export.stage import Pullback, Stage
from trajvae.latents import Product
from trajvae.typing import Float64

_SHORTEST = 1e-12  # length of a head below which it is no direction
_NEAR = 1e-4  # |K| |v|^2 below which functions of it are power series


class UnitVectors(Stage):
    """Scale vectors to length one: the points of a hyperspherical latent space."""

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        length = np.maximum(np.sqrt(np.square(x).sum(axis=1, keepdims=True)), _SHORTEST)
        z = x / length

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            along = np.einsum("bmk,bk->bm", gradient, z)[..., None]
            return np.asarray((gradient - along * z[:, None]) / length[:, None])

        return z, pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _UnitModule()


class _UnitModule(nn.Module):
    """Scale tensors to length one."""

    def forward(self, x: Tensor) -> Tensor:
        """Return unit vectors (B, K)."""
        return torch.nn.functional.normalize(x, dim=-1, eps=_SHORTEST)


class Factor(NamedTuple):
    """Hold what maps a part of the head to a factor of a product.

    Attributes
    ----------
    letter : {"s", "h", "e"}
        A sphere, whose head is a direction about (1, 0); a hyperbolic space, or a flat one with its constant c, whose
        heads are tangent vectors at the origin; a flat one without.
    size : int
        Numbers of the head.
    curvature : float
    """

    letter: str
    size: int
    curvature: float


class ProductPoints(Stage):
    """Map heads to the points of a product of spaces of constant curvature, side by side.

    Parameters
    ----------
    factors : sequence of Factor
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.factors = list(factors)
        self._cuts = np.cumsum([f.size for f in factors])[:-1]

    @classmethod
    def of(cls, latent: Product) -> ProductPoints:
        """Return the stage of a latent space."""
        spaces = zip(latent.signature, latent.space.factors, latent.space.flat_factors, strict=True)
        return cls(
            [
                Factor(letter, f.dim + (letter == "s"), float(space.curvature.detach()))
                for f, space, flat in spaces
                for letter in ("e" if flat and f.letter != "s" else f.letter if f.letter == "s" else "h",)
            ]
        )

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        parts = np.split(x, self._cuts, axis=1)
        made = [_MAPS[f.letter](part, f.curvature) for f, part in zip(self.factors, parts, strict=True)]
        ends = np.cumsum([z.shape[1] for z, _ in made])[:-1]

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            pieces = np.split(gradient, ends, axis=2)
            return np.concatenate([back(piece) for (_, back), piece in zip(made, pieces, strict=True)], axis=2)

        return np.concatenate([z for z, _ in made], axis=1), pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _ProductModule(self.factors)


def _flat(v: Float64, curvature: float) -> tuple[Float64, Pullback]:
    return v, lambda gradient: gradient


def _on_sphere(v: Float64, curvature: float) -> tuple[Float64, Pullback]:
    """Scale (1, 0) + v to the sphere c^2 + K |s|^2 = 1."""
    start = v.copy()
    start[:, 0] += 1.0
    metric = np.r_[1.0, np.full(v.shape[1] - 1, curvature)]
    length = np.sqrt(np.maximum((metric * np.square(start)).sum(axis=1, keepdims=True), 1e-300))
    z = start / length

    def pullback(gradient: Float64) -> Float64:
        """Carry gradients back."""
        along = np.einsum("bmk,bk->bm", gradient, z)[..., None]
        return np.asarray((gradient - along * (metric * z)[:, None]) / length[:, None])

    return z, pullback


def _hyperbolic(v: Float64, curvature: float) -> tuple[Float64, Pullback]:
    """Apply the exponential map at the origin: (cosh r, v sinh r / r) with r^2 = -K |v|^2."""
    square = -curvature * np.square(v).sum(axis=1, keepdims=True)
    near = square < _NEAR
    r = np.sqrt(np.where(near, 1.0, square))
    c = np.where(near, 1.0 + square * (0.5 + square * (1.0 / 24.0 + square / 720.0)), np.cosh(r))
    ratio = np.where(near, 1.0 + square * (1.0 / 6.0 + square * (1.0 / 120.0 + square / 5040.0)), np.sinh(r) / r)
    slope = np.where(near, 1.0 / 3.0 + square * (1.0 / 30.0 + square / 840.0), (c - ratio) / np.square(r))

    def pullback(gradient: Float64) -> Float64:
        """Carry gradients back."""
        first, rest = gradient[..., :1], gradient[..., 1:]
        along = np.einsum("bmk,bk->bm", rest, v)[..., None]
        push = -curvature * (first * ratio[:, None] + along * slope[:, None])
        return np.asarray(rest * ratio[:, None] + push * v[:, None])

    return np.concatenate([c, ratio * v], axis=1), pullback


_MAPS = {"e": _flat, "s": _on_sphere, "h": _hyperbolic}


class _ProductModule(nn.Module):
    """Map heads of tensors, in float64."""

    def __init__(self, factors: Sequence[Factor]) -> None:
        super().__init__()
        self.factors = list(factors)

    def forward(self, x: Tensor) -> Tensor:
        """Return points (B, ambient) of heads (B, K)."""
        parts = torch.split(x.double(), [f.size for f in self.factors], dim=1)
        return torch.cat([_point(part, f) for f, part in zip(self.factors, parts, strict=True)], dim=1)


def _point(v: Tensor, factor: Factor) -> Tensor:
    if factor.letter == "e":
        return v
    if factor.letter == "s":
        c, s = v[:, :1] + 1.0, v[:, 1:]
        length = (c.square() + factor.curvature * s.square().sum(dim=1, keepdim=True)).clamp(min=1e-300).sqrt()
        return torch.cat([c, s], dim=1) / length
    square = -factor.curvature * v.square().sum(dim=1, keepdim=True)
    near = square < _NEAR
    r = torch.where(near, 1.0, square).sqrt()
    c = torch.where(near, 1.0 + square * (0.5 + square * (1.0 / 24.0 + square / 720.0)), torch.cosh(r))
    ratio = torch.where(near, 1.0 + square * (1.0 / 6.0 + square * (1.0 / 120.0 + square / 5040.0)), torch.sinh(r) / r)
    return torch.cat([c, ratio * v], dim=1)
