"""Figures of an embedding."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import JudgedFigures


@dataclass(frozen=True, eq=False, kw_only=True)
class EmbeddingFigures(JudgedFigures):
    """Hold the figures of embedded frames: means over them.

    Attributes
    ----------
    frames : int
        Number of frames.
    elbo : float, optional
        In nats per frame. None, like `rmsd` and `pca_rmsd`, where nothing was decoded.
    rmsd, pca_rmsd : float, optional
        Å; of frames to their reconstruction, and to that of as many principal components.
    in_support : float, optional
        Share of frames, from 0 to 1, that lie where training frames are; of all frames alike.
    effective_sample_size : float, optional
        Number of frames of equal weight that these are worth; None where they have no weights. With weights the other
        means are weighted.
    judgement : Verdict or None
        Whether the model suits the frames; of frames that it was not trained on.
    """

    frames: int
    elbo: float | None = None
    rmsd: float | None = None
    pca_rmsd: float | None = None
    in_support: float | None = None
    effective_sample_size: float | None = None
