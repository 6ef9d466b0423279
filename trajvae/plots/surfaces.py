"""Numbers of the cells of a map, drawn in colours or as steps."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PolyCollection

from trajvae.plots import style
from trajvae.plots.cells import Grid, Rings
from trajvae.plots.charts import Chart
from trajvae.typing import Float64


def is_line(cells: Grid | Rings) -> bool:
    """Return whether cells are of one coordinate."""
    return isinstance(cells, Grid) and len(cells.edges) == 1


def draw_cells(
    ax: Axes, part: Chart, cells: Grid | Rings, values: Float64, label: str, cmap: str = style.IN_ENERGY
) -> None:
    """Draw a number of each cell: steps over one coordinate, else colours with a bar beside them.

    Parameters
    ----------
    values : ndarray
        One a cell, in the shape of `cells.count`; NaN leaves it empty.
    label : str
        What the numbers are; without one there is no bar.
    """
    if isinstance(cells, Grid) and len(cells.edges) == 1:
        ax.stairs(values, cells.edges[0], color=style.BLUE, baseline=None)
        ax.set_ylabel(label)
        return
    surface: Collection
    if isinstance(cells, Grid):
        surface = ax.pcolormesh(*cells.edges, values.T, cmap=cmap, rasterized=True)
    else:
        surface = ax.add_collection(_patches(part, cells, values, cmap))
    if label:
        style.bar(ax, surface, label, part.bar)


def _patches(part: Chart, cells: Rings, values: Float64, cmap: str) -> PolyCollection:
    """The cells that have a number, each in its colour."""
    seen = np.isfinite(values)
    outlines = part.shown(np.stack([o[seen] for o in cells.outlines()], axis=-1))
    patches = PolyCollection(list(outlines), cmap=cmap, edgecolors="face", linewidths=0.35, zorder=1)
    patches.set_array(values[seen])
    return patches
