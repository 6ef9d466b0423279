"""Figures of a comparison of latent spaces."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateFigures(Figures):
    """Hold the figures of one candidate: means over its trainings and the held-out frames.

    Attributes
    ----------
    elbo, iwae : float
        Nats a frame; evidence lower bound, and importance-weighted bound of most draws.
    behind, elbo_behind : float
        Nats a frame by which the two bounds are below those of the best candidate.
    elbo_se, iwae_se, behind_se, elbo_behind_se : float
        Standard errors of these, in nats a frame.
    latent_dim : int
    effective_draws : float
        Median effective number of draws a frame.
    few_effective : float
        Share of frames, from 0 to 1, with fewer than ten effective draws.
    rmsd, pca_rmsd : float
        Å; of frames to their reconstruction, and to that of as many principal components.
    active_units : float
        Number of latent dimensions in use.
    kl : dict of float
        Nats a frame by part of the latent space.
    bounds : tuple of float
        Nats a frame; importance-weighted bounds of more and more draws.
    behind_interval : float
        Half width of the 95 % interval of `behind`, in nats a frame.
    correlation_time : float
        Frames over which differences to the best candidate are correlated.
    independent : float
        Number of independent frames that the held-out ones are worth.
    repeats : int
        Number of trainings.
    epochs : float
    seconds : float
        Of all trainings.
    vamp2 : float, optional
        VAMP-2 score of the held-out frames' latent points, where it was trained with a lag time.
    """

    elbo: float
    iwae: float
    behind: float
    elbo_behind: float
    elbo_se: float
    iwae_se: float
    behind_se: float
    elbo_behind_se: float
    latent_dim: int
    effective_draws: float
    few_effective: float
    rmsd: float
    pca_rmsd: float
    active_units: float
    kl: dict[str, float]
    bounds: tuple[float, ...]
    behind_interval: float
    correlation_time: float
    independent: float
    repeats: int
    epochs: float
    seconds: float
    vamp2: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparisonFigures(Figures):
    """Hold the figures of all candidates, and which of them differ.

    Attributes
    ----------
    backends : dict of CandidateFigures
        Best first, by the importance-weighted bound.
    best : str
    within_error, different : tuple of str
        Candidates that are not known to be behind the best, and those that are, by errors of frames and trainings.
    behind_over_frames : tuple of str
        Candidates whose very trainings are behind it by more than the 95 % interval over frames.
    training_variance : bool
        Whether errors know how trainings differ: each candidate was trained more than once.
    few_blocks : bool
        Whether the held-out frames are worth too few independent ones to tell candidates apart.
    held_out : int
        Number of held-out frames.
    effective_sample_size : float, optional
        Number of frames of equal weight that all frames are worth; None where they have no weights.
    """

    backends: dict[str, CandidateFigures]
    best: str
    within_error: tuple[str, ...]
    different: tuple[str, ...]
    behind_over_frames: tuple[str, ...]
    training_variance: bool
    few_blocks: bool
    held_out: int
    effective_sample_size: float | None = None
