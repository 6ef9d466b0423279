"""Maps: a latent coordinate, a pair of them, or a curved plane, cut into cells and covered with kernels.

A kernel is a density about a frame's point with respect to the volume of the space. On lines it is normal, on circles
that of von Mises, with the product of both on pairs; on spheres it is that of von Mises and Fisher, and on hyperbolic
planes the one that corresponds to it. Its bandwidth h is a length: to second order in h, each of them changes a
density p by h^2 / 2 times the Laplacian of p.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy

from trajvae.free_energies.coordinates import Coordinate
from trajvae.typing import Float64, Int64

_MARGIN = 0.03  # of the range of points, beyond its ends
_WIDEST = 0.25  # of a period: the widest kernel on a circle


@dataclass(frozen=True, eq=False)
class Cells:
    """Hold the cells of a map: a rectangular grid of two coordinates, or of one.

    Attributes
    ----------
    edges : tuple of ndarray
        Ascending, for each coordinate.
    centres : ndarray, shape (cells, k)
        In the coordinates that kernels are computed in; rows in the order of the flattened grid.
    volume : ndarray, shape (cells,)
        Volume of each cell in the space's own unit.
    """

    edges: tuple[Float64, ...]
    centres: Float64
    volume: Float64

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of cells along each coordinate."""
        return tuple(len(e) - 1 for e in self.edges)


class LatentMap(ABC):
    """Describe one map of a latent space.

    Attributes
    ----------
    name : str
        Name of the pair of coordinates, such as `z0-z1`.
    kind : {"flat", "sphere", "disc"}
    curvature : float
        0 of flat maps.
    own : bool
        Whether volumes are those of the space itself.
    labels : tuple of str
        What the edges of the cells are.
    points : ndarray, shape (T, k)
        All latent points in the coordinates that kernels are computed in.
    scale : ndarray, shape (m,)
        Spread of the points along each coordinate that has a bandwidth of its own: one, or one of each coordinate.
    lengths : ndarray, shape (m,)
        Radii of the circles, sphere or hyperbolic plane; 1 of lines.
    """

    name: str
    kind: str
    curvature: float
    own: bool
    labels: tuple[str, ...]
    points: Float64
    scale: Float64
    lengths: Float64

    @abstractmethod
    def cells(self, bins: int) -> Cells:
        """Cut the map into cells, about as many as `bins` along a coordinate."""

    @abstractmethod
    def cell_of(self, cells: Cells) -> Int64:
        """Return the number of the cell that each point lies in, (T,)."""

    @abstractmethod
    def sums(self, cells: Cells, weights: Float64, starts: Int64, bandwidth: Float64) -> tuple[Float64, Float64]:
        """Return weighted sums of kernels at the centres of cells for each block of frames, (blocks, cells) each.

        The first of the bandwidth, the second of sqrt(2) times the bandwidth.
        """

    @abstractmethod
    def excess(self, rows: Int64, others: Int64) -> list[Float64]:
        """Return what a kernel is the exponential of, (rows, others), one array a bandwidth.

        Half the square of the distance of near points, in units in which circles and curved planes have the radius 1.
        """

    @abstractmethod
    def height(self, bandwidth: Float64) -> float:
        """Return the density of a kernel at its own centre."""

    def kernel(self, excess: Sequence[Float64], bandwidth: Float64) -> Float64:
        """Return kernels (rows, others) of what `excess` returned."""
        t = (bandwidth / self.lengths) ** 2
        return np.asarray(
            np.exp(-reduce(np.add, [e / ti for e, ti in zip(excess, t, strict=True)])) * self.height(bandwidth)
        )

    @abstractmethod
    def neighbours(self, cells: Cells) -> Int64:
        """Return the pairs of cells that touch, corners included, (pairs, 2)."""

    @property
    def widest(self) -> Float64:
        """Largest bandwidths (m,)."""
        return self.scale


