"""Figures of the latent space of a trained model."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from trajvae.errors import TrajvaeWarning
from trajvae.models.evidence import active_units, mutual_information, prior_gap
from trajvae.models.pipeline import Pipeline
from trajvae.typing import Float64, Floats


class LatentFigures(NamedTuple):
    """Hold figures of the latent space; see `TrainingFigures`."""

    kl: dict[str, float]
    active_units: int
    mutual_information: float
    prior_gap: float
    curvatures: dict[str, float]
    geometry: str
    diagnostics: dict[str, float]


def latent_figures(pipeline: Pipeline, latent: Float64, kl: Float64, held: Float64, frames: Floats) -> LatentFigures:
    """Return figures of the latent space, with a warning where it has collapsed.

    Parameters
    ----------
    pipeline : Pipeline
    latent, kl : ndarray, shape (T, ambient) and (T, parts)
        Latent points of frames, and their KL in nats.
    held : ndarray, shape (parts,)
        Mean KL of the held-out frames.
    frames : ndarray, shape (S, N, D)
        Some of the frames in Å, of which mutual information is estimated.
    """
    own, active = pipeline.vae.latent, active_units(pipeline, latent, kl)
    if not active:
        warnings.warn(
            f"the latent space has collapsed: none of its {pipeline.config.latent_dim} dimensions says anything of a "
            f"frame (KL {float(held.sum()):.3f} nats); --free-bits 4, --beta below 1, --likelihood "
            "isotropic, --torsions independent, more epochs or more frames are ways out",
            TrajvaeWarning,
            stacklevel=2,
        )
    return LatentFigures(
        kl=dict(zip(own.parts, held.tolist(), strict=True)),
        active_units=active,
        mutual_information=mutual_information(pipeline, frames),
        prior_gap=prior_gap(pipeline, frames),
        curvatures=own.curvatures(),
        geometry=own.manifold.geometry(),
        diagnostics=own.diagnostics(),  # before anything is drawn for the verdict, which some latents would count
    )
