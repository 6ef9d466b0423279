"""The distributions on curved spaces: torch `Distribution`s with pathwise gradients to every parameter."""

from trajvae.geometry.spherical import PowerSpherical, SphereUniform, log_sphere_area
from trajvae.geometry.von_mises_fisher import VonMisesFisher, log_bessel
from trajvae.geometry.wrapped import WrappedNormal

__all__ = ["PowerSpherical", "SphereUniform", "VonMisesFisher", "WrappedNormal", "log_bessel", "log_sphere_area"]
