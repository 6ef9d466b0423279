"""Means, spreads and quantiles of values that may have a period: those of angles are taken on the circle.

A period of 0 is none: then each function is the ordinary one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from trajvae.typing import Float64
from trajvae.weighted_samples import weighted_mean, weighted_quantiles

if TYPE_CHECKING:
    from torch import Tensor  # figures import this module, and wait for no torch

Values = TypeVar("Values", float, Float64, "Tensor")


def wrapped(values: Values, period: float) -> Values:
    """Move values by whole periods to above -period / 2 and at most period / 2; the derivative stays 1."""
    return period / 2 - (period / 2 - values) % period if period else values


def mean(values: Tensor, period: float, dim: int) -> Tensor:
    """Return the mean along a dimension; with a period, the direction of the mean of unit vectors."""
    from trajvae.molecule.observables import safe_atan2

    if not period:
        return values.mean(dim=dim)
    turns = values * (2.0 * math.pi / period)
    return safe_atan2(turns.sin().mean(dim=dim), turns.cos().mean(dim=dim)) * (period / (2.0 * math.pi))


def _deviations(values: Float64, period: float, weights: Float64 | None = None) -> tuple[float, Float64]:
    """The mean direction, and how far each value is from it on the shorter way."""
    turns = values * (2.0 * np.pi / period)
    height, width = (float(weighted_mean(part, weights)) for part in (np.sin(turns), np.cos(turns)))
    centre = float(np.arctan2(height, width)) * period / (2.0 * np.pi)
    return centre, wrapped(values - centre, period)


def spread(values: Float64, period: float) -> float:
    """Return the standard deviation; with a period, the root mean square of the shorter ways to the mean direction."""
    if not period:
        return float(np.std(values))
    return float(np.sqrt(np.square(_deviations(values, period)[1]).mean()))


def quantiles(values: Float64, shares: list[float], period: float, weights: Float64 | None = None) -> list[float]:
    """Return quantiles; with a period, those of the ways from the mean direction, each moved on to the circle.

    Values count by their weights, where there are any.

    Of two quantiles the second may then be the smaller number: what lies between them runs through period / 2.
    """
    if not period:
        return [float(q) for q in weighted_quantiles(values, shares, weights)]
    centre, deviations = _deviations(values, period, weights)
    return [wrapped(centre + float(q), period) for q in weighted_quantiles(deviations, shares, weights)]
