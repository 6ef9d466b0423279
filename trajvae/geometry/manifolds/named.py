"""Manifolds by the names that files hold."""

from __future__ import annotations

from trajvae.geometry.manifolds.base import EuclideanSpace, Manifold
from trajvae.geometry.manifolds.constant_curvature import ConstantCurvature
from trajvae.geometry.manifolds.product import ProductSpace
from trajvae.geometry.manifolds.rotations import Rotations
from trajvae.signature import SIGNS, parse_signature


def manifold_of(geometry: str, ambient_dim: int) -> Manifold:
    """Return the manifold that `Manifold.geometry` names.

    Parameters
    ----------
    geometry : str
        Such as `h2:0.73,e2` or `so3`; empty for a space without a name, in which the ambient space measures distances.
    ambient_dim : int

    Raises
    ------
    OptionError
        The text is no signature.
    """
    if geometry == "so3":
        return Rotations()
    if not geometry:
        return EuclideanSpace(ambient_dim)
    factors = parse_signature(geometry)
    return ProductSpace(
        [ConstantCurvature(f.dim, SIGNS[f.letter] if f.curvature is None else f.curvature) for f in factors]
    )
