"""Pure torch mathematics: manifolds of constant curvature."""

from trajvae.geometry.manifolds import ConstantCurvature

__all__ = ["ConstantCurvature"]
