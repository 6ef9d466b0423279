"""Figures of a free energy."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class RepresentativeFigures(Figures):
    """Hold the frame that represents a basin.

    Attributes
    ----------
    file : str
        Name of its trajectory; empty where the latent points are of none.
    frame : int
        Its number in that trajectory.
    structure : str or None
        Name of the PDB file that it was written to.
    """

    file: str
    frame: int
    structure: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class BasinFigures(Figures):
    """Hold the figures of a basin.

    Attributes
    ----------
    population, population_error : float
        Share of the frames, from 0 to 1, and its standard error.
    free_energy, error : float
        kJ/mol, above the most populated basin, and its standard error.
    minimum : float
        kJ/mol, of the cell where the basin is lowest, above the lowest cell of the map.
    representative : RepresentativeFigures
    """

    population: float
    population_error: float
    free_energy: float
    error: float
    minimum: float
    representative: RepresentativeFigures


@dataclass(frozen=True, eq=False, kw_only=True)
class FreeEnergyFigures(Figures):
    """Hold the figures of a free energy.

    Attributes
    ----------
    temperature : float
        K.
    effective_samples : float
        Number of independent frames of equal weight that the frames are worth.
    correlation_time : float
        Integrated, of the slowest latent coordinate; half an interval between frames where frames are independent.
    correlation_unit : {"ps", "frame"}
        Frames where they have no times.
    frames : int
        Number of frames.
    pairs : tuple of str
        Names of the maps.
    basins_of : str
        Name of the map that basins are those of.
    bandwidth : dict of str to tuple of float
        Of the kernels of each map, one number or one for each of its coordinates, in the latent space's unit of length.
    smoothing : dict of str to float
        kJ/mol, root mean square over the cells of what the kernels would have changed, had it not been corrected.
    basins : tuple of BasinFigures
        The most populated first.
    barriers : tuple of tuple of float
        kJ/mol, height of the pass between each two basins above the lowest cell; NaN where there is no way. On the
        diagonal the minimum of each.
    """

    temperature: float
    effective_samples: float
    correlation_time: float
    correlation_unit: str
    frames: int
    pairs: tuple[str, ...]
    basins_of: str
    bandwidth: dict[str, tuple[float, ...]]
    smoothing: dict[str, float]
    basins: tuple[BasinFigures, ...]
    barriers: tuple[tuple[float, ...], ...]
