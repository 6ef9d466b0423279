"""Figures of a path between two conformations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class PathFigures(Figures):
    """Hold the figures of a path.

    Attributes
    ----------
    start, end : str
        The ends, as they were asked for: the figures "from" and "to" in JSON.
    metric : str
        Such as "density".
    frames : int
        Number of conformations along the path, both ends included.
    length, straight_length : float
        Lengths in the metric of the path, and of the straight line of the latent space: Å of all coordinates for
        "pullback" and "density", widths of the prior or of the posterior for the others.
    energy : float
        Half the integral of the squared speed, in the square of that unit.
    length_angstrom, straight_length_angstrom : float
        Å of RMSD; lengths of the atoms' way, divided by the square root of their number.
    nearest_rmsd : float
        Å; mean RMSD to the nearest simulated frame.
    valid : int
        Number of conformations that pass the validity test.
    crossings : int or None
        Number of pairs of bonds that pass through one another from one conformation to the next; None for molecules
        in a plane, and in files of earlier versions.
    """

    KEYS: ClassVar[Mapping[str, str]] = {"start": "from", "end": "to"}

    start: str
    end: str
    metric: str
    frames: int
    length: float
    straight_length: float
    energy: float
    length_angstrom: float
    straight_length_angstrom: float
    nearest_rmsd: float
    valid: int
    crossings: int | None = None
