"""Coordinates in which frames are modelled. A new kind is one class here and one line in `FEATURES`."""

from trajvae.alignment.differentiable import NO_STRUCTURE
from trajvae.arguments.lookup import choose
from trajvae.features.base import LEAST_FLOOR, Features, FeatureSizes, FittingData
from trajvae.features.cartesian import ShapeSpace
from trajvae.features.internal import Internal
from trajvae.features.principal_baseline import PrincipalBaseline

FEATURES: dict[str, type[Features]] = {"cartesian": ShapeSpace, "internal": Internal}


def features_of(kind: str) -> type[Features]:
    """Return the class of a kind of features.

    Raises
    ------
    OptionError
        There is no such kind.
    """
    return choose(kind, FEATURES, "features", also=" and, for training, auto")


__all__ = [
    "FEATURES",
    "LEAST_FLOOR",
    "NO_STRUCTURE",
    "FeatureSizes",
    "Features",
    "FittingData",
    "Internal",
    "PrincipalBaseline",
    "ShapeSpace",
    "features_of",
]
