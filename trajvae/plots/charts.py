"""Kinds of charts: how a part of a latent space is shown in the plane, and what its volume element is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes

from trajvae.plots import projections, style
from trajvae.plots.cells import Grid, Rings
from trajvae.typing import Float64

_ZOOM = 0.5  # of the disc's radius: points that lie within less are shown larger


@dataclass(frozen=True)
class Coordinate:
    """Describe one number of a latent point.

    Attributes
    ----------
    label : str
    values : callable
        Latent points (T, ambient) to numbers (T,).
    period : float
        2 pi of angles, else 0.
    own : bool
        Whether equal steps have equal volume in the space itself, not in a tangent space of it.
    """

    label: str
    values: Callable[[Float64], Float64]
    period: float = 0.0
    own: bool = True


@dataclass(frozen=True)
class Flat:
    """Show one coordinate or two at right angles: lines, circles, planes, cylinders and tori."""

    coordinates: tuple[Coordinate, ...]
    bar = "right"

    @property
    def labels(self) -> list[str]:
        """Labels of the axes."""
        return [c.label for c in self.coordinates]

    @property
    def own(self) -> bool:
        """Whether equal steps have equal volume in the space itself, not in a tangent space of it."""
        return all(c.own for c in self.coordinates)

    @property
    def periods(self) -> tuple[float, ...]:
        """Periods of the coordinates; 0 for those without one."""
        return tuple(c.period for c in self.coordinates)

    def inner(self, latent: Float64) -> Float64:
        """Return latent points in the coordinates that cells are counted in, (T, 1 or 2)."""
        return np.stack([c.values(latent) for c in self.coordinates], axis=-1)

    def shown(self, inner: Float64) -> Float64:
        """Return the places in the figure of such coordinates."""
        return inner

    def cells(self, inner: Float64, bins: int) -> Grid:
        """Return a grid of cells that hold all points."""
        return Grid.over(inner, bins, self.periods)

    def frame(self, ax: Axes, inner: Float64) -> None:
        """Draw labels, and the whole period of angles."""
        ax.set_xlabel(self.labels[0])
        if len(self.coordinates) > 1:
            ax.set_ylabel(self.labels[1])
        for axis, coordinate in zip("xy", self.coordinates, strict=False):
            if coordinate.period:
                style.angle_ticks(ax, axis)
        if all(self.periods) and len(self.periods) > 1:
            ax.set_aspect("equal")


@dataclass(frozen=True)
class Globe:
    """Show a sphere of two dimensions in an equal-area map."""

    label: str
    columns: slice
    curvature: float
    own = True
    bar = "bottom"

    @property
    def labels(self) -> list[str]:
        """Labels of the axes."""
        return [f"{self.label}: equal-area map (°)"]

    def inner(self, latent: Float64) -> Float64:
        """Return the latitudes and longitudes of latent points in radians, (T, 2)."""
        return np.stack(projections.on_sphere(latent[:, self.columns], self.curvature), axis=-1)

    def shown(self, inner: Float64) -> Float64:
        """Return the places in the figure of latitudes and longitudes."""
        return projections.hammer(inner[..., 0], inner[..., 1])

    def cells(self, inner: Float64, bins: int) -> Rings:
        """Return rings of cells on the whole sphere."""
        return Rings.of_sphere(max(4, round(0.6 * bins)), self.curvature)

    def frame(self, ax: Axes, inner: Float64) -> None:
        """Draw outline and graticule."""
        style.bare(ax)
        t = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 91)
        for degrees in range(-180, 181, 60):
            colour = style.LINE if abs(degrees) == 180 else style.FAINT
            ax.plot(*self.shown(np.stack([t, 0 * t + np.radians(degrees)], -1)).T, color=colour, lw=0.5, zorder=0)
        for degrees in (-60, -30, 0, 30, 60):
            parallel = np.stack([0 * t + np.radians(degrees), 2 * t], -1)
            ax.plot(*self.shown(parallel).T, color=style.FAINT, lw=0.5, zorder=0)
            self._write(ax, (degrees, -180), degrees, "right")
        for degrees in (-120, 0, 120):
            self._write(ax, (-90, 0), degrees, "center", (degrees / 120 * 1.3, -0.09))
        ax.set_xlabel(self.labels[0], labelpad=7.0)

    def _write(
        self, ax: Axes, place: tuple[float, float], value: int, side: str, shift: tuple[float, float] = (-0.1, 0.0)
    ) -> None:
        x, y = self.shown(np.radians(np.array(place, dtype=np.float64))) + shift
        text = f"{value}°".replace("-", "−")
        ax.text(x, y, text, ha=side, va="center" if side == "right" else "top", fontsize=6, color=style.LINE)


@dataclass(frozen=True)
class Disc:
    """Show a disc: Poincare's model of the hyperbolic plane, or two coordinates of a larger sphere's unit vectors."""

    label: str
    place: Callable[[Float64], tuple[Float64, Float64]]
    within: Callable[[Float64], Float64]
    curvature: float = 0.0
    own = True
    bar = "right"

    @property
    def labels(self) -> list[str]:
        """Labels of the axes."""
        return [self.label]

    def inner(self, latent: Float64) -> Float64:
        """Return the radii and angles of latent points, (T, 2)."""
        return np.stack(self.place(latent), axis=-1)

    def shown(self, inner: Float64) -> Float64:
        """Return the places in the figure of radii and angles."""
        return projections.polar(inner[..., 0], inner[..., 1])

    def cells(self, inner: Float64, bins: int) -> Rings:
        """Return rings of cells as far out as there are points; for a sphere, over all of it."""
        reach = float(inner[:, 0].max()) * (1.0 + 1e-9) if self.curvature else 1.0
        return Rings.of_disc(max(reach, 1e-9), max(3, round(0.5 * bins)), self.within)

    def frame(self, ax: Axes, inner: Float64) -> None:
        """Draw the outline, and rings at equal distances from the origin."""
        style.bare(ax)
        t = np.linspace(-np.pi, np.pi, 181)
        reach = float(inner[:, 0].max())
        limit = 1.04 if reach > _ZOOM or not self.curvature else 1.15 * reach + 1e-9
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xlabel=self.labels[0])
        ax.plot(np.cos(t), np.sin(t), color=style.LINE, lw=0.8, zorder=0)
        for distance in (1, 2, 3, 4, 6, 8) if self.curvature else ():
            radius = projections.disc_radius(distance, self.curvature)
            if radius < min(0.97, limit):
                ax.plot(radius * np.cos(t), radius * np.sin(t), color=style.LINE, lw=0.4, ls=(0, (4, 4)), zorder=2.5)
                style.write_over(ax, 0.0, -radius, str(distance))


Chart: TypeAlias = Flat | Globe | Disc
