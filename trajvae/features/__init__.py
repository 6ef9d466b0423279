"""Frames in the coordinates that are modelled. A new kind is one class here and one line in `FEATURES`."""

from trajvae.features.base import Features
from trajvae.features.cartesian import ShapeSpace

FEATURES: dict[str, type[ShapeSpace]] = {"cartesian": ShapeSpace}

__all__ = ["FEATURES", "Features", "ShapeSpace"]
