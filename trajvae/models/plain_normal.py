"""Whether a model's density is sound: the ELBO of held-out frames beside their density under a plain normal."""

from __future__ import annotations

import math
import warnings

from trajvae.errors import TrajvaeWarning
from trajvae.models.pipeline_parts import PipelineParts
from trajvae.typing import Floats

MARGIN = 5.0  # nats a degree of freedom by which a sound ELBO is not below the density of a plain normal


def plain_normal_density(pipeline: PipelineParts, training: Floats, others: Floats) -> float | None:
    """Return the mean log-density of frames under a normal of training frames: their mean, and one variance for all.

    Parameters
    ----------
    pipeline : PipelineParts
        Whose targets the density is of, as its ELBO is.
    training, others : ndarray, shape (T, N, D) and (U, N, D)
        In Å.

    Returns
    -------
    float or None
        In nats a frame. None where the targets are not positions, or there are no frames.
    """
    features = pipeline.vae.features
    if not features.linear or not len(training) or not len(others):
        return None
    known, new = (pipeline.targets(pipeline.alignment.apply(x)) for x in (training, others))
    mean = known.mean(dim=0)
    variance = max(float((known - mean).square().mean()), pipeline.sizes.floor**2)
    square = float((new - mean).square().sum(dim=1).mean())
    return -0.5 * (square / variance + features.size * math.log(2.0 * math.pi * variance))


def warn_of_unsound_elbo(elbo: float, pipeline: PipelineParts, training: Floats, others: Floats) -> bool:
    """Warn where held-out frames have far less density in a model than in a plain normal of its training frames.

    Parameters
    ----------
    elbo : float
        Of held-out frames, in nats a frame.
    pipeline, training, others
        As for `plain_normal_density`, the others being held out.

    Returns
    -------
    bool
        Whether a warning was given.
    """
    plain, size = plain_normal_density(pipeline, training, others), pipeline.vae.features.size
    if plain is None or elbo >= plain - MARGIN * size:
        return False
    warnings.warn(
        f"the ELBO of held-out frames, {elbo:.0f} nats, is {(plain - elbo) / size:.1f} nats a degree of freedom below "
        f"that of a normal distribution about the mean frame ({plain:.0f} nats): densities of this model mean nothing; "
        "--likelihood springs, fewer --latent-dim or more frames are ways out",
        TrajvaeWarning,
        stacklevel=3,
    )
    return True
