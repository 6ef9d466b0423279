"""Free energies with their errors, and their basins."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from trajvae.arguments.lookup import check_choice
from trajvae.plots import projections, style
from trajvae.plots.charts import Disc, Globe
from trajvae.results import FreeEnergy, FreeEnergyMap
from trajvae.typing import Float64

_STEPS = 6  # of which a side of a cell's outline is made


def energy_map(found: FreeEnergy, name: str = "", *, ax: Axes | None = None) -> Axes:
    """Plot a free energy, with the numbers of its basins; over a single coordinate with a band of one standard error.

    Parameters
    ----------
    found : FreeEnergy
    name : str
        Of the map, such as `z0-z1`; by default that of the basins.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        There is no such map.
    """
    part, ax = _map_of(found, name), style.own_axes(ax)
    label = f"free energy at {found.temperature:g} K (kJ/mol)"
    if len(part.edges) == 1:
        _draw_line(ax, part, label)
    else:
        _draw_surface(ax, part, part.value, label, style.IN_ENERGY)
    if name in ("", found.basins_of):
        _number_basins(ax, found, part)
    return ax


def energy_error(found: FreeEnergy, name: str = "", *, ax: Axes | None = None) -> Axes:
    """Plot the standard errors of a free energy of two coordinates.

    Parameters
    ----------
    found : FreeEnergy
    name : str
        See `energy_map`.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        There is no such map.
    """
    part, ax = _map_of(found, name), style.own_axes(ax)
    if len(part.edges) == 1:
        ax.stairs(part.error, part.edges[0], color=style.BLUE, baseline=None)
        ax.set(xlabel=_label(part.labels[0]), ylabel="standard error (kJ/mol)")
        return ax
    _draw_surface(ax, part, part.error, "standard error (kJ/mol)", style.IN_TIME)
    return ax


def basins(found: FreeEnergy, *, ax: Axes | None = None) -> Axes:
    """Plot the free energies of basins with their standard errors, and their populations.

    Parameters
    ----------
    found : FreeEnergy
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax, b = style.own_axes(ax), found.basins
    number = np.arange(len(b.minimum))
    ax.errorbar(number, b.free_energy, yerr=b.error, fmt="o", color=style.BLUE, capsize=3, ms=4)
    for k, (energy, share, error) in enumerate(zip(b.free_energy, b.population, b.population_error, strict=True)):
        text = f"{100.0 * share:.1f} ± {100.0 * error:.1f} %"
        ax.annotate(text, (k, energy), xytext=(6, 3), textcoords="offset points", fontsize=6)
    ax.set(xlabel="basin", ylabel="free energy (kJ/mol)", xlim=(-0.5, len(number) - 0.2))
    ax.xaxis.set_ticks(number)
    ax.margins(y=0.2)
    return ax


def _map_of(found: FreeEnergy, name: str) -> FreeEnergyMap:
    wanted = name or found.basins_of
    check_choice(wanted, list(found.maps), "map")
    return found.maps[wanted]


def _label(text: str) -> str:
    """An axis' label: latent coordinates are in units of the prior's width."""
    return f"{text} (prior widths)" if text[0] in "zt" and "(" not in text else text


def _draw_line(ax: Axes, part: FreeEnergyMap, label: str) -> None:
    edges = part.edges[0]
    low, high = part.value - part.error, part.value + part.error
    ax.stairs(high, edges, baseline=low, fill=True, color=style.SKY, alpha=0.5, lw=0)
    ax.stairs(part.value, edges, color=style.BLUE, baseline=None)
    ax.set(xlabel=_label(part.labels[0]), ylabel=label)
    if "rad" in part.labels[0]:
        style.angle_ticks(ax, "x")


def _draw_surface(ax: Axes, part: FreeEnergyMap, values: Float64, label: str, cmap: str) -> None:
    if part.kind == "sphere":
        globe = Globe("S²", slice(0, 3), part.curvature)
        globe.frame(ax, np.empty((0, 2)))
        cells = ax.add_collection(_cells_of_sphere(part, values, cmap))
        style.bar(ax, cells, label, "bottom")
        return
    mesh = ax.pcolormesh(*part.edges, values.T, cmap=cmap, rasterized=True)
    if part.kind == "disc":
        reach = np.array([[min(max(float(np.abs(e).max()) for e in part.edges), 1.0), 0.0]])
        text = "Poincaré disc\n(rings: distance in prior widths)"
        Disc(text, lambda z: (z[:, 0], z[:, 1]), np.asarray, part.curvature).frame(ax, reach)
    else:
        ax.set(xlabel=_label(part.labels[0]), ylabel=_label(part.labels[1]))
        for axis, name in zip("xy", part.labels, strict=True):
            if "rad" in name:
                style.angle_ticks(ax, axis)
    style.bar(ax, mesh, label)


def _cells_of_sphere(part: FreeEnergyMap, values: Float64, cmap: str) -> PolyCollection:
    """The cells that have a number, as outlines on the equal-area map."""
    t = np.linspace(0.0, 1.0, _STEPS)
    across = np.concatenate([t, 0.0 * t + 1.0, t[::-1], 0.0 * t])
    up = np.concatenate([0.0 * t, t, 0.0 * t + 1.0, t[::-1]])
    seen = np.isfinite(values)
    i, j = np.nonzero(seen)
    longitude, latitude = (e[k][:, None] + np.diff(e)[k][:, None] * s for e, k, s in
                           zip(part.edges, (i, j), (across, up), strict=True))  # fmt: skip
    outlines = projections.hammer(latitude, longitude)
    patches = PolyCollection(list(outlines), cmap=cmap, edgecolors="face", linewidths=0.35, zorder=1)
    patches.set_array(values[seen])
    return patches


def _number_basins(ax: Axes, found: FreeEnergy, part: FreeEnergyMap) -> None:
    for k, (place, height) in enumerate(zip(found.basins.center, found.basins.minimum, strict=True)):
        if len(place) == 1:
            style.write_over(ax, float(place[0]), float(height), str(k))
        elif part.kind == "sphere":
            x, y = projections.hammer(place[1], place[0])
            style.write_over(ax, float(x), float(y), str(k))
        else:
            style.write_over(ax, float(place[0]), float(place[1]), str(k))
