"""Bonds that pass through one another along a path."""

from __future__ import annotations

import warnings

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.validity.crossings import count_crossings
from trajvae.typing import Float64, Int64


def crossings_along(positions: Float64, bonds: Int64) -> int | None:
    """Return how many pairs of bonds cross between consecutive conformations of a path; None in a plane.

    Parameters
    ----------
    positions : ndarray, shape (n, N, D)
        In Å.
    bonds : ndarray of int64, shape (B, 2)

    Warns
    -----
    TrajvaeWarning
        Bonds cross; the message says how many, and where most do.
    """
    if positions.shape[2] != 3:
        return None
    steps = count_crossings(positions, bonds)
    total, worst = int(steps.sum()), int(np.argmax(steps))
    if total:
        warnings.warn(
            f"{total} pairs of bonds pass through one another along the path, {steps[worst]} of them from conformation "
            f"{worst} to {worst + 1}, which no molecule can do: try --metric density, more --frames, or ends that are "
            "nearer to each other",
            TrajvaeWarning,
            stacklevel=6,
        )
    return total
