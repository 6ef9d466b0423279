"""Geometry of curved spaces in torch: manifolds, distributions on them, metrics and geodesics."""

from trajvae.geometry.distributions import PowerSpherical, SphereUniform, VonMisesFisher, WrappedNormal
from trajvae.geometry.manifolds import ConstantCurvature
from trajvae.geometry.product import ProductSpace

__all__ = ["ConstantCurvature", "PowerSpherical", "ProductSpace", "SphereUniform", "VonMisesFisher", "WrappedNormal"]
