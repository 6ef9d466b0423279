"""Bonds, angles and torsions as the encoder sees them, with their derivatives in closed form, finite everywhere.

References
----------
A. Blondel, M. Karplus, J. Comput. Chem. 17, 1132 (1996): derivatives of torsions without a division by a sine.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from trajvae.export.stage import Pullback, Stage
from trajvae.features import Internal
from trajvae.features.rebuild import RebuildPlan, measure
from trajvae.typing import Bool, Float64, Int64


class InternalCoordinates(Stage):
    """Measure linear coordinates in units of their spread, and cosines and sines of flexible torsions, (B, E).

    Parameters
    ----------
    features : Internal
        Of frames in space.
    """

    def __init__(self, features: Internal) -> None:
        self.plan = features.plan
        self.flexible: Bool = features.flexible.cpu().numpy().copy()
        self.centre, self.middle, self.spread = (
            np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)
            for t in (features.centre, features.middle, features.spread)
        )
        r = self.plan.references
        bonded, angled, turned = self.plan.bonded, self.plan.angled, self.plan.turned
        self._bonds, self._angles = (bonded, r[bonded, 0]), (angled, *r[angled, :2].T)
        self._torsions = (*r[turned].T[::-1], turned)
        columns = [np.arange(len(bonded))] * 2
        columns += [len(bonded) + np.arange(len(angled))] * 3
        columns += [len(bonded) + len(angled) + np.arange(len(turned))] * 4
        atoms = np.concatenate([*self._bonds, *self._angles, *self._torsions])
        order = np.argsort(atoms, kind="stable")  # derivatives by one atom stand side by side
        self._order, self._column = order, np.concatenate(columns)[order]
        self._starts = np.searchsorted(atoms[order], np.arange(len(r)))

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        """Return the coordinates of frames (B, N, 3), and the pullback."""
        bonds, by_bonds = _bond_lengths(x, *self._bonds)
        angles, by_angles = _bond_angles(x, *self._angles)
        torsions, by_torsions = _torsion_angles(x, *self._torsions)
        by_atoms = np.concatenate([*by_bonds, *by_angles, *by_torsions], axis=1)[:, self._order]
        stiff = torsions[:, ~self.flexible] - self.centre[~self.flexible]
        stiff -= 2.0 * math.pi * np.floor((stiff + math.pi) / (2.0 * math.pi))
        linear = (np.concatenate([bonds, angles, stiff], axis=1) - self.middle) / self.spread
        turning = torsions[:, self.flexible] - self.centre[self.flexible]
        cosine, sine = np.cos(turning), np.sin(turning)
        n_plain = bonds.shape[1] + angles.shape[1]

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            by_linear, by_cosine, by_sine = np.split(gradient, [linear.shape[1], linear.shape[1] + sine.shape[1]], -1)
            measured = np.empty((*gradient.shape[:2], n_plain + len(self.flexible)))
            by_linear = by_linear / self.spread
            measured[..., :n_plain] = by_linear[..., :n_plain]
            measured[..., n_plain:][..., ~self.flexible] = by_linear[..., n_plain:]
            measured[..., n_plain:][..., self.flexible] = by_sine * cosine[:, None] - by_cosine * sine[:, None]
            slots = measured[..., self._column, None] * by_atoms[:, None]
            return np.asarray(np.add.reduceat(slots, self._starts, axis=2).reshape(*gradient.shape[:2], -1))

        return np.concatenate([linear, cosine, sine], axis=1), pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _InternalModule(self)


def _dot(a: Float64, b: Float64) -> Float64:
    return np.asarray(np.einsum("bkd,bkd->bk", a, b))


def _cross(a: Float64, b: Float64) -> Float64:
    return np.stack([a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=-1)


def _over(a: Float64, b: Float64) -> Float64:
    """Return a / b, and 0 where b is 0: derivatives of coordinates that are not defined there."""
    return np.asarray(np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b != 0.0))


def _bond_lengths(x: Float64, i: Int64, j: Int64) -> tuple[Float64, list[Float64]]:
    """Return distances (B, K), and their derivatives by both atoms, (B, K, 3) each."""
    a = x[:, i] - x[:, j]
    length = np.sqrt(_dot(a, a))
    along = _over(a, length[..., None])
    return length, [along, -along]


def _bond_angles(x: Float64, i: Int64, j: Int64, k: Int64) -> tuple[Float64, list[Float64]]:
    """Return angles (B, K) at j, and their derivatives by the three atoms; 0 where an angle is straight or folded."""
    u, v = x[:, i] - x[:, j], x[:, k] - x[:, j]
    normal, dot = _cross(u, v), _dot(u, v)
    sine = np.sqrt(_dot(normal, normal))
    unit = _over(normal, sine[..., None])
    by_i = _over(_cross(unit, u), -_dot(u, u)[..., None])
    by_k = _over(_cross(unit, v), _dot(v, v)[..., None])
    return np.arctan2(sine, dot), [by_i, -by_i - by_k, by_k]


def _torsion_angles(x: Float64, i: Int64, j: Int64, k: Int64, l: Int64) -> tuple[Float64, list[Float64]]:  # noqa: E741
    """Return torsions (B, K) about j and k, and their derivatives by the four atoms."""
    f, g, h = x[:, i] - x[:, j], x[:, j] - x[:, k], x[:, l] - x[:, k]
    a, b = _cross(f, g), _cross(h, g)
    length = np.sqrt(_dot(g, g))
    angle = np.arctan2(_dot(_cross(b, a), g), length * _dot(a, b))
    over_a, over_b = _over(a, _dot(a, a)[..., None]), _over(b, _dot(b, b)[..., None])
    by_i, by_l = -length[..., None] * over_a, length[..., None] * over_b
    share_a, share_b = _over(_dot(f, g), length)[..., None] * over_a, _over(_dot(h, g), length)[..., None] * over_b
    return angle, [by_i, share_a - by_i - share_b, share_b - share_a - by_l, by_l]


class _InternalModule(nn.Module):
    """Measure the same coordinates of tensors."""

    centre: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, coordinates: InternalCoordinates) -> None:
        super().__init__()
        self.plan: RebuildPlan = coordinates.plan
        for name in ("centre", "middle", "spread"):
            self.register_buffer(name, torch.tensor(getattr(coordinates, name)))
        stiff, flexible = np.flatnonzero(~coordinates.flexible), np.flatnonzero(coordinates.flexible)
        self.stiff, self.turning = torch.from_numpy(stiff), torch.from_numpy(flexible)

    def forward(self, x: Tensor) -> Tensor:
        """Return the coordinates (B, E) of frames (B, N, 3)."""
        bonds, angles, torsions = measure(x, self.plan)
        turned = torsions - self.centre
        stiff, flexible = turned[:, self.stiff], turned[:, self.turning]
        stiff = stiff - 2.0 * math.pi * torch.floor((stiff.detach() + math.pi) / (2.0 * math.pi))
        linear = (torch.cat([bonds, angles, stiff], dim=1) - self.middle) / self.spread
        return torch.cat([linear, flexible.cos(), flexible.sin()], dim=1)
