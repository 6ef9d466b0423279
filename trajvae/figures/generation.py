"""Figures of generated conformations."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures, JudgedFigures


@dataclass(frozen=True, eq=False, kw_only=True)
class SamplerFigures(Figures):
    """Hold how latent points were drawn.

    Attributes
    ----------
    sampler : str
        Such as "prior".
    acceptance : float, optional
        Share of accepted moves, from 0 to 1, of a sampler that walks.
    effective_sample_size : float, optional
        Number of independent points that the drawn ones are worth, of such a sampler.
    """

    sampler: str
    acceptance: float | None = None
    effective_sample_size: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class GenerationFigures(JudgedFigures):
    """Hold the figures of generated conformations.

    Attributes
    ----------
    n : int
        Number of conformations.
    valid : int
        Number of them that pass the validity test.
    drawn, valid_raw, redrawn : int
        Number of draws, of those that were valid as drawn, and of those that were drawn again.
    moved : float, optional
        Å; mean RMSD by which projection moved a conformation.
    sampler : str
    acceptance, effective_sample_size : float, optional
        As `SamplerFigures`.
    off_data : float
        Share of latent points, from 0 to 1, that lie where no training frames are.
    of : str
        "sample" of draws from p(x|z), "mean" of its means.
    geometry : str or None
        "simulated" where draws were given the simulation's bonds, angles and torsions, "none" where they could have
        been; None where the model draws these by itself, or the atoms have no bonds.
    energy, energy_drawn : float, optional
        kJ/mol; median potential energies after relaxation and as drawn.
    nearest_rmsd : float, optional
        Å; median RMSD to the nearest frame that the model keeps.
    judgement : Verdict or None
    """

    n: int
    valid: int
    drawn: int
    valid_raw: int
    redrawn: int
    moved: float | None = None
    sampler: str
    acceptance: float | None = None
    effective_sample_size: float | None = None
    off_data: float
    of: str
    geometry: str | None = None
    energy: float | None = None
    energy_drawn: float | None = None
    nearest_rmsd: float | None = None
