"""The free-energy surface of a latent space, where the frames tell one; their density where they do not."""

from __future__ import annotations

import warnings

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import TrajvaeWarning
from trajvae.frame_weights.table import GAS_CONSTANT
from trajvae.free_energies.options import check_bins, check_temperature
from trajvae.plots import style
from trajvae.plots.cells import Grid, Rings
from trajvae.plots.charts import Chart
from trajvae.plots.convergence import LEAST_A_CELL, LEAST_SHARED, Convergence, convergence
from trajvae.plots.spaces import chart_of
from trajvae.plots.surfaces import draw_cells, is_line
from trajvae.results import LatentPoints
from trajvae.typing import Float64


def free_energy(
    points: LatentPoints,
    *,
    chart: int = 0,
    temperature: float | None = None,
    bins: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot F = -kT ln p, p being the density of latent points with respect to the volume of the latent space.

    Uniform points have no free energy anywhere, on a sphere or a hyperbolic plane of any curvature too. Of more
    dimensions than are shown, p is that of those shown. Of an RHVAE the volume is that of the flat space, whatever
    metric it has learned. Where only tangent coordinates can be shown (hyperbolic spaces of three dimensions and more,
    spaces without a name) the measure is that of the tangent space, and the label says so.

    Where frames are too few for the cells, or the trajectory crosses the map from end to end fewer than four times (as
    a driven transition does), the points or their density are drawn instead, and the figure and a `TrajvaeWarning` say
    why. Where the halves of the trajectory differ by more than 1 kT, the figure says "not converged".

    Parameters
    ----------
    points : Embedding, Conformations, or the results of `TrajVAE` and `Embed`
    chart : int
        See `latent`.
    temperature : float, optional
        K, of the simulation. Without it energies are in kT.
    bins : int, optional
        Cells along an axis; by default as many as leave about ten points in each.
    ax : Axes, optional

    Returns
    -------
    Axes
        In kT, or in kJ/mol, from the minimum; cells without points stay empty.

    Raises
    ------
    OptionError
        No such part, or a temperature or a number of bins that is none.
    """
    if temperature is not None:
        check_temperature(temperature)
    part, inner = chart_of(points, chart)
    cells = part.cells(inner, check_bins(bins, len(inner), inner.shape[1]))
    found = convergence(points, part, inner, cells)
    ax = style.own_axes(ax)
    part.frame(ax, inner)
    if found.reason:
        return _instead(part, inner, cells, found, ax)
    energies = of_counts(cells.count(inner), cells.volumes, temperature)
    draw_cells(ax, part, cells, energies, _label(part, temperature))
    if is_line(cells):
        ax.set_ylim(-0.02 * np.nanmax(energies), None)
    if found.doubt:
        warnings.warn(f"the free energy is not converged: {found.doubt}", TrajvaeWarning, stacklevel=2)
        style.note(ax, f"not converged: {found.doubt}")
    return ax


def _label(part: Chart, temperature: float | None) -> str:
    unit = "kT" if temperature is None else "kJ/mol"
    at = "" if temperature is None else f" at {temperature:g} K"
    return f"free energy{at} ({unit})" if part.own else f"free energy{at} ({unit}; flat measure)"


def _instead(part: Chart, inner: Float64, cells: Grid | Rings, found: Convergence, ax: Axes) -> Axes:
    """Draw the density of points, or the points where they are too few for that."""
    few = found.frames_a_cell < LEAST_A_CELL
    at_rest = not found.goes_one_way and found.shared >= LEAST_SHARED
    ways = "fewer --bins or more frames" if at_rest else "a driven or unfinished transition has no free energy"
    what = "points are" if few and not is_line(cells) else "the density is"
    text = f"no free energy of this map: {found.reason}; {what} drawn instead: {ways}"
    warnings.warn(text, TrajvaeWarning, stacklevel=3)
    if few and not is_line(cells):
        style.dots(ax, part.shown(inner), color=style.BLUE)
    else:
        density = np.divide(cells.count(inner), cells.volumes)
        share = np.where(density > 0.0, density / density.max(), np.nan)
        draw_cells(ax, part, cells, share, "density (of the highest)", style.DENSITY)
    style.note(ax, f"no free energy: {found.reason}")
    return ax


def of_counts(counts: Float64, volumes: Float64, temperature: float | None = None) -> Float64:
    """Return free energies of cells from the minimum, in kT, or in kJ/mol at a temperature; NaN without counts.

    Parameters
    ----------
    counts, volumes : ndarray of one shape
    temperature : float, optional
        K.
    """
    if temperature is not None:
        check_temperature(temperature)
    seen = counts > 0
    density = np.divide(counts, volumes, out=np.ones_like(volumes), where=seen)
    energies = np.where(seen, -np.log(density) * (1.0 if temperature is None else GAS_CONSTANT * temperature), np.nan)
    return np.asarray(energies - np.nanmin(energies)) if seen.any() else energies
