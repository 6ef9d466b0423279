"""Manifolds that latent points lie on: flat, of constant curvature, products of those, and compact ones."""

from trajvae.geometry.manifolds.base import EuclideanSpace, Manifold
from trajvae.geometry.manifolds.compact import Compact, Spheres
from trajvae.geometry.manifolds.constant_curvature import ConstantCurvature
from trajvae.geometry.manifolds.product import ProductSpace
from trajvae.geometry.manifolds.rotations import Rotations
from trajvae.geometry.manifolds.sampled import Sampled
from trajvae.geometry.manifolds.unit_sphere import UnitSphere

__all__ = [
    "Compact",
    "ConstantCurvature",
    "EuclideanSpace",
    "Manifold",
    "ProductSpace",
    "Rotations",
    "Sampled",
    "Spheres",
    "UnitSphere",
]
