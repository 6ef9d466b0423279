"""Convert unit cells as files store them to lengths in Å and angles in degrees."""

from __future__ import annotations

import numpy as np

from trajvae.typing import Float64, Floats


def lengths_angles(vectors: Floats) -> Float64:
    """Convert box vectors (T, 3, 3) to lengths in Å and angles in degrees (T, 6), zero for frames without a box."""
    v = vectors.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # damaged files; boxes are checked before they are used
        return _lengths_angles(v)


def _lengths_angles(v: Float64) -> Float64:
    """Return lengths and angles as `lengths_angles` does."""
    lengths = np.linalg.norm(v, axis=2)
    safe = np.where(lengths > 0, lengths, 1.0)
    unit = v / safe[:, :, None]
    cosines = np.stack([(unit[:, i] * unit[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))], axis=1)


def dcd_cells(cell: Float64) -> Float64:
    """Convert the cells (T, 6) of a DCD to lengths in Å and angles in degrees (T, 6).

    NAMD writes [A, gamma, B, beta, alpha, C], with angles in degrees or as cosines; CHARMM writes a symmetric matrix.
    """
    boxes = cell[:, [0, 2, 5, 4, 3, 1]].astype(np.float64)
    angles = boxes[:, 3:]
    as_cosines = (np.abs(angles) <= 1.0).all(axis=1)
    as_matrix = ~as_cosines & ((boxes < 0.0).any(axis=1) | (angles > 180.0).any(axis=1))
    boxes[as_matrix] = lengths_angles(cell[as_matrix][:, [[0, 1, 3], [1, 2, 4], [3, 4, 5]]])
    angles[as_cosines] = 90.0 - np.degrees(np.arcsin(angles[as_cosines]))
    return boxes
