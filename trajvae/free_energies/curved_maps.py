"""Maps of spheres and hyperbolic planes, whose kernels depend on the distance alone.

References
----------
N. I. Fisher, T. Lewis, B. J. J. Embleton, Statistical Analysis of Spherical Data (1987), sec. 3.3.1: the kernel of von
Mises and Fisher for densities on the sphere.
J. L. Jensen, Scand. J. Statist. 8, 193 (1981): its likeness on the hyperboloid.
"""

from __future__ import annotations

import numpy as np

from trajvae.free_energies.coordinates import CurvedPlane
from trajvae.free_energies.maps import Cells, LatentMap, grid_neighbours, grid_number
from trajvae.typing import Float64, Int64

_PIECE = 2**21  # kernels that are computed at once: 16 MB
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(12)
_MARGIN = 0.03  # of the range of points, beyond its ends
_MOST = 40  # cells along a coordinate: each has a kernel of its own for every frame


class CurvedMap(LatentMap):
    """Share what spheres and hyperbolic planes have in common.

    With the product g of two points, the cosine of their distance or its hyperbolic cosine, the kernel is
    exp(-|g - 1| / t) over its integral, t being h^2 |K|.
    """

    def __init__(self, plane: CurvedPlane) -> None:
        self.name, self.own = plane.name, True
        self.points, self.curvature = plane.points, plane.curvature
        self._signs = np.array([1.0, 1.0, 1.0]) if plane.curvature > 0.0 else np.array([1.0, -1.0, -1.0])
        centre = self.points.mean(axis=0)
        square = float(centre @ (self._signs * centre))
        if self.curvature > 0.0:  # 1 - |mean| is half the mean square of the distance, for narrow densities
            width = (2.0 * (1.0 - min(square, 1.0) ** 0.5)) ** 0.5
        else:
            width = (2.0 * (max(square, 1.0) ** 0.5 - 1.0)) ** 0.5
        self.lengths = np.array([abs(self.curvature) ** -0.5])
        self.scale = max(width / 2.0**0.5, 1e-6) * self.lengths

    def sums(self, cells: Cells, weights: Float64, starts: Int64, bandwidth: Float64) -> tuple[Float64, Float64]:
        """Return weighted sums of kernels as `LatentMap.sums`, in pieces of frames."""
        out = np.zeros((2, len(starts), len(cells.volume)))
        t = float(bandwidth[0] / self.lengths[0]) ** 2
        step = max(1, _PIECE // len(cells.volume))
        for first in range(0, len(weights), step):
            last = min(first + step, len(weights))
            root = np.exp(self._excess(self.points[first:last], cells.centres) / (-2.0 * t))
            cuts = np.concatenate([[first], starts[(starts > first) & (starts < last)]])
            block = np.searchsorted(starts, cuts, side="right") - 1
            for total, kernels in zip(out, (root * root, root), strict=True):
                total[block] += np.add.reduceat(kernels * weights[first:last, None], cuts - first, axis=0)
        return out[0] * self.height(bandwidth), out[1] * self.height(2.0**0.5 * bandwidth)

    def excess(self, rows: Int64, others: Int64) -> list[Float64]:
        return [self._excess(self.points[rows], self.points[others])]

    def _excess(self, a: Float64, b: Float64) -> Float64:
        """1 - cos of the distance on spheres, cosh - 1 in hyperbolic planes, (A, B)."""
        product = (a * self._signs) @ b.T
        return np.asarray(np.maximum(1.0 - product if self.curvature > 0.0 else product - 1.0, 0.0))

    def height(self, bandwidth: Float64) -> float:
        t = float(bandwidth[0] / self.lengths[0]) ** 2
        missing = np.exp(-2.0 / t) if self.curvature > 0.0 else 0.0  # a sphere ends at the other pole
        return float(abs(self.curvature) / (2.0 * np.pi * t * (1.0 - missing)))


class SphereMap(CurvedMap):
    """Describe a sphere of two dimensions, by longitude and latitude; parallels part it into cells of equal area."""

    kind, labels = "sphere", ("longitude (rad)", "latitude (rad)")

    @property
    def widest(self) -> Float64:
        """Largest bandwidth: a radian."""
        return self.lengths

    def cells(self, bins: int) -> Cells:
        around = min(max(bins, 8), _MOST)
        edges = (np.linspace(-np.pi, np.pi, around + 1), np.arcsin(np.linspace(-1.0, 1.0, around // 2 + 1)))
        longitude = 0.5 * (edges[0][1:] + edges[0][:-1])
        north = 0.5 * (np.sin(edges[1][1:]) + np.sin(edges[1][:-1]))
        a, n = (x.ravel() for x in np.meshgrid(longitude, north, indexing="ij"))
        across = np.sqrt(1.0 - n**2)
        centres = np.stack([across * np.cos(a), across * np.sin(a), n], axis=-1)
        return Cells(edges, centres, np.full(len(a), 4.0 * np.pi / self.curvature / len(a)))

    def cell_of(self, cells: Cells) -> Int64:
        east, north = self.points[:, 1], np.clip(self.points[:, 2], -1.0, 1.0)
        return grid_number(cells, np.stack([np.arctan2(east, self.points[:, 0]), np.arcsin(north)], axis=-1))

    def neighbours(self, cells: Cells) -> Int64:
        """Return the pairs of cells that touch; all cells about a pole touch one another."""
        around, up = cells.shape
        number = np.arange(around * up, dtype=np.int64).reshape(cells.shape)
        first, second = np.triu_indices(around, 1)
        poles = [np.stack([number[first, row], number[second, row]], axis=-1) for row in (0, up - 1)]
        return np.unique(np.sort(np.concatenate([grid_neighbours(cells.shape, (True, False)), *poles]), axis=1), axis=0)


class DiscMap(CurvedMap):
    """Describe a hyperbolic plane in Poincare's disc, by its Cartesian coordinates there."""

    kind, labels = "disc", ("x of the Poincaré disc", "y of the Poincaré disc")

    def cells(self, bins: int) -> Cells:
        places = self._places()
        edges = tuple(_disc_edges(x, min(bins, _MOST)) for x in places.T)
        volume = _disc_volumes(edges) / -self.curvature
        x, y = _disc_middles(edges).T
        square = x**2 + y**2
        centres = np.stack([1.0 + square, 2.0 * x, 2.0 * y], axis=-1) / (1.0 - square)[:, None]
        return Cells(edges, centres, volume)

    def cell_of(self, cells: Cells) -> Int64:
        return grid_number(cells, self._places())

    def neighbours(self, cells: Cells) -> Int64:
        return grid_neighbours(cells.shape, (False, False))

    def _places(self) -> Float64:
        """Cartesian coordinates in the disc, (T, 2)."""
        return np.asarray(self.points[:, 1:] / (1.0 + self.points[:, :1]))


def _disc_edges(values: Float64, bins: int) -> Float64:
    """Edges over the range of values, which no edge leaves the disc for."""
    margin = _MARGIN * float(np.ptp(values)) + 1e-9
    low, high = max(float(values.min()) - margin, -1.0), min(float(values.max()) + margin, 1.0)
    return np.linspace(low, high, bins + 1)


def _disc_middles(edges: tuple[Float64, ...]) -> Float64:
    """Return the middles (cells, 2) of rectangles; where these lie outside the disc, points that lie in both."""
    middle, inner = (
        np.stack([m.ravel() for m in np.meshgrid(*each, indexing="ij")], axis=-1)
        for each in (
            [0.5 * (e[1:] + e[:-1]) for e in edges],
            [np.clip(0.0, e[:-1], e[1:]) for e in edges],  # the nearest to the origin
        )
    )
    radius = np.minimum(np.linalg.norm(inner, axis=1, keepdims=True), 1.0 - 1e-6)
    way = inner / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1e-9)
    outside = np.linalg.norm(middle, axis=1, keepdims=True) >= 1.0
    return np.where(outside, way * 0.5 * (1.0 + radius), middle)


def _disc_volumes(edges: tuple[Float64, ...]) -> Float64:
    """Volumes (cells,) of rectangles of Poincare's disc for K = -1; infinite where one reaches the disc's edge."""
    half = [0.5 * np.diff(e) for e in edges]
    x, y = (0.5 * (e[1:] + e[:-1])[:, None] + h[:, None] * _NODES for e, h in zip(edges, half, strict=True))
    square = (x**2)[:, None, :, None] + (y**2)[None, :, None, :]
    density = np.where(square < 1.0, 4.0 / np.maximum(1.0 - square, 1e-12) ** 2, 0.0)
    volume = np.einsum("abij,i,j->ab", density, _NODE_WEIGHTS, _NODE_WEIGHTS) * np.outer(*half)
    far = [np.maximum(np.abs(e[1:]), np.abs(e[:-1])) ** 2 for e in edges]
    return np.where(np.add.outer(*far) < 1.0, volume, np.inf).ravel()
