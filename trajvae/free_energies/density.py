"""Free energies of the cells of a map, with standard errors, by kernels whose smoothing is extrapolated to none.

A kernel of bandwidth h changes the free energy F by a term in h^2. A kernel of sqrt(2) h changes it
twice as much. So 2 F(h) - F(sqrt(2) h) is free of this term, and what is left is of the order of h^4.

References
----------
G. R. Terrell, D. W. Scott, Ann. Statist. 8, 1160 (1980): the extrapolation of log densities.
S. Calonico, M. D. Cattaneo, M. H. Farrell, J. Am. Stat. Assoc. 113, 767 (2018): a corrected density, with its own error
and the bandwidth that is best without the correction, has errors that can be relied on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trajvae.free_energies.blocks import Blocks
from trajvae.free_energies.maps import Cells, LatentMap
from trajvae.typing import Float64, Int64

_AT_ONCE = 50  # bootstrap samples
_ALONE = 1e-3  # of a single frame's kernel: a density below it is none


@dataclass(frozen=True, eq=False)
class Density:
    """Hold the density of frames on the cells of a map, in units of kT.

    Attributes
    ----------
    cells : Cells
    cell : ndarray of int64, shape (T,)
        The cell of each frame.
    energy : ndarray, shape (cells,)
        -ln of the density of the space's volume; infinite where no frame is near.
    changes : ndarray, shape (samples, cells)
        Changes of `energy` in bootstrap samples, to first order.
    smoothing : ndarray, shape (cells,)
        What the extrapolation has taken away: the bias of the kernels alone.
    bandwidth : ndarray, shape (m,)
    """

    cells: Cells
    cell: Int64
    energy: Float64
    changes: Float64
    smoothing: Float64
    bandwidth: Float64

    @property
    def error(self) -> Float64:
        """Standard errors of `energy`, (cells,)."""
        return np.asarray(self.changes.std(axis=0))


def estimate(
    part: LatentMap,
    cells: Cells,
    weights: Float64,
    blocks: Blocks,
    bandwidth: Float64,
    counts: Float64,
    progress: Callable[[int], None] | None = None,
) -> Density:
    """Estimate the density of frames on a map.

    Parameters
    ----------
    part : LatentMap
    cells : Cells
    weights : ndarray, shape (T,)
    blocks : Blocks
    bandwidth : ndarray, shape (m,)
    counts : ndarray, shape (samples, blocks)
        See `Blocks.resampled`.
    progress : callable, optional
        Called with the number of bootstrap samples done.
    """
    narrow, wide = part.sums(cells, weights, blocks.starts, bandwidth)
    share = blocks.sums(weights)
    total = float(share.sum())
    one, two = narrow.sum(axis=0) / total, wide.sum(axis=0) / total
    known = one > _ALONE * part.height(bandwidth) * float(weights.max()) / total
    cell = part.cell_of(cells)
    counted = np.flatnonzero(
        ~known & (np.bincount(cell, weights, minlength=len(one)) > 0.0) & np.isfinite(cells.volume)
    )
    if len(counted):  # cells so large that their frames are far from the centre
        narrow[:, counted] = wide[:, counted] = _histogram(cell, cells, weights, blocks, counted)
        one[counted] = two[counted] = narrow[:, counted].sum(axis=0) / total
        known[counted] = True
    energy = np.full(len(one), np.inf)
    energy[known] = -2.0 * np.log(one[known]) + np.log(two[known])
    smoothing = np.full(len(one), np.nan)
    smoothing[known] = np.log(one[known]) - np.log(two[known])
    changes = np.zeros((len(counts), len(one)))
    for first in range(0, len(counts), _AT_ONCE):
        drawn = counts[first : first + _AT_ONCE]
        norm = (drawn @ share)[:, None]
        change = two[known] ** -1 * (drawn @ wide[:, known]) - 2.0 * one[known] ** -1 * (drawn @ narrow[:, known])
        changes[first : first + _AT_ONCE, known] = (change / norm + 1.0) * blocks.correction
        if progress is not None:
            progress(first + len(drawn))
    return Density(cells, cell, energy, changes, smoothing, bandwidth)


def _histogram(cell: Int64, cells: Cells, weights: Float64, blocks: Blocks, some: Int64) -> Float64:
    """Weights of frames in some cells over their volume, for each block, (blocks, some)."""
    place = np.full(len(cells.volume), -1, dtype=np.int64)
    place[some] = np.arange(len(some))
    rows = np.flatnonzero(place[cell] >= 0)
    out = np.zeros((len(blocks.starts), len(some)))
    np.add.at(out, (blocks.of_frames(len(cell))[rows], place[cell[rows]]), weights[rows])
    return np.asarray(out / cells.volume[some])
