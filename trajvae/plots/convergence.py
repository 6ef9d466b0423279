"""Whether a trajectory tells a free energy: enough frames in a cell, crossings from end to end, halves that agree.

A histogram of any frames has a logarithm; it is a free energy only if the trajectory is at equilibrium. So three
things are counted before one is drawn. *Frames a cell*: the mean over the cells that have any. *Crossings*: along a
direction of the map, how often the trajectory goes from the quarter of frames at one end to the quarter at the other;
the fewest over the principal axes and over the direction that depends the most on time, so that a driven transition,
however bent, has one. *Halves*: the free energies of the first and the second half of each run (and, where there are
several runs, of every other run and the rest), compared cell by cell: what share of the frames lies in cells that both
have seen, and how much the free energies differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.plots.cells import Grid, Rings
from trajvae.plots.charts import Chart, Flat, Globe
from trajvae.plots.projections import polar
from trajvae.plots.spaces import origin_of
from trajvae.results import LatentPoints
from trajvae.typing import Float64, Int64

LEAST_A_CELL = 5.0  # frames in the cells that have any, in the mean: an error of about half a kT
LEAST_CROSSINGS = 4  # there and back twice: populations of two states are then known to a factor of about two
MOST_APART = 1.0  # kT, between the halves
LEAST_SHARED = 0.5  # of the frames are in cells that both halves have seen: a winding way that ends is seen by it
_COMPARED = 10  # frames of a cell, in both halves together: counting alone makes them differ by 0.6 kT


@dataclass(frozen=True)
class Convergence:
    """Judge a free energy on a map.

    Attributes
    ----------
    frames_a_cell : float
    crossings : int or None
        None where the points are in no order of time.
    apart : float
        kT, the root mean square difference between the free energies of the halves, over the cells with ten frames or
        more; NaN where there is no such cell.
    shared : float
        Share of the frames in such cells that are in cells which both halves have seen.
    """

    frames_a_cell: float
    crossings: int | None
    apart: float
    shared: float = 1.0

    @property
    def goes_one_way(self) -> bool:
        """Whether the trajectory has not crossed the map often enough."""
        return self.crossings is not None and self.crossings < LEAST_CROSSINGS

    @property
    def reason(self) -> str:
        """Reason why no free energy can be shown; empty where one can."""
        found = []
        if self.frames_a_cell < LEAST_A_CELL:
            found.append(f"{self.frames_a_cell:.1f} frames a cell ({LEAST_A_CELL:g} wanted)")
        if self.goes_one_way:
            times = "crossing" if self.crossings == 1 else "crossings"
            found.append(f"{self.crossings} {times} from end to end ({LEAST_CROSSINGS} wanted)")
        elif self.shared < LEAST_SHARED:
            found.append(f"halves share the places of {100.0 * self.shared:.0f} % of the frames (50 wanted)")
        return ", ".join(found)

    @property
    def doubt(self) -> str:
        """Reason why a free energy is not converged; empty where the halves agree."""
        if not self.apart > MOST_APART:
            return ""
        return f"halves of the trajectory differ by {self.apart:.1f} kT (RMS)"


def convergence(points: LatentPoints, part: Chart, inner: Float64, cells: Grid | Rings) -> Convergence:
    """Count frames and crossings of a trajectory on a map, and compare its halves.

    Parameters
    ----------
    points : Embedding, or other latent points
        Those with `file` or `time` are in order of time.
    part : Chart
    inner : ndarray, shape (T, 1 or 2)
        The points in the chart's coordinates.
    cells : Grid or Rings
    """
    counts = cells.count(inner)
    runs = runs_of(points)
    ordered = any(origin_of(points, name) is not None for name in ("file", "time"))
    crossings = fewest_crossings(straight(part, inner), runs) if ordered else None
    return Convergence(float(counts[counts > 0].mean()), crossings, *halves(cells, inner, runs))


def runs_of(points: LatentPoints) -> list[Int64]:
    """Return the rows of each run in the order of time: the frames of one file."""
    rows = np.arange(len(points.latent), dtype=np.int64)
    file, frame = origin_of(points, "file"), origin_of(points, "frame")
    if file is None:
        return [rows]
    order = np.lexsort((rows if frame is None else frame, file))
    return np.split(order, np.flatnonzero(np.diff(file[order])) + 1)


def straight(part: Chart, inner: Float64) -> Float64:
    """Return the points of a map as vectors without a seam, (T, 1 to 4): angles as points of circles and spheres."""
    if isinstance(part, Flat):
        columns = [
            [x] if not period else [np.cos(2.0 * np.pi * x / period), np.sin(2.0 * np.pi * x / period)]
            for x, period in zip(inner.T, part.periods, strict=True)
        ]
        return np.stack([c for both in columns for c in both], axis=-1)
    if isinstance(part, Globe):
        latitude, longitude = inner.T
        return np.column_stack([polar(np.cos(latitude), longitude), np.sin(latitude)])
    return polar(inner[:, 0], inner[:, 1])


def fewest_crossings(vectors: Float64, runs: list[Int64]) -> int:
    """Return how often the runs go from end to end, along the direction in which they do so the least.

    Parameters
    ----------
    vectors : ndarray, shape (T, n)
    runs : list of ndarray
        Int64 in the order of time; from one run to the next nothing is counted.
    """
    centred = vectors - vectors.mean(axis=0)
    spread, axes = np.linalg.eigh(np.atleast_2d(np.cov(centred.T, bias=True)))
    axes = axes[:, spread > 1e-9 * max(float(spread.max()), 1e-30)]
    if not axes.shape[1]:
        return 0
    clock = np.zeros(len(vectors))
    for rows in runs:
        clock[rows] = np.linspace(-1.0, 1.0, len(rows)) if len(rows) > 1 else 0.0
    drift = np.linalg.lstsq(centred, clock, rcond=None)[0]
    return min(_crossings(centred @ direction, runs) for direction in [*axes.T, drift])


def _crossings(along: Float64, runs: list[Int64]) -> int:
    """Changes between the lowest and the highest quarter of a coordinate; what lies between is passed over."""
    low, high = np.quantile(along, [0.25, 0.75])
    state = np.where(along <= low, -1, np.where(along >= high, 1, 0))
    ends = [state[rows][state[rows] != 0] for rows in runs]
    return sum(int(np.count_nonzero(np.diff(s))) for s in ends)


def halves(cells: Grid | Rings, inner: Float64, runs: list[Int64]) -> tuple[float, float]:
    """Return how far the halves' free energies differ in kT, and the share of frames in cells that both saw.

    The worse of the ways to halve. A cell that one half has never seen counts as half a frame there.
    """
    ways = [(np.concatenate([r[: len(r) // 2] for r in runs]), np.concatenate([r[len(r) // 2 :] for r in runs]))]
    if len(runs) > 1:
        ways.append((np.concatenate(runs[::2]), np.concatenate(runs[1::2])))
    counts = [[cells.count(inner[rows]) for rows in way] for way in ways if all(map(len, way))]
    found = [_compare(*pair) for pair in counts if (pair[0] + pair[1] >= _COMPARED).any()]
    if not found:
        return float("nan"), 1.0
    apart, shared = zip(*found, strict=True)
    return max(apart), min(shared)


def _compare(first: Float64, second: Float64) -> tuple[float, float]:
    """Root mean square difference of -ln p, over the cells that have enough frames, and the share that both have."""
    enough = first + second >= _COMPARED
    a, b = first[enough], second[enough]
    ratio = np.log((a + 0.5) / (b + 0.5)) - np.log(first.sum() / second.sum())
    both = (a > 0) & (b > 0)
    return float(np.sqrt(np.mean(ratio**2))), float((a + b)[both].sum() / (a + b).sum())
