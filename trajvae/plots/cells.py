"""Cells of nearly one size that a plane, a disc or a sphere is cut into, and how much volume each has.

A disc or a sphere is cut into rings, and these into as many sectors as keep cells near squares: no cell is cut by an
edge, and each has its volume in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trajvae.typing import Float64, Int64

_MARGIN = 0.03  # of the range of points, beyond its ends
_STEPS = 6  # of which a side of a sector's outline is made


@dataclass(frozen=True, eq=False)
class Grid:
    """Count points in cells between the edges of one coordinate or two, with the volumes of flat space.

    Attributes
    ----------
    edges : tuple of ndarray
    """

    edges: tuple[Float64, ...]

    @classmethod
    def over(cls, shown: Float64, bins: int, periods: tuple[float, ...]) -> Grid:
        """Return cells over all points shown (T, 1 or 2), or one period from -period/2 where a coordinate has one."""
        edges = []
        for column, period in zip(shown.T, periods, strict=True):
            margin = _MARGIN * float(np.ptp(column)) + 1e-9
            low, high = float(column.min()) - margin, float(column.max()) + margin
            low, high = (-period / 2, period / 2) if period else (low, high)
            edges.append(np.linspace(low, high, bins + 1))
        return cls(tuple(edges))

    @property
    def volumes(self) -> Float64:
        """Volume of each cell, in the shape of `count`."""
        widths = [np.diff(e) for e in self.edges]
        return widths[0] if len(widths) == 1 else np.outer(*widths)

    def count(self, shown: Float64) -> Float64:
        """Return the number of points in each cell, (bins,) or (bins, bins)."""
        return np.histogramdd(shown, list(self.edges))[0]


@dataclass(frozen=True, eq=False)
class Rings:
    """Count points in cells between radii, or latitudes, and within angles.

    Attributes
    ----------
    edges : ndarray, shape (R + 1,)
    sectors : ndarray of int64, shape (R,)
        Of each ring, from the angle -pi.
    within : callable
        Volume per radian up to a radius, or latitude, but for a constant.
    """

    edges: Float64
    sectors: Int64
    within: Callable[[Float64], Float64]

    @classmethod
    def of_disc(cls, radius: float, rings: int, within: Callable[[Float64], Float64]) -> Rings:
        """Return the cells of a disc about the origin."""
        edges = np.linspace(0.0, radius, rings + 1)
        sectors = np.maximum(4, np.round(2.0 * np.pi * (np.arange(rings) + 0.5))).astype(np.int64)
        return cls(edges, sectors, within)

    @classmethod
    def of_sphere(cls, rings: int, curvature: float) -> Rings:
        """Return the cells of a whole sphere, by latitude."""
        edges = np.linspace(-0.5 * np.pi, 0.5 * np.pi, rings + 1)
        middle = 0.5 * (edges[1:] + edges[:-1])
        sectors = np.maximum(4, np.round(2.0 * rings * np.cos(middle))).astype(np.int64)
        return cls(edges, sectors, lambda latitude: np.sin(latitude) / curvature)

    @property
    def volumes(self) -> Float64:
        """Volume of each cell, (cells,)."""
        return np.repeat(2.0 * np.pi * np.diff(self.within(self.edges)) / self.sectors, self.sectors)

    def count(self, shown: Float64) -> Float64:
        """Return the number of points, (T, 2) as radius and angle, in each cell, (cells,)."""
        ring = np.clip(np.searchsorted(self.edges, shown[:, 0], side="right") - 1, 0, len(self.sectors) - 1)
        turn = (shown[:, 1] + np.pi) / (2.0 * np.pi) % 1.0
        sector = np.minimum((turn * self.sectors[ring]).astype(np.int64), self.sectors[ring] - 1)
        first = np.cumsum(self.sectors) - self.sectors
        return np.bincount(first[ring] + sector, minlength=int(self.sectors.sum())).astype(np.float64)

    def outlines(self) -> tuple[Float64, Float64]:
        """Return radii, or latitudes, and angles of each cell's outline, both (cells, corners)."""
        t = np.linspace(0.0, 1.0, _STEPS)
        across = np.concatenate([0.0 * t, t, 0.0 * t + 1.0, t[::-1]])
        along = np.concatenate([t, 0.0 * t + 1.0, t[::-1], 0.0 * t])
        low, high = (np.repeat(e, self.sectors)[:, None] for e in (self.edges[:-1], self.edges[1:]))
        width = np.repeat(2.0 * np.pi / self.sectors, self.sectors)[:, None]
        number = np.concatenate([np.arange(n) for n in self.sectors])[:, None]
        return low + across * (high - low), -np.pi + (number + along) * width
