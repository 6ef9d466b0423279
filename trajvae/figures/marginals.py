"""Figures of a comparison of marginals between simulation and model."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class DivergenceFigures(Figures):
    """Hold how one observable of the model differs from the simulation.

    Attributes
    ----------
    jsd : float
        Bits; Jensen-Shannon divergence of simulation and model.
    w1 : float
        Wasserstein-1 distance of the two, in the unit of the observable.
    noise_floor : float
        Bits; divergence of two halves of the simulation.
    """

    jsd: float
    w1: float
    noise_floor: float


@dataclass(frozen=True, eq=False, kw_only=True)
class NoveltyFigures(Figures):
    """Hold how new draws are, and how much of the simulation they cover.

    Attributes
    ----------
    nearest, nearest_held_out : float
        Å; median RMSD to the nearest of the training frames, of draws and of held-out frames.
    coverage, coverage_train : float
        Share of held-out frames, from 0 to 1, that have a draw, or one of as many training frames, nearer than their
        fifth nearest of as many other training frames.
    """

    nearest: float
    nearest_held_out: float
    coverage: float
    coverage_train: float


@dataclass(frozen=True, eq=False, kw_only=True)
class MarginalFigures(Figures):
    """Hold means over the pair distances, and how new the draws are.

    Attributes
    ----------
    mean_jsd, mean_noise_floor : float
        Bits; mean divergences of simulation and model, and of two halves of the simulation.
    mean_random_floor, mean_held_out_floor : float
        Bits; the same of random halves, and of held-out blocks and training frames.
    mean_jsd_train, mean_jsd_held_out : float
        Bits; the same of the model and training frames, and of the model and held-out blocks.
    mean_jsd_pca, mean_jsd_resampled : float
        Bits; the same of the simulation and principal components, and of the simulation and frames drawn once more.
    held_out : int
        Number of held-out frames.
    sampler : str
        Where the model's latent points came from, such as "prior".
    nearest, nearest_held_out, coverage, coverage_train : float
        As `NoveltyFigures`.
    draws : int, optional
        Number of conformations of the model, where frames have weights: the effective number of frames in B.
    effective_sample_size : float, optional
        Number of frames of equal weight that the simulated frames are worth; None where they have no weights.
    """

    mean_jsd: float
    mean_noise_floor: float
    mean_random_floor: float
    mean_held_out_floor: float
    mean_jsd_train: float
    mean_jsd_held_out: float
    mean_jsd_pca: float
    mean_jsd_resampled: float
    held_out: int
    sampler: str
    nearest: float
    nearest_held_out: float
    coverage: float
    coverage_train: float
    draws: int | None = None
    effective_sample_size: float | None = None
