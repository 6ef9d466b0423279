"""Figures of a sensitivity: the atoms and residues that move each latent coordinate most."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class MoverFigures(Figures):
    """Hold how much an atom or a residue moves a latent coordinate.

    Attributes
    ----------
    name : str
        Such as "ALA2" or "ALA2:CB", after the chain where there are several.
    number : int
        Of the atom or residue among those of the model, from 0.
    value : float
        In the unit of the latent coordinate.
    """

    name: str
    number: int
    value: float


@dataclass(frozen=True, eq=False, kw_only=True)
class MovedFigures(Figures):
    """Hold what moves a latent coordinate.

    Attributes
    ----------
    name : str
        Such as "z0".
    spread : float
        Standard deviation of the coordinate over the frames.
    residues, atoms : tuple of MoverFigures
        The ten that move it most, the first most.
    """

    name: str
    spread: float
    residues: tuple[MoverFigures, ...]
    atoms: tuple[MoverFigures, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class SensitivityFigures(Figures):
    """Hold the figures of a sensitivity.

    Attributes
    ----------
    frames, atoms, residues : int
        Number of frames, of atoms and of residues.
    coordinates : tuple of MovedFigures
    model_hash : str
        SHA-256 of all that decides which latent point a frame has.
    effective_sample_size : float or None
        Number of frames of equal weight that weighted frames are worth.
    """

    frames: int
    atoms: int
    residues: int
    coordinates: tuple[MovedFigures, ...]
    model_hash: str
    effective_sample_size: float | None = None
