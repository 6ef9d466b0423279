"""What a model is compared with: principal components with an isotropic residual, and frames drawn once more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from trajvae.frame_weights.weights import FrameWeights, equivalent_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.typing import Bool, Float64, Floats


class Frames(NamedTuple):
    """Hold simulated frames (T, N, D), and which of them the model held out and its networks learned from, (T,).

    Attributes
    ----------
    positions : ndarray, shape (T, N, D)
    held_out, training : ndarray of bool, shape (T,)
    weights : FrameWeights or None
        Of the frames.
    """

    positions: Floats
    held_out: Bool
    training: Bool
    weights: FrameWeights | None = None

    def standing_for(self, which: Bool) -> Floats:
        """Return frames that stand for some of these without weights."""
        return self.positions[equivalent_of(self.weights, which)]


def known_frames(
    pipeline: Pipeline, record: TrainingRecord, positions: Floats | None, weights: FrameWeights | None = None
) -> Frames:
    """Return the given frames if the model was trained on them, else those that it keeps.

    Where no weights are given for frames that the model was trained on, they are those of the training.
    """
    parts, index, own = record.parts, record.sample_index, record.frame_weights
    if positions is not None and len(positions) == len(parts.part):
        kept = pipeline.alignment.apply(positions[record.sample_index])
        if np.allclose(kept, record.sample, atol=1e-2):
            return Frames(positions, parts.held_out, parts.training, own if weights is None else weights)
    own = None if own is None else own.some(index)
    return Frames(record.sample, parts.held_out[index], parts.training[index], own)


def evenly(positions: Floats, n: int) -> Floats:
    """Return n evenly spread frames."""
    return positions[evenly_spaced(len(positions), n)]


def resampled(positions: Floats, n: int, seed: int) -> Floats:
    """Return n frames drawn with replacement: what a model that knew them by heart would draw."""
    return positions[np.random.default_rng(seed).integers(len(positions), size=n)]


def principal_draws(pipeline: Pipeline, frames: Floats, n: int, seed: int) -> Float64:
    """Return draws of probabilistic PCA with as many components as the latent space has dimensions.

    Parameters
    ----------
    pipeline : Pipeline
        Whose alignment and dimension are taken.
    frames : ndarray, shape (T, N, D)
        That it is fitted to, in Å.
    n : int
    seed : int

    Returns
    -------
    ndarray, shape (n, N, D)

    References
    ----------
    M. Tipping, C. Bishop, J. R. Stat. Soc. B 61, 611 (1999), eqs. 7 and 8.
    """
    space, dim = pipeline.baseline.space, pipeline.vae.latent.dim
    aligned = torch.from_numpy(np.ascontiguousarray(pipeline.alignment.apply(frames), dtype=np.float64))
    with torch.no_grad():
        targets = space.targets(aligned.to(pipeline.device)).cpu()
        mean, spread = targets.mean(dim=0), targets.std(dim=0)
        rest = (targets - mean).square().sum(dim=1).mean() - (targets - mean)[:, :dim].square().sum(dim=1).mean()
        spread[dim:] = (rest.clamp(min=0.0) / max(space.size - dim, 1)).sqrt()
        generator = torch.Generator().manual_seed(seed)
        drawn = mean + spread * torch.randn(n, space.size, generator=generator, dtype=torch.float64)
        return np.asarray(space.positions(drawn.to(pipeline.device)).cpu().numpy())
