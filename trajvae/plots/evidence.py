"""Latent spaces beside each other: held-out evidence."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from trajvae.plots import style
from trajvae.results import Comparison


def evidence(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Plot how far each latent space is behind the best in the importance-weighted bound, with its standard error.

    Parameters
    ----------
    comparison : Comparison
        Of `trajvae.compare`.
    ax : Axes, optional

    Returns
    -------
    Axes
        Errors are those of differences between the same frames: two, for about 95 % of cases.
    """
    ax = style.own_axes(ax)
    names = list(comparison.entries)
    for row, name in enumerate(names):
        f = comparison.entries[name].figures
        error = 2.0 * f.behind_se if row and np.isfinite(f.behind_se) else None
        ax.errorbar(-f.behind, row, xerr=error, fmt=style.MARKERS[row % 7], color=_colour(row), capsize=2.5, lw=1.0)
    ax.axvline(0.0, color=style.FAINT, lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), labels=[style.plain(name) for name in names])
    ax.set(xlabel="IWAE bound less the best's (nats a frame, ± 2 s.e.)", ylim=(len(names) - 0.5, -0.5))
    return ax


def bounds(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Plot importance-weighted bounds against the number of draws: from the ELBO towards log p(x).

    Parameters
    ----------
    comparison : Comparison
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = style.own_axes(ax)
    for row, (name, entry) in enumerate(comparison.entries.items()):
        marker, label = style.MARKERS[row % 7], style.plain(name)
        ax.plot(list(comparison.sizes), entry.figures.bounds, marker=marker, color=_colour(row), label=label)
    ax.set_xscale("log")
    ax.set(xlabel="draws of the posterior a frame", ylabel="bound of log p(x) (nats a frame)")
    style.legend_above(ax)
    return ax


def _colour(row: int) -> str:
    return style.SERIES[row % len(style.SERIES)]
