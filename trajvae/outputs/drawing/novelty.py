"""How new generated conformations are, and how much of the simulation they cover.

References
----------
M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, ICML 2020, eq. 4: coverage.
"""

from __future__ import annotations

import numpy as np

from trajvae.alignment.distances import rmsd_matrix
from trajvae.figures import NoveltyFigures
from trajvae.runtime.progress import count_items
from trajvae.typing import Float64, Floats, Int64

NEIGHBOURS = 5
_AT_ONCE = 2**16  # pairs of frames: what a cache holds


def nearest(positions: Floats, simulated: Floats) -> tuple[Int64, Float64]:
    """Return the nearest simulated frames (T, N, D) to structures (n, N, D), and superposed RMSDs in Å, both (n,)."""
    index, least = np.empty(len(positions), dtype=np.int64), np.empty(len(positions))
    step = max(1, _AT_ONCE // max(len(simulated), 1))
    starts = range(0, len(positions), step)
    for first in count_items(starts, "looking for the nearest frames", "piece", len(starts)):
        part = slice(first, first + step)
        table = rmsd_matrix(positions[part], simulated)
        index[part], least[part] = table.argmin(axis=1), table.min(axis=1)
    return index, least


def coverage(drawn: Floats, frames: Floats, others: Floats) -> float:
    """Return the share of frames (T, N, D) that have a draw nearer than their k-th nearest of the other frames."""
    table = rmsd_matrix(frames, others)
    k = min(NEIGHBOURS, table.shape[1]) - 1
    radius = np.partition(table, k, axis=1)[:, k]
    return float((nearest(frames, drawn)[1] <= radius).mean())


def novelty(drawn: Floats, held: Floats, train: Floats) -> NoveltyFigures:
    """Return distances of draws to training frames, and the coverage of held-out frames, beside those of frames.

    Parameters
    ----------
    drawn : ndarray, shape (n, N, D)
    held, train : ndarray, shape (H, N, D) and (T, N, D)
        Held-out and training frames of the simulation.
    """
    size = min(len(drawn), len(train) // 2)
    others, twin = train[0 : 2 * size : 2], train[1 : 2 * size : 2]
    return NoveltyFigures(
        nearest=float(np.median(nearest(drawn, train)[1])),
        nearest_held_out=float(np.median(nearest(held, train)[1])),
        coverage=coverage(drawn[:size], held, others),
        coverage_train=coverage(twin, held, others),
    )
