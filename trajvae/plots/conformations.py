"""Plots of the conformations that `generate`, `optimize` and `path` make."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import OptionError
from trajvae.figures import Figures, OptimizationFigures, PathFigures
from trajvae.outputs.searching.circular_statistics import wrapped
from trajvae.plots import style
from trajvae.results import Conformations
from trajvae.store import Quantity
from trajvae.typing import Float64

_METRICS = {"density": "Å of all coordinates,\nlonger off the simulation", "pullback": "Å of all coordinates"}
_FLAT = {"flat": "prior widths", "posterior": "posterior widths"}


def distribution(conformations: Conformations[Figures], name: str = "rg", *, ax: Axes | None = None) -> Axes:
    """Plot histograms of an observable over all conformations and over the valid ones.

    Parameters
    ----------
    conformations : Conformations
    name : str
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        No such observable.
    """
    quantity = _observable(conformations, name)
    values = np.asarray(quantity.value, dtype=np.float64)
    valid = np.asarray(conformations.valid, dtype=bool) & np.isfinite(values)
    values = np.where(np.isfinite(values), values, np.nan)
    ax = style.own_axes(ax)
    known = values[np.isfinite(values)]
    edges = np.histogram_bin_edges(known, int(np.clip(np.sqrt(len(known)), 5, 40))).tolist()
    ax.hist(known, edges, color=style.FILL, label=f"all ({len(known)})")
    ax.hist(values[valid], edges, histtype="step", color=style.BLUE, lw=1.3, label=f"valid ({int(valid.sum())})")
    ax.set(xlabel=style.with_unit(style.readable(name), quantity.unit), ylabel="conformations")
    style.legend_above(ax)
    return ax


def validity(conformations: Conformations[Figures], *, ax: Axes | None = None) -> Axes:
    """Plot how many conformations pass the validity test, and which of its parts the others fail first.

    Parameters
    ----------
    conformations : Conformations
        Of `Model.generate`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    reason = _observable(conformations, "invalid_reason")
    numbers = np.asarray(reason.value, dtype=np.int64)
    names = str(reason.attributes.get("meaning", "")).split(", ")
    names = names if len(names) > numbers.max(initial=0) else [str(i) for i in range(numbers.max(initial=0) + 1)]
    share = 100.0 * np.bincount(numbers, minlength=len(names)) / max(len(numbers), 1)
    ax = style.own_axes(ax)
    colours = [style.BLUE] + [style.FILL] * (len(names) - 1)
    bars = ax.barh(range(len(names)), share, color=colours, height=0.65)
    ax.bar_label(bars, [f"{s:.1f} %" for s in share], padding=2, fontsize=7)
    ax.set_yticks(
        range(len(names)), labels=[style.plain(names[0]), *(style.plain(f"{name} fails") for name in names[1:])]
    )
    ax.invert_yaxis()
    ax.set(xlabel="conformations (%)", xlim=(0.0, 119.0))
    return ax


def optimisation(conformations: Conformations[Figures], *, ax: Axes | None = None) -> Axes:
    """Plot the expected objective along the descent, beside the simulation's best frame and its middle 98 %.

    Parameters
    ----------
    conformations : Conformations
        Of `Model.optimize`.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        The conformations are of something else.
    """
    f = conformations.figures
    descent = conformations.descent
    if not isinstance(f, OptimizationFigures) or descent is None:
        raise OptionError("these conformations are of no optimisation")
    objective = conformations.observables["objective"]
    goal = None if f.goal in ("min", "max") else float(f.goal)
    values = _near(np.asarray(descent.expected.value, dtype=np.float64), goal, objective.period)
    low, high, best, found = _near(np.array([*f.quantiles, f.best_observed, f.optimum]), goal, objective.period)
    ax = style.own_axes(ax)
    ax.axhspan(
        low, high if high >= low else high + objective.period, color=style.FAINT, lw=0, label="1 to 99 % of frames"
    )
    ax.axhline(best, color=style.LINE, ls="--", lw=0.9, label="best frame")
    if goal is not None:
        ax.axhline(goal, color=style.GREEN, ls=":", label="goal")
    ax.plot(np.arange(len(values)), values, color=style.BLUE, label="expected")
    label, red = "found" if f.valid else "found, not valid", style.VERMILION
    ax.plot(len(values) - 1, found, "*", label=label, color=red, ms=7, mew=0, clip_on=False, zorder=5)
    name = style.readable(f.objective)
    ax.set(xlabel="step", ylabel=style.with_unit(name, objective.unit), xlim=(0, max(1, len(values) - 1)))
    style.legend_above(ax)
    return ax


