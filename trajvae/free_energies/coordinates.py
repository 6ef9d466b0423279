"""The coordinates of a latent space: which are lines, which are circles, and which belong to a curved plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.errors import OptionError
from trajvae.signature import FactorSpec, parse_signature
from trajvae.typing import Float64


@dataclass(frozen=True, eq=False)
class Coordinate:
    """Hold one coordinate of all latent points.

    Attributes
    ----------
    name : str
        Such as `z0`, `theta1` for the angle of a circle, `t2` for a coordinate of the tangent space at the origin.
    values : ndarray, shape (T,)
    period : float
        2 pi of angles, else 0.
    length : float
        Length of a unit step: 1, or the radius of a circle.
    own : bool
        Whether equal steps have equal volume in the space itself, and not in a tangent space of it.
    """

    name: str
    values: Float64
    period: float = 0.0
    length: float = 1.0
    own: bool = True

    @property
    def varies(self) -> bool:
        """Whether the frames differ by more than the last digits of their coordinates."""
        return bool(np.ptp(self.values) > 1e-9 * max(1.0, float(np.abs(self.values).max())))


@dataclass(frozen=True, eq=False)
class CurvedPlane:
    """Hold the points of a factor of a latent space that is a sphere or a hyperbolic plane of two dimensions.

    Attributes
    ----------
    name : str
        `sphere` or `disc`, and the numbers of the dimensions: `sphere0-1`.
    points : ndarray, shape (T, 3)
        (c, s) times (1, sqrt(|K|), sqrt(|K|)): points of the unit sphere, or of the unit hyperboloid.
    curvature : float
    """

    name: str
    points: Float64
    curvature: float


@dataclass(frozen=True, eq=False)
class LatentCoordinates:
    """Hold the coordinates that free energies are functions of.

    Attributes
    ----------
    planes : list of CurvedPlane
    single : list of Coordinate
        All others.
    """

    planes: list[CurvedPlane]
    single: list[Coordinate]


def coordinates_of(latent: Float64, geometry: str, tangent: Float64 | None = None) -> LatentCoordinates:
    """Take latent points apart.

    Parameters
    ----------
    latent : ndarray, shape (T, ambient)
    geometry : str
        Signature of the space, such as `e2` or `h2:0.73,s1:1.0`; empty where it has no name.
    tangent : ndarray, shape (T, dim), optional
        Coordinates in the tangent space at the origin, for spaces without a name.

    Raises
    ------
    OptionError
        The points have another number of coordinates than the signature.
    """
    if geometry == "so3":
        return LatentCoordinates([], _columns("t", _rotation_vectors(latent), 0, own=False))
    if not geometry:
        return LatentCoordinates([], _columns("t", latent if tangent is None else tangent, 0, own=False))
    factors = parse_signature(geometry)
    wanted = sum(f.dim + (f.letter != "e") for f in factors)
    if latent.shape[1] != wanted:
        raise OptionError(
            f"points of '{geometry}' have {wanted} coordinates, got {latent.shape[1]}: of a curved factor these are "
            "(c, s), such as cosine and sine of an angle for s1"
        )
    found = LatentCoordinates([], [])
    column = number = 0
    for factor in factors:
        size = factor.dim + (factor.letter != "e")
        _take(factor, latent[:, column : column + size], number, found)
        column, number = column + size, number + factor.dim
    return found


def _take(factor: FactorSpec, points: Float64, number: int, found: LatentCoordinates) -> None:
    """Add the coordinates of one factor, whose first dimension has this number."""
    if factor.letter == "e":
        found.single.extend(_columns("z", points, number))
        return
    curvature = factor.curvature or (1.0 if factor.letter == "s" else -1.0)
    scaled = points * np.array([1.0] + [abs(curvature) ** 0.5] * factor.dim)
    if factor.dim == 2:
        kind = "sphere" if factor.letter == "s" else "disc"
        found.planes.append(CurvedPlane(f"{kind}{number}-{number + 1}", scaled, curvature))
    elif factor.dim == 1 and factor.letter == "s":
        angle = np.arctan2(scaled[:, 1], scaled[:, 0])
        found.single.append(Coordinate(f"theta{number}", angle, 2.0 * np.pi, abs(curvature) ** -0.5))
    else:
        found.single.extend(_columns("t", _logarithms(scaled, curvature), number, own=factor.dim == 1))


def _columns(letter: str, values: Float64, number: int, *, own: bool = True) -> list[Coordinate]:
    return [Coordinate(f"{letter}{number + i}", values[:, i], own=own) for i in range(values.shape[1])]


def _logarithms(scaled: Float64, curvature: float) -> Float64:
    """Tangent coordinates at the origin, in the space's unit of length, of points of a unit sphere or hyperboloid."""
    s = scaled[:, 1:]
    sine = np.linalg.norm(s, axis=1, keepdims=True)
    arc = np.arctan2(sine, scaled[:, :1]) if curvature > 0.0 else np.arcsinh(sine)
    ratio = np.divide(arc, sine, out=np.ones_like(sine), where=sine > 0.0)
    return np.asarray(ratio * s / abs(curvature) ** 0.5)


def _rotation_vectors(latent: Float64) -> Float64:
    """Rotation vectors (T, 3) in radians of rotation matrices (T, 9)."""
    from scipy.spatial.transform import Rotation  # a quarter of a second that no other space waits for

    return np.asarray(Rotation.from_matrix(latent.reshape(-1, 3, 3)).as_rotvec(), dtype=np.float64)
