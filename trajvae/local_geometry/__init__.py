"""Bonds, angles and torsions as simulated, for conformations that a Cartesian model draws."""

from trajvae.local_geometry.local_geometry import LocalGeometry
from trajvae.local_geometry.walls import SHARE as WALL
from trajvae.local_geometry.walls import Walls

__all__ = ["WALL", "LocalGeometry", "Walls"]
