"""The components of latent points as coordinates of a bias: names, ranges and widths from the training frames."""

from __future__ import annotations

import dataclasses

import numpy as np

from trajvae.export.latent_cv import LatentCV
from trajvae.figures import CoordinateFigures
from trajvae.model_base import ModelBase
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.typing import Float64, Floats

_SHARE = 0.2  # of the standard deviation that a Gaussian is wide: narrower than the states that it fills
_MARGIN = 0.25  # of the range that a bias may reach beyond it on either side
_QUARTILES = 1.349  # standard deviations between the quartiles of a normal distribution
_LEAST = 0.02  # of the range: grids of a bias have a few points a width
_SMALLEST = 1e-6
_FRAMES, _NUMBERS = 2000, 2**24  # whose gradients are computed, and numbers in all of these, at most


def coordinates_of(model: ModelBase) -> tuple[CoordinateFigures, ...]:
    """Return the figures of each component of the latent points of a model's training frames."""
    return tuple(_figures(f"z{k}", column) for k, column in enumerate(model.record.latent.T))


def with_slopes(
    coordinates: tuple[CoordinateFigures, ...], cv: LatentCV, frames: Floats
) -> tuple[CoordinateFigures, ...]:
    """Return the figures of all components with the lengths of their gradients in some frames (T, N, 3) in Å."""
    most = min(_FRAMES, max(1, _NUMBERS // (frames[0].size * cv.n_outputs)))
    gradient = cv.value_and_gradient(frames[evenly_spaced(len(frames), most)])[1]
    lengths = np.sqrt(np.square(gradient).sum(axis=(2, 3))).T
    return tuple(
        dataclasses.replace(c, slope=float(np.median(length)), steepest=float(length.max()))
        for c, length in zip(coordinates, lengths, strict=True)
    )


def bias_range(coordinate: CoordinateFigures) -> tuple[float, float]:
    """Return the range in which a bias acts: that of the training frames, and a quarter more on either side."""
    margin = _MARGIN * max(coordinate.high - coordinate.low, 4.0 * coordinate.width)
    return coordinate.low - margin, coordinate.high + margin


def _figures(name: str, values: Float64) -> CoordinateFigures:
    low, high = float(values.min()), float(values.max())
    first, third = np.quantile(values, [0.25, 0.75])
    spread, middle = float(values.std()), float(third - first) / _QUARTILES
    width = _SHARE * (min(spread, middle) if middle > 0.0 else spread)
    return CoordinateFigures(
        name=name,
        low=low,
        high=high,
        mean=float(values.mean()),
        spread=spread,
        width=max(width, _LEAST * (high - low), _SMALLEST),
    )
