"""Figures of kinetics: scores, implied time scales, and how many processes are slow."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures
from trajvae.figures.committor import CommittorFigures


@dataclass(frozen=True, eq=False, kw_only=True)
class TimeScaleFigures(Figures):
    """Hold implied time scales.

    Attributes
    ----------
    lag : tuple of float
        In the unit of the lag, ascending.
    value, error : tuple of tuple of float
        At each lag of each process, the slowest first, in the same unit; NaN where no such process is resolved.
    """

    lag: tuple[float, ...]
    value: tuple[tuple[float, ...], ...]
    error: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class KineticsFigures(Figures):
    """Hold the figures of kinetics.

    Attributes
    ----------
    lag : float
        Of the scores and of the Markov model, in `lag_unit`.
    lag_unit : {"ps", "frame"}
        Frames where they have no times.
    vamp2 : dict of str to float
        Cross-validated VAMP-2 score, the constant included, of "latent", and of "tica" and "pca" where the trajectory
        was there.
    vamp2_error : dict of str to float
        Their standard errors.
    timescales : dict of str to TimeScaleFigures
        Of "markov", the Markov model of the latent points; of "latent", "tica" and "pca" by TICA.
    processes : int
        Number of processes of the Markov model that are slower than the lag and above the noise.
    noise : float
        Largest eigenvalue, in 95 of 100 trials, of a Markov model of frames that have nothing to do with each other.
    deviation : float
        Largest difference in the Chapman-Kolmogorov test, in standard errors.
    states : int
        Number of states of the Markov model.
    connected : float
        Share of the frames that are in these states.
    frames : int
    committor : CommittorFigures or None
        Where two regions were named.
    """

    lag: float
    lag_unit: str
    vamp2: dict[str, float]
    vamp2_error: dict[str, float]
    timescales: dict[str, TimeScaleFigures]
    processes: int
    noise: float
    deviation: float
    states: int
    connected: float
    frames: int
    committor: CommittorFigures | None = None
