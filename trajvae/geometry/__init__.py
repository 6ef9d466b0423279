"""Mathematics of curved spaces, in pure torch."""

from trajvae.geometry.distributions import PowerSpherical, SphereUniform, VonMisesFisher, WrappedNormal
from trajvae.geometry.manifolds import ConstantCurvature
from trajvae.geometry.product import ProductSpace

__all__ = ["ConstantCurvature", "PowerSpherical", "ProductSpace", "SphereUniform", "VonMisesFisher", "WrappedNormal"]
