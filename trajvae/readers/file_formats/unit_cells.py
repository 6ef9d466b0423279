"""Unit cells as files store them, as lengths in Å and angles in degrees."""

from __future__ import annotations

import numpy as np

from trajvae.typing import Float64, Floats


def lengths_angles(vectors: Floats) -> Float64:
    """Convert box vectors (T, 3, 3) to lengths in Å and angles in degrees (T, 6), zero for frames without a box."""
    v = vectors.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # of a damaged file; who uses boxes checks them
        return _lengths_angles(v)


def _lengths_angles(v: Float64) -> Float64:
    lengths = np.linalg.norm(v, axis=2)
    safe = np.where(lengths > 0, lengths, 1.0)
    unit = v / safe[:, :, None]
    cosines = np.stack([(unit[:, i] * unit[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))], axis=1)


def dcd_cells(cell: Float64) -> Float64:
    """Convert a DCD's cells (T, 6) to lengths and angles (T, 6).

    NAMD writes [A, gamma, B, beta, alpha, C] with angles as degrees or as cosines, CHARMM a symmetric matrix.
    """
    boxes = cell[:, [0, 2, 5, 4, 3, 1]].astype(np.float64)
    angles = boxes[:, 3:]
    cosines = (np.abs(angles) <= 1.0).all(axis=1)
    matrix = ~cosines & ((boxes < 0.0).any(axis=1) | (angles > 180.0).any(axis=1))
    boxes[matrix] = lengths_angles(cell[matrix][:, [[0, 1, 3], [1, 2, 4], [3, 4, 5]]])
    angles[cosines] = 90.0 - np.degrees(np.arcsin(angles[cosines]))
    return boxes
