"""Geometry of curved spaces in torch: manifolds, distributions on them, metrics and geodesics."""

from trajvae.geometry.distributions import PowerSpherical, SphereUniform, VonMisesFisher, WrappedNormal
from trajvae.geometry.manifolds import ConstantCurvature, Manifold, ProductSpace

__all__ = [
    "ConstantCurvature",
    "Manifold",
    "PowerSpherical",
    "ProductSpace",
    "SphereUniform",
    "VonMisesFisher",
    "WrappedNormal",
]