class FlatMap(LatentMap):
    """Describe a line, a circle, or a plane, cylinder or torus of two of them.

    Parameters
    ----------
    coordinates : sequence of Coordinate
        One or two.
    """

    kind, curvature = "flat", 0.0

    def __init__(self, coordinates: Sequence[Coordinate]) -> None:
        self.name = "-".join(c.name for c in coordinates)
        self.own = all(c.own for c in coordinates)
        self.periods = tuple(c.period for c in coordinates)
        self.lengths = np.array([c.length for c in coordinates])
        self.labels = tuple(f"{c.name} (rad)" if c.period else c.name for c in coordinates)
        self.points = np.stack([c.values for c in coordinates], axis=-1)
        self.scale = np.array([_spread(c.values, c.period) * c.length for c in coordinates])

    @property
    def widest(self) -> Float64:
        """Largest bandwidths (m,): on circles a quarter of a turn, beyond which a kernel knows no direction."""
        return np.array(
            [
                _WIDEST * p * length if p else s
                for p, s, length in zip(self.periods, self.scale, self.lengths, strict=True)
            ]
        )

    def cells(self, bins: int) -> Cells:
        """Cut the range of the points, or the whole period of an angle, into equal parts."""
        edges = tuple(_edges(x, bins, p) for x, p in zip(self.points.T, self.periods, strict=True))
        middles = [0.5 * (e[1:] + e[:-1]) for e in edges]
        centres = np.stack([m.ravel() for m in np.meshgrid(*middles, indexing="ij")], axis=-1)
        widths = [np.diff(e) * length for e, length in zip(edges, self.lengths, strict=True)]
        return Cells(edges, centres, reduce(np.multiply.outer, widths).ravel())

    def cell_of(self, cells: Cells) -> Int64:
        return grid_number(cells, self.points)

    def sums(self, cells: Cells, weights: Float64, starts: Int64, bandwidth: Float64) -> tuple[Float64, Float64]:
        """Return weighted sums of kernels as `LatentMap.sums`, as products of matrices."""
        middles = [0.5 * (e[1:] + e[:-1]) for e in cells.edges]
        t = (bandwidth / self.lengths) ** 2
        ends = [*starts[1:].tolist(), len(weights)]
        narrow, wide = np.empty((2, len(starts), len(cells.volume)))
        for number, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
            own, w = self.points[start:end], weights[start:end]
            each = [np.exp(self._excess(m[:, None], own[:, i], i) / (-2.0 * t[i])) for i, m in enumerate(middles)]
            narrow[number], wide[number] = _products([e * e for e in each], w), _products(each, w)
        return narrow * self.height(bandwidth), wide * self.height(2.0**0.5 * bandwidth)

    def excess(self, rows: Int64, others: Int64) -> list[Float64]:
        return [self._excess(x[rows, None], x[others], i) for i, x in enumerate(self.points.T)]

    def _excess(self, a: Float64, b: Float64, i: int) -> Float64:
        """Of one coordinate."""
        return np.asarray(1.0 - np.cos(a - b) if self.periods[i] else 0.5 * (a - b) ** 2)

    def height(self, bandwidth: Float64) -> float:
        t = (bandwidth / self.lengths) ** 2
        turns = np.array([p > 0.0 for p in self.periods])
        each = np.where(turns, 2.0 * np.pi * scipy.special.i0e(1.0 / t), (2.0 * np.pi * t) ** 0.5)
        return float(1.0 / np.prod(each * self.lengths))

    def neighbours(self, cells: Cells) -> Int64:
        return grid_neighbours(cells.shape, tuple(p > 0.0 for p in self.periods))


def _products(each: Sequence[Float64], weights: Float64) -> Float64:
    """Weighted sums over frames of the products of kernels of one coordinate or two, (cells,)."""
    weighted = each[0] * weights
    return np.asarray(weighted.sum(axis=1) if len(each) == 1 else (weighted @ each[1].T).ravel())


def grid_number(cells: Cells, places: Float64) -> Int64:
    """Return the numbers of the cells (T,) that places (T, 1 or 2), in the coordinates of the edges, lie in."""
    each = [
        np.clip(np.searchsorted(e, x, side="right") - 1, 0, len(e) - 2)
        for e, x in zip(cells.edges, places.T, strict=True)
    ]
    return np.asarray(np.ravel_multi_index(tuple(each), cells.shape), dtype=np.int64)


def grid_neighbours(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Int64:
    """Return the pairs of cells (pairs, 2) of a grid that touch; a periodic coordinate has no end."""
    number = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    steps = [(1,)] if len(shape) == 1 else [(0, 1), (1, 0), (1, 1), (1, -1)]
    pairs = []
    for step in steps:
        moved = np.roll(number, [-s for s in step], axis=tuple(range(len(shape))))
        inside = np.ones(shape, dtype=bool)
        for axis, (s, n, turns) in enumerate(zip(step, shape, periodic, strict=True)):
            if s and not turns:
                place = np.arange(n) + s
                inside &= np.expand_dims((place >= 0) & (place < n), [a for a in range(len(shape)) if a != axis])
        pairs.append(np.stack([number[inside], moved[inside]], axis=-1))
    return np.concatenate(pairs)


def _edges(values: Float64, bins: int, period: float) -> Float64:
    if period:
        return np.linspace(-period / 2, period / 2, bins + 1)
    margin = _MARGIN * float(np.ptp(values)) + 1e-9
    return np.linspace(float(values.min()) - margin, float(values.max()) + margin, bins + 1)


def _spread(values: Float64, period: float) -> float:
    """Standard deviation; of an angle, that of a uniform angle at most."""
    if not period:
        return float(np.std(values))
    turn = np.exp(2j * np.pi * values / period)
    length = max(float(abs(turn.mean())), 1e-6)
    return float(min((-2.0 * np.log(length)) ** 0.5, np.pi / 3.0**0.5) * period / (2.0 * np.pi))
