"""Metrics of a flat latent space that are made of frames: of their posteriors, or as the model has learned them."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.geometry.metric import CentroidMetric, spacing
from trajvae.models.encoding import encode_all
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord

_CENTROIDS = 100
_FLAT = 2.0
_FLOOR = 0.1  # lambda, in units of the median posterior variance


def posterior_metric(pipeline: Pipeline, record: TrainingRecord, width: float, wanted: str) -> CentroidMetric:
    """Return the metric whose inverse is the posterior's variance at training frames, evenly spread.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    width : float
        T, in units of the frames' latent distance to their nearest other.
    wanted : str
        What asks for it, and the way out, for the error.

    Raises
    ------
    OptionError
        The latent space is curved.
    """
    latent = pipeline.vae.latent
    if not latent.manifold.flat:
        raise OptionError(f"{wanted}; the latent space of this model, '{pipeline.config.backend}', is curved")
    trained = record.sample[record.parts.training[record.sample_index]]
    frames = trained[:: max(1, len(trained) // _CENTROIDS)]
    encoded = encode_all(pipeline, frames)
    centroids, scale = (
        torch.from_numpy(np.ascontiguousarray(x)).to(pipeline.device) for x in (encoded.latent, encoded.scale)
    )
    floor = _FLOOR * float(scale.square().median())
    return CentroidMetric(centroids, torch.diag_embed(scale), width * max(spacing(centroids), 1e-6), floor)


def learned_metric(pipeline: Pipeline, record: TrainingRecord, width: float, wanted: str) -> CentroidMetric:
    """Return the latent space's own metric, with a warning if that is flat; without one, the posterior's."""
    own = pipeline.vae.latent.learned_metric()
    if own is None:
        return posterior_metric(pipeline, record, width, wanted)
    known = torch.from_numpy(record.latent[record.parts.training]).to(pipeline.device)
    volume = torch.exp(-own.log_det(known).median() / own.dim) / own.floor[0, 0]
    if float(volume) < _FLAT:
        warnings.warn(
            f"the learned metric is nearly flat: G^-1 at the data is {float(volume):.2f} x lambda, since the bound "
            "rewards no metric; 'posterior' is one that follows the data",
            TrajvaeWarning,
            stacklevel=2,
        )
    return own
