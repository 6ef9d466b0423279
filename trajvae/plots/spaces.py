"""Choose the charts that show a latent space, and return the coordinates and columns of its points."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from trajvae.errors import OptionError, ReadError
from trajvae.plots import projections
from trajvae.plots.charts import Chart, Coordinate, Disc, Flat, Globe
from trajvae.results import LatentPoints
from trajvae.signature import FactorSpec, parse_signature
from trajvae.store import Quantity
from trajvae.typing import AnyArray, Float64

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def charts_of(points: LatentPoints) -> list[Chart]:
    """Return the parts of a latent space, each a chart: curved planes by themselves, single coordinates in pairs.

    Where the geometry is not known (files of older versions, manifolds of a user's own), the tangent coordinates in
    pairs if there are any, else those of the points themselves.
    """
    geometry = points.geometry
    try:
        factors = None if geometry in ("", "so3") else parse_signature(geometry)
    except OptionError:  # of a later version
        factors = None
    if geometry == "so3":
        name = "rotation's axis times the sine of half its angle,\n{} to the right, {} up"
        pairs = {"x": (1, 2), "y": (2, 3)}
        return [_shadow(name.format(x, chr(ord(x) + 1)), projections.quaternions, 3, ij) for x, ij in pairs.items()]
    if factors is None:
        return _paired([_column(i, i, "coordinate", own=False) for i in range(coordinates(points).shape[1])])
    return _of_factors(factors)


def chart_of(points: LatentPoints, number: int) -> tuple[Chart, Float64]:
    """Return a chart by its number, and the points in its coordinates.

    Raises
    ------
    OptionError
        The latent space has no such chart.
    ReadError
        There is nothing to draw.
    """
    charts, places = charts_of(points), coordinates(points)
    if not len(places) or not np.isfinite(places).all():
        raise ReadError("there are no latent points, or some that are not finite")
    if not 0 <= number < len(charts):
        raise OptionError(f"no chart {number}: this latent space has {len(charts)}, counted from 0")
    return charts[number], charts[number].inner(places)


def coordinates(points: LatentPoints) -> Float64:
    """Return what charts show: latent points, or tangent coordinates of a space without a name."""
    known = points.geometry != ""
    return points.latent if known else np.asarray(getattr(points, "tangent", points.latent))


def origin_of(points: LatentPoints, name: str) -> AnyArray | None:
    """Return the file, the frame or the time (ps) of each latent point; None where that is not known."""
    found: object = getattr(points, name, None)  # the results of `TrajVAE` and `Embed` hold what was asked for
    return None if found is None else np.asarray(found)


def column_of(points: LatentPoints, name: str) -> Float64 | None:
    """Return a number of each latent point, such as its RMSD; None where there is none."""
    columns: Mapping[str, Quantity] = getattr(points, "columns", {})
    found: object = columns[name].value if name in columns else getattr(points, name, None)
    return None if found is None else np.asarray(found, dtype=np.float64)


def _of_factors(factors: list[FactorSpec]) -> list[Chart]:
    """Charts of curved planes and larger spaces, then those of single coordinates."""
    charts: list[Chart] = []
    single: list[Coordinate] = []
    column = number = 0
    for factor in factors:
        size = factor.dim + (factor.letter != "e")
        own = slice(column, column + size)
        if factor.dim == 1 or factor.letter == "e" or (factor.letter == "h" and factor.dim > 2):
            single += _singles(factor, own, number)
        else:
            charts += _curved(factor, own)
        column, number = column + size, number + factor.dim
    return charts + _paired(single)


def _singles(factor: FactorSpec, own: slice, number: int) -> list[Coordinate]:
    """A factor's coordinates one by one, numbered from `number`."""
    k = factor.curvature or 0.0
    if factor.letter == "e":
        return [_column(own.start + i, number + i, "z", own=True) for i in range(factor.dim)]
    if factor.letter == "s":
        root = np.sqrt(k)
        angle = lambda z: np.arctan2(root * z[:, own.start + 1], z[:, own.start])  # noqa: E731
        return [Coordinate(f"angle θ{number} (rad)", angle, 2.0 * np.pi)]
    return [
        Coordinate(
            f"tangent coordinate {number + i} (prior widths)",
            lambda z, i=i: projections.tangent(z[:, own], k)[:, i],  # type: ignore[misc]
            own=factor.dim == 1,
        )
        for i in range(factor.dim)
    ]


def _column(column: int, number: int, name: str, *, own: bool) -> Coordinate:
    label = f"z{number} (prior widths)" if own else f"{name} {number}"
    return Coordinate(label, lambda z: z[:, column], own=own)


def _curved(factor: FactorSpec, own: slice) -> list[Chart]:
    """A sphere or hyperbolic plane of two dimensions, or the shadows of a larger sphere."""
    k, name = factor.curvature or 1.0, _space(factor)
    if factor.letter == "s" and factor.dim == 2:
        return [Globe(name, own, k)]
    if factor.letter == "s":
        scale = np.array([1.0] + [np.sqrt(k)] * factor.dim)
        starts = [min(i, factor.dim - 1) for i in range(0, factor.dim + 1, 2)]
        text = name + ": unit vectors,\ncoordinate {} to the right, {} up"
        unit = lambda z: z[:, own] * scale  # noqa: E731
        return [_shadow(text.format(i, i + 1), unit, factor.dim, (i, i + 1)) for i in starts]
    label = f"{name}: Poincaré disc\n(rings: distance in prior widths)"
    volume = lambda radius: (1.0 + radius**2) / (1.0 - radius**2) / -k  # noqa: E731
    return [Disc(label, lambda z: projections.on_disc(z[:, own], k), volume, k)]


def _shadow(label: str, unit: Callable[[Float64], Float64], dim: int, pair: tuple[int, int]) -> Disc:
    """Two coordinates of the unit vectors of S^dim.

    The share of the sphere over a disc of radius r is 1 - (1 - r^2)^((dim - 1) / 2).
    """

    def place(latent: Float64) -> tuple[Float64, Float64]:
        """Radius and angle."""
        x, y = unit(latent)[:, list(pair)].T
        return np.minimum(np.hypot(x, y), 1.0), np.arctan2(y, x)

    return Disc(label, place, lambda radius: -((1.0 - radius**2) ** (0.5 * (dim - 1))))


def _paired(single: list[Coordinate]) -> list[Chart]:
    return [Flat(tuple(single[i : i + 2])) for i in range(0, len(single), 2)]


def _space(factor: FactorSpec) -> str:
    """S², or H² with its curvature."""
    letter = factor.letter.upper() + str(factor.dim).translate(_SUPERSCRIPTS)
    k = factor.curvature or 0.0
    return letter if k == 1.0 else f"{letter}, K = {k:.2g}".replace("-", "−")
