"""Superposition on the reference as a differentiable step: its derivative is finite wherever it is defined.

With y = c R the superposed frame (c the centred one), C = R^T sum w c r and K = tr(C) 1 - C, a gradient g by y is
R^T-turned back together with that of the rotation, w r x K^-1 Q, where Q = sum y x g is the torque. Singular values of
C may agree: K, whose eigenvalues are sums of two of them, is what is divided by, and it is singular only where the
optimal rotation is not unique; about such an axis the derivative is taken as zero.

References
----------
W. Kabsch, Acta Cryst. A 34, 827 (1978).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.linalg.lapack import dgesdd
from torch import Tensor, nn

from trajvae.errors import ReadError
from trajvae.export.stage import Pullback, Stage
from trajvae.typing import Float64

_BITS = 60.0  # of a whole number that stand for a covariance: more than float64 has
_SMALLEST = 1e-200  # Å^2, of a covariance whose size is taken
_LEAST = 1e-12  # share of the covariance below which an eigenvalue of K is rounding: the rotation is not unique
_SUMS_OF_TWO = 1.0 - np.eye(3)
# the vector (3,) that a matrix (9,) times this is has the differences of elements across the diagonal
_ANTISYMMETRIC = np.array([[(a - b) * (b - c) * (c - a) / 2.0 for c in range(3)] for a in range(3) for b in range(3)])


class Superposed(Stage):
    """Centre frames and rotate them optimally, by proper rotations, on to a reference in space.

    Parameters
    ----------
    reference : ndarray, shape (N, 3)
        In Å, centred with the weights.
    weights : ndarray, shape (N,)
    """

    def __init__(self, reference: Float64, weights: Float64) -> None:
        self.share = weights / weights.sum()
        self.weighted = weights[:, None] * reference
        cross = np.zeros((3, len(weights), 3))  # w r x a = a @ cross
        for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
            cross[j, :, k], cross[i, :, k] = self.weighted[:, i], -self.weighted[:, j]
        self._cross, self._ones = cross.reshape(3, -1), np.ones(len(weights))

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        """Return superposed frames (B, 3N) of frames (B, N, 3), and the pullback.

        Raises
        ------
        ReadError
            Positions are not finite numbers.
        """
        centred = x - (self.share @ x)[:, None]
        u, s, vt = _decomposed(centred.transpose(0, 2, 1) @ self.weighted)
        rotation = u @ vt
        placed = centred @ rotation

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            g = gradient.reshape(len(x), -1, x.shape[1], 3)
            moments = placed.transpose(0, 2, 1)[:, None] @ g
            torque = moments.reshape(*moments.shape[:2], 9) @ _ANTISYMMETRIC
            turn = ((torque @ vt.transpose(0, 2, 1)) * _inverse(s)[:, None]) @ vt
            g = (g + (turn @ self._cross).reshape(g.shape)) @ rotation.transpose(0, 2, 1)[:, None]
            g -= self.share[:, None] * (self._ones @ g)[..., None, :]
            return np.asarray(g.reshape(gradient.shape))

        return placed.reshape(len(x), -1), pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _SuperposedModule(self.share, self.weighted)


def _decomposed(covariance: Float64) -> tuple[Float64, Float64, Float64]:
    """Return u, s and v^T of matrices (B, 3, 3), the last column of u and the last value with the sign of det u v^T.

    Then u v^T is a proper rotation. A simulation asks for one frame a step, for which LAPACK itself takes a sixth of
    the time of numpy's function. It may hang where numbers are not finite.
    """
    if not math.isfinite(float(covariance.sum())):
        raise ReadError("the positions are not finite numbers: the frame is damaged, or its simulation")
    if len(covariance) == 1:
        one = dgesdd(covariance[0])
        u, s, vt = (np.asarray(part, dtype=np.float64)[None] for part in one[:3])
        sign = np.array([_determinant(u[0] @ vt[0])])
    else:
        u, s, vt = np.linalg.svd(covariance)
        sign = np.linalg.det(u @ vt)
    sign = np.sign(sign)
    u[:, :, 2] *= sign[:, None]
    s[:, 2] *= sign
    return u, s, vt


def _determinant(matrix: Float64) -> float:
    """Return the determinant of a 3 x 3 matrix."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def _inverse(signed: Float64) -> Float64:
    """Return the inverse eigenvalues (B, 3) of K from singular values with the sign of the determinant; 0 for none."""
    moments = signed @ _SUMS_OF_TWO
    unique = moments > _LEAST * signed[:, :1]
    return np.asarray(unique / np.where(unique, moments, 1.0))


class AsGiven(Stage):
    """Take frames as they come, for models of frames that were aligned before."""

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        return x.reshape(len(x), -1), lambda gradient: gradient

    def module(self, dtype: torch.dtype) -> nn.Module:
        return nn.Flatten(1)


class _SuperposedModule(nn.Module):
    """Superpose tensors in float64: by an optimal rotation, a constant, and a Newton step that has its derivative."""

    share: Tensor
    weighted: Tensor
    first: Tensor

    def __init__(self, share: Float64, weighted: Float64) -> None:
        super().__init__()
        self.register_buffer("share", torch.from_numpy(share))
        self.register_buffer("weighted", torch.from_numpy(weighted))
        self.register_buffer("first", torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return superposed frames (B, 3N) of frames (B, N, 3)."""
        centred = x - torch.matmul(self.share, x).unsqueeze(1)
        covariance = torch.matmul(centred.transpose(1, 2), self.weighted)
        u, s, vt = torch.linalg.svd(_constant(covariance))
        sign = torch.sign(torch.linalg.det(torch.matmul(u, vt))).unsqueeze(1)
        flip = self.first + sign * (1.0 - self.first)
        rotation = torch.matmul(u * flip.unsqueeze(1), vt)
        signed = s * flip
        moments = signed.sum(dim=1, keepdim=True) - signed
        unique = moments > _LEAST * s.sum(dim=1, keepdim=True)
        inverse = unique / torch.where(unique, moments, 1.0)
        c = torch.matmul(rotation.transpose(1, 2), covariance)
        torque = torch.stack([c[:, 1, 2] - c[:, 2, 1], c[:, 2, 0] - c[:, 0, 2], c[:, 0, 1] - c[:, 1, 0]], dim=1)
        turn = torch.matmul((torch.matmul(vt, torque.unsqueeze(2)).squeeze(2) * inverse).unsqueeze(1), vt)
        placed = torch.matmul(centred, rotation)
        out: Tensor = placed - torch.linalg.cross(placed, turn.expand_as(placed))
        return out.flatten(1)


def _constant(x: Tensor) -> Tensor:
    """Return float64 matrices (B, 3, 3) without their graph, with all digits of their largest element.

    They go through whole numbers, which have no derivative: freezing a program takes every `detach` out of it.
    """
    largest = x.abs().amax(dim=(1, 2), keepdim=True).clamp(min=_SMALLEST)
    exponent = torch.ceil(torch.log2(largest)).to(torch.int64).to(torch.float64)
    return (x * torch.exp2(_BITS - exponent)).to(torch.int64).to(torch.float64) * torch.exp2(exponent - _BITS)
