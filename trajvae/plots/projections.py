"""Curved spaces in the plane: numpy alone.

References
----------
E. Hammer, Petermanns Geogr. Mitt. 38, 85 (1892): the equal-area map of the sphere in an ellipse.
J. G. Ratcliffe, Foundations of Hyperbolic Manifolds (2019), sec. 4.5: the disc model.
"""

from __future__ import annotations

import numpy as np

from trajvae.typing import Float64

HALF_WIDTH, HALF_HEIGHT = 2.0 * np.sqrt(2.0), np.sqrt(2.0)  # of the map of the unit sphere, whose area is 4 pi


def hammer(latitude: Float64, longitude: Float64) -> Float64:
    """Map places on the sphere, in radians, to the ellipse of area 4 pi, with equal areas, (..., 2)."""
    turn, sine, cosine = 0.5 * longitude, np.sin(latitude), np.cos(latitude)
    scale = np.sqrt(1.0 + cosine * np.cos(turn))
    return np.stack([HALF_WIDTH * cosine * np.sin(turn) / scale, HALF_HEIGHT * sine / scale], axis=-1)


def polar(radius: Float64, angle: Float64) -> Float64:
    """Return Cartesian coordinates of polar ones of the plane, (..., 2)."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def on_sphere(points: Float64, curvature: float) -> tuple[Float64, Float64]:
    """Return latitude and longitude of points (c, s) of a sphere, (..., 3), c^2 + K |s|^2 = 1.

    The origin (1, 0, 0) lies at the map's centre, the first coordinate of s to its right, the second above it.
    """
    east, north = np.sqrt(curvature) * np.moveaxis(points[..., 1:], -1, 0)
    return np.arcsin(np.clip(north, -1.0, 1.0)), np.arctan2(east, points[..., 0])


def on_disc(points: Float64, curvature: float) -> tuple[Float64, Float64]:
    """Return radius and angle in Poincare's unit disc of hyperbolic points (c, s), c^2 + K |s|^2 = 1."""
    x, y = np.sqrt(-curvature) * np.moveaxis(points[..., 1:], -1, 0) / (1.0 + points[..., 0])
    return np.hypot(x, y), np.arctan2(y, x)


def disc_radius(distance: float, curvature: float) -> float:
    """Return the radius in Poincare's disc of the points at a distance from the origin."""
    return float(np.tanh(0.5 * np.sqrt(-curvature) * distance))


def tangent(points: Float64, curvature: float) -> Float64:
    """Return the logarithm at the origin of points (c, s) of a hyperbolic space, (..., dim + 1) to (..., dim)."""
    s = np.sqrt(-curvature) * points[..., 1:]
    length = np.linalg.norm(s, axis=-1, keepdims=True)
    ratio = np.divide(np.arcsinh(length), length, out=np.ones_like(length), where=length > 0.0)
    return np.asarray(ratio * points[..., 1:])


def quaternions(points: Float64) -> Float64:
    """Return unit quaternions (T, 4), the scalar first and not negative, of rotation matrices (T, 9), row by row."""
    from scipy.spatial.transform import Rotation  # a quarter of a second that no other space waits for

    found = Rotation.from_matrix(points.reshape(-1, 3, 3)).as_quat(canonical=True)
    return np.asarray(found[:, [3, 0, 1, 2]])
