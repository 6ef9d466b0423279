"""Figures of an exported coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class CoordinateFigures(Figures):
    """Hold the figures of a component of latent points, over the training frames.

    Attributes
    ----------
    name : str
        Such as "z0".
    low, high : float
        Smallest and largest value.
    mean, spread : float
        Mean and standard deviation.
    width : float
        A width for the Gaussians of metadynamics: a fifth of the standard deviation, or of what the quartiles say of
        it where that is less.
    slope, steepest : float or None
        Length of the gradient by all positions, per Å: median and largest. None of exports by earlier versions.
    """

    name: str
    low: float
    high: float
    mean: float
    spread: float
    width: float
    slope: float | None = None
    steepest: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ExportFigures(Figures):
    """Hold the figures of an export.

    Attributes
    ----------
    engine : str
        "torch", "plumed" or "colvars": the figure "to" in JSON.
    unit : str
        Of the positions that the coordinate takes, "nm" or "angstrom".
    dtype : str
        Precision of the network's layers.
    atoms : int
        Number of atoms.
    outputs : tuple of CoordinateFigures
    files : tuple of str
        Names of the files in the folder.
    model_hash : str
        SHA-256 of all that decides which latent point a frame has.
    """

    KEYS: ClassVar[Mapping[str, str]] = {"engine": "to"}

    engine: str
    unit: str
    dtype: str
    atoms: int
    outputs: tuple[CoordinateFigures, ...]
    files: tuple[str, ...]
    model_hash: str
