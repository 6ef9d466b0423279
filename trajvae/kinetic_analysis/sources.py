"""What kinetics are of: frames in order, their times, coordinates without a seam, features, and weights of pairs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from trajvae.errors import OptionError, ReadError, TrajvaeError, TrajvaeWarning
from trajvae.frame_weights.weights import WeightSource
from trajvae.free_energies.estimate import vectors_of
from trajvae.free_energies.frames import LatentFrames
from trajvae.free_energies.weighting import EmbeddedFrames, Weights, weights_of
from trajvae.geometry.manifolds.named import manifold_of
from trajvae.kinetic_analysis.features import EncodedFrames, features_of, reason_of
from trajvae.lagged_pairs import FrameTimes
from trajvae.results import Embedding, TrainedModel, load_latent_points
from trajvae.typing import Float64, Floats

Points: TypeAlias = Floats | Embedding | TrainedModel | LatentFrames | EncodedFrames | str | Path
_EQUAL = 1e-6  # share by which weights of one trajectory may differ


@dataclass(frozen=True, eq=False)
class KineticSource:
    """Hold what kinetics are of, in the order of trajectories and frames.

    Attributes
    ----------
    frames : LatentFrames
    times : FrameTimes
    coordinates : ndarray, shape (T, k)
        Of the latent points, without a seam.
    dim : int
        Intrinsic dimension of the latent space.
    weights : ndarray, shape (T,), optional
        Of the pairs that begin with a frame; None where all count alike.
    told : WeightSource, optional
        Where weights came from.
    """

    frames: LatentFrames
    times: FrameTimes
    coordinates: Float64
    dim: int
    weights: Float64 | None
    told: WeightSource | None
    _read_features: Callable[[], Floats | None]

    @cached_property
    def features(self) -> Floats | None:
        """Features (T, F) of the same frames, for which trajectories may be read again; None where there are none.

        Raises
        ------
        OptionError
            They are of another number of frames.
        """
        found = self._read_features()
        if found is None:
            return None
        if found.ndim != 2 or len(found) != len(self.frames.latent):
            raise OptionError(f"features are an array ({len(self.frames.latent)}, F), got one of shape {found.shape}")
        return found[self.frames.order]


def source_of(
    points: Points,
    geometry: str = "",
    features: Floats | None = None,
    weights: Weights | None = None,
    temperature: float | None = None,
) -> KineticSource:
    """Return what kinetics are of.

    Parameters
    ----------
    points, geometry, features, weights, temperature
        As of `trajvae.kinetics`.

    Raises
    ------
    ReadError
        Points that are not finite, of too few frames, or that cannot be read.
    OptionError
        Points or weights of other shapes than there are frames; weights that change within a trajectory.
    """
    found = load_latent_points(points) if isinstance(points, str | Path) else points
    if isinstance(found, EncodedFrames):
        frames, features = LatentFrames.of(found.frames, purpose="kinetics"), found.features
    else:
        frames = LatentFrames.of(found, geometry, purpose="kinetics")
    own, told = _pair_weights(found, frames, weights, temperature)
    timed = not isinstance(found, Embedding) or EmbeddedFrames(found).timed(0)
    return KineticSource(
        frames,
        FrameTimes(frames.file, frames.frame, frames.time if timed else None, frames.files),
        _without_seam(frames),
        _dimension(frames),
        own,
        told,
        partial(_features_or_none, found) if features is None else lambda: features,
    )


def _features_or_none(points: object) -> Floats | None:
    """Features of embedded frames; where they cannot be had, a warning that says why."""
    try:
        if isinstance(points, TrainedModel):
            raise ReadError("a model keeps the latent points of its training frames, not their features")
        return features_of(points) if isinstance(points, Embedding) else None
    except TrajvaeError as error:
        warnings.warn(reason_of(error), TrajvaeWarning, stacklevel=6)
        return None


def _without_seam(frames: LatentFrames) -> Float64:
    """Coordinates that are continuous: points of spheres are unit vectors, those of hyperbolic planes lie in a disc."""
    return vectors_of(frames.coordinates) if "h" in frames.geometry else frames.latent


def _dimension(frames: LatentFrames) -> int:
    if not frames.geometry:
        return int((frames.latent if frames.tangent is None else frames.tangent).shape[1])
    return manifold_of(frames.geometry, frames.latent.shape[1]).dim


def _pair_weights(
    points: object, frames: LatentFrames, given: Weights | None, temperature: float | None
) -> tuple[Float64 | None, WeightSource | None]:
    """Return weights (T,) of the pairs that begin with each frame, and where they came from.

    Raises
    ------
    OptionError
        They change within a trajectory.
    """
    if given is None and temperature is not None:
        raise OptionError("a temperature turns a bias into weights, and no weights are given: add --weights FILE")
    own, told = weights_of(points, frames, given, temperature)
    if np.ptp(own) <= _EQUAL * own.mean():
        return None, told
    for number in np.unique(frames.file):
        part = own[frames.file == number]
        if np.ptp(part) > _EQUAL * own.mean():
            name = f"'{frames.files[number]}'" if frames.files else "the points"
            raise OptionError(
                f"kinetics takes one weight a trajectory, and the weights of frames of {name} differ: a bias changes "
                "how fast a molecule moves, and weights that undo it in probabilities do not undo it in times; take a "
                "simulation without bias (free-energy takes such weights)"
            )
    if not (own > 0.0).any():
        raise ReadError("all weights are zero: no frame is left")
    return own, told