def _near(values: Float64, goal: float | None, period: float) -> Float64:
    """Return values moved by whole periods to within half a period of the goal, where both are given."""
    return values if goal is None else goal + wrapped(values - goal, period)


def path_speed(conformations: Conformations[Figures], *, ax: Axes | None = None) -> Axes:
    """Plot the speed along a path in the metric that was minimised: constant along a geodesic.

    Parameters
    ----------
    conformations : Conformations
        Of `Model.path`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    speed = np.asarray(_observable(conformations, "speed").value, dtype=np.float64)
    f, unit = conformations.figures, ""
    ax = style.own_axes(ax)
    ax.plot(_places_along(speed), speed, color=style.BLUE, label="speed")
    if isinstance(f, PathFigures):
        ax.axhline(f.length, color=style.LINE, ls="--", lw=0.9, label="length")
        ax.axhline(f.straight_length, color=style.ORANGE, ls=":", label="straight line")
        unit = _METRICS.get(f.metric) or _FLAT.get(f.metric, "")
    ax.set(xlabel="position along the path (0 to 1)", ylabel=style.with_unit("speed", unit), xlim=(0, 1))
    ax.set_ylim(0.0, 1.15 * max(ax.get_ylim()[1], 1e-9))
    style.legend_above(ax)
    return ax


def path_distance(conformations: Conformations[Figures], *, ax: Axes | None = None) -> Axes:
    """Plot the RMSD of each conformation of a path to the nearest simulated frame, and mark those not valid.

    Parameters
    ----------
    conformations : Conformations
        Of `Model.path`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    return observable_along_path(conformations, "nearest_rmsd", ax=ax, bottom=0.0)


def observable_along_path(
    conformations: Conformations[Figures], name: str, *, ax: Axes | None = None, bottom: float | None = None
) -> Axes:
    """Plot an observable along a path.

    Parameters
    ----------
    conformations : Conformations
        Of `Model.path`.
    name : str
    ax : Axes, optional
    bottom : float, optional
        Of the axis.

    Returns
    -------
    Axes
    """
    quantity = _observable(conformations, name)
    values, valid = np.asarray(quantity.value, dtype=np.float64), np.asarray(conformations.valid, dtype=bool)
    place, ax = _places_along(values), style.own_axes(ax)
    ax.plot(place, values, color=style.BLUE, marker="o", ms=2.5)
    if not valid.all():
        ax.plot(place[~valid], values[~valid], "x", color=style.VERMILION, ms=5, label="not valid")
        style.legend_above(ax)
    ax.set(
        xlabel="position along the path (0 to 1)",
        ylabel=style.with_unit(style.readable(name), quantity.unit),
        xlim=(0, 1),
    )
    if bottom is not None:
        ax.set_ylim(bottom=bottom)
    return ax


def _places_along(values: Float64) -> Float64:
    return np.linspace(0.0, 1.0, len(values))


def _observable(conformations: Conformations[Figures], name: str) -> Quantity:
    if name not in conformations.observables:
        raise OptionError(f"no observable '{name}'; there are {', '.join(conformations.observables) or 'none'}")
    return conformations.observables[name]
