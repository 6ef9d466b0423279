"""How slow a trained latent space is: the VAMP-2 score of held-out frames, for the figures of a training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.lagged_pairs import Lag
from trajvae.models.partition import Partition
from trajvae.models.pipeline import Pipeline
from trajvae.training.frame_source import FrameSource
from trajvae.training.lagged.pairs import pairs_of
from trajvae.training.lagged.score import lagged_coordinates, vamp2
from trajvae.typing import Float64


@dataclass(frozen=True)
class LaggedFigures:
    """Hold the figures of a training that only one with a lag time has.

    Attributes
    ----------
    lag : float or None
        In ps; None without times.
    lag_frames : int or None
    slowness : float or None
        Nats a frame that a score of 1 was worth.
    vamp2 : float or None
        Of the posteriors' means of held-out frames, with the constant.
    """

    lag: float | None = None
    lag_frames: int | None = None
    slowness: float | None = None
    vamp2: float | None = None


def lagged_figures(
    pipeline: Pipeline, frame_source: FrameSource, partition: Partition, latent: Float64, weights: FrameWeights | None
) -> LaggedFigures:
    """Return the score of held-out frames, whose pairs count as their first frames do; nothing without a lag time.

    Parameters
    ----------
    pipeline : Pipeline
    frame_source : FrameSource
    partition : Partition
    latent : ndarray, shape (T, ambient)
        The posterior's mean of every frame.
    weights : FrameWeights, optional
    """
    pairs = pairs_of(frame_source, pipeline.config, partition)
    if pairs is None or pipeline.config.lag is None:
        return LaggedFigures()
    held, rows, lag = partition.held_out, pairs.held_out, Lag.parse(pipeline.config.lag)
    own, times = relative_of(weights, held, "held-out"), frame_source.times()
    with torch.no_grad():
        points = torch.from_numpy(np.asarray(latent[held], dtype=np.float64)).to(pipeline.device)
        means = lagged_coordinates(pipeline.vae.latent.manifold, points)
        counts = None if own is None else torch.from_numpy(own[rows.first]).to(pipeline.device)
        score = float(vamp2(means[rows.first], means[rows.second], counts))
    return LaggedFigures(times.in_ps(lag), times.frames_of(lag), pipeline.config.slowness, score)
