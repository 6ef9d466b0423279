"""The free-energy surface of a latent space."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PolyCollection
from numpy.typing import NDArray

from trajvae.errors import OptionError
from trajvae.plots import style
from trajvae.plots.cells import Grid, Rings
from trajvae.plots.charts import Chart
from trajvae.plots.spaces import Latents, chart_of

Float64 = NDArray[np.float64]

GAS_CONSTANT = 8.31446261815324e-3  # kJ/mol/K, exact


def free_energy(
    points: Latents,
    *,
    chart: int = 0,
    temperature: float = 300.0,
    bins: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """F = -kT ln p, p being the density of latent points with respect to the volume of the latent space.

    Uniform points have no free energy anywhere, on a sphere or a hyperbolic plane of any curvature too. Of more
    dimensions than are shown, p is that of those shown. Of an RHVAE the volume is that of the flat space, whatever
    metric it has learned. Where only tangent coordinates can be shown (hyperbolic spaces of three dimensions and more,
    spaces without a name) the measure is that of the tangent space, and the label says so.

    Parameters
    ----------
    points : Embedding, Conformations, or the results of `TrajVAE` and `Embed`
    chart : int
        See `latent`.
    temperature : float
        K, of the simulation.
    bins : int, optional
        Cells along an axis; by default as many as leave about ten points in each.
    ax : Axes, optional

    Returns
    -------
    Axes
        In kJ/mol from the minimum; cells without points stay empty.

    Raises
    ------
    OptionError
        No such part, or a temperature or a number of bins that is none.
    """
    part, inner = chart_of(points, chart)
    cells = part.cells(inner, check_bins(bins, len(inner), inner.shape[1]))
    energies = of_counts(cells.count(inner), cells.volumes, temperature)
    ax = style.own_axes(ax)
    text = "free energy (kJ/mol)" if part.own else "free energy (kJ/mol; flat measure)"
    part.frame(ax, inner)
    if isinstance(cells, Grid) and len(cells.edges) == 1:
        ax.stairs(energies, cells.edges[0], color=style.BLUE, baseline=None)
        ax.set(ylabel=text, ylim=(-0.02 * np.nanmax(energies), None))
        return ax
    surface: Collection
    if isinstance(cells, Grid):
        surface = ax.pcolormesh(*cells.edges, energies.T, cmap=style.IN_ENERGY, rasterized=True)
    else:
        surface = ax.add_collection(_patches(part, cells, energies))
    style.bar(ax, surface, text, part.bar)
    return ax


def of_counts(counts: Float64, volumes: Float64, temperature: float = 300.0) -> Float64:
    """Free energies of cells in kJ/mol, from the minimum; NaN where nothing was counted.

    Parameters
    ----------
    counts, volumes : ndarray of one shape
    temperature : float
        K.
    """
    if not 0.0 < temperature < np.inf:
        raise OptionError(f"the temperature must be above 0 K, got {temperature}")
    seen = counts > 0
    density = np.divide(counts, volumes, out=np.ones_like(volumes), where=seen)
    energies = np.where(seen, -GAS_CONSTANT * temperature * np.log(density), np.nan)
    return np.asarray(energies - np.nanmin(energies)) if seen.any() else energies


def check_bins(bins: int | None, n: int, dim: int) -> int:
    """Cells along an axis: those asked for, or a number that suits n points.

    Raises
    ------
    OptionError
        Fewer than 2, or more than 500.
    """
    if bins is None:
        return int(np.clip(np.sqrt(n / 6.0), 10, 60) if dim > 1 else np.clip(n / 60.0, 12, 90))
    if not 2 <= bins <= 500:
        raise OptionError(f"bins must be a number from 2 to 500, got {bins}")
    return bins


def _patches(part: Chart, cells: Rings, energies: Float64) -> PolyCollection:
    """The cells that hold points, each in its colour."""
    seen = np.isfinite(energies)
    outlines = part.shown(np.stack([o[seen] for o in cells.outlines()], axis=-1))
    patches = PolyCollection(list(outlines), cmap=style.IN_ENERGY, edgecolors="face", linewidths=0.35, zorder=1)
    patches.set_array(energies[seen])
    return patches
