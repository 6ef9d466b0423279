"""Latent points: the trajectory in time, and the line of a path or of an optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajvae.plots import style
from trajvae.plots.charts import Chart, Flat
from trajvae.plots.spaces import chart_of, origin_of
from trajvae.results import Embedding, LatentPoints
from trajvae.typing import Float64, Int64

_LINKED = 500  # points: neighbours of no more than these are linked by a line
_SHORT = 12  # letters of names that stand beside each other
_NAMED = 12  # kinds of points that a legend names
_PART = 0.5  # of a turn: angles that cover more are shown in cyclic colours of the whole turn
_TEAR = 0.25  # of a map's extent: a step that is longer goes round behind it, and is not drawn
_PS = ((1e6, "µs"), (1e3, "ns"), (1.0, "ps"))


class _Colour(NamedTuple):
    """What points are coloured by, its label, its colour map and its period."""

    values: Float64
    label: str
    cmap: str
    categories: Sequence[str] = ()
    period: float = 0.0


def latent(
    points: LatentPoints,
    *,
    chart: int = 0,
    colour: Float64 | None = None,
    label: str = "",
    cmap: str = "",
    period: float = 0.0,
    categories: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Plot latent points, coloured by time.

    Parameters
    ----------
    points : Embedding, Conformations, or the results of `TrajVAE` and `Embed`
    chart : int
        Which part of the latent space: a circle or a single coordinate is shown against time, two of them at right
        angles, a sphere in an equal-area map, a hyperbolic plane as Poincare's disc; see `charts_of`.
    colour : ndarray, shape (T,), optional
        To colour by, with `label` for its name and unit; by default the time, or the row's number.
    cmap : str
        A colour map of matplotlib's; by default viridis, or a cyclic one for angles.
    period : float
        Of an angle in the unit of `colour`, such as 360 degrees, about 0.
    categories : sequence of str, optional
        Names of kinds of points, which `colour` numbers from 0: each has a colour, and a legend names them.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        The latent space has no such part.
    """
    part, inner = chart_of(points, chart)
    values, text = clock(points) if colour is None else (colour, label)
    scale = _Colour(np.asarray(values, dtype=np.float64), text, cmap, categories, period)
    ax = style.own_axes(ax)
    shown = part.shown(inner)
    if shown.shape[1] == 1:
        return _against_time(part, inner[:, 0], points, scale, ax)
    part.frame(ax, inner)
    _link(ax, shown, points)
    _scatter(ax, shown, scale, part.bar)
    return ax


def latent_path(points: LatentPoints, *, chart: int = 0, ax: Axes | None = None) -> Axes:
    """Plot latent points as a line from first to last, such as a path's; a free-energy surface may lie under it.

    Parameters
    ----------
    points : Conformations
        Of `Model.path`, in order.
    chart : int
        See `latent`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    part, inner = chart_of(points, chart)
    over = ax is not None and bool(ax.collections or ax.lines)
    ax = style.own_axes(ax)
    shown = part.shown(inner)
    if shown.shape[1] == 1:
        shown = np.stack([inner[:, 0], np.linspace(0.0, 1.0, len(inner))], axis=-1)
        if not over:
            ax.set_ylabel("position along the way")
    if not over:
        part.frame(ax, inner)
    line = _torn(shown)
    ax.plot(*line.T, color="white", lw=2.6, zorder=4)
    ax.plot(*line.T, color=style.VERMILION, lw=1.3, zorder=5)
    for place, marker, text in ((0, "o", "start"), (-1, "s", "end")):
        ax.plot(
            *shown[place],
            marker=marker,
            label=text,
            mec="black",
            mfc=style.VERMILION,
            mew=0.7,
            ms=5,
            zorder=6,
            ls="none",
            clip_on=False,
        )
    style.legend_above(ax)
    return ax


def frame_jumps(points: Embedding, *, ax: Axes | None = None) -> Axes:
    """Plot the RMSD between neighbouring frames after alignment, against time: seams of the features stand out.

    Parameters
    ----------
    points : Embedding, or the results of `TrajVAE` and `Embed`
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = style.own_axes(ax)
    values, text = clock(points)
    jump = np.asarray(points.frame_jump, dtype=np.float64)
    ax.plot(values, jump, ".", color=style.BLUE, ms=2.0 if len(jump) > _LINKED else 3.5, mew=0, rasterized=True)
    known = jump[np.isfinite(jump)]
    if len(known):
        ax.axhline(float(np.median(known)), color="black", lw=0.9, label=f"median {np.median(known):.2f} Å")
        ax.set_ylim(0.0, 1.05 * float(known.max()) + 1e-9)
        style.legend_above(ax)
    ax.set(xlabel=text, ylabel="RMSD to the frame before (Å)")
    return ax


def clock(points: LatentPoints) -> tuple[Float64, str]:
    """Return the times of one file's frames, else the numbers of the rows, with a label."""
    time, file = origin_of(points, "time"), origin_of(points, "file")
    one_file = file is None or not np.any(file != file[:1])
    if time is None or not one_file:
        text = "conformation" if file is None else "frame" if one_file else "frame, all files"
        return np.arange(len(points.latent), dtype=np.float64), text
    size, unit = next(((s, u) for s, u in _PS if np.ptp(time) >= 2.0 * s), _PS[-1])
    return np.asarray(time, dtype=np.float64) / size, f"time ({unit})"


def _against_time(part: Chart, values: Float64, points: LatentPoints, colour: _Colour, ax: Axes) -> Axes:
    """A single coordinate: time to the right, coloured where it is by something else than time."""
    time, text = clock(points)
    place = np.stack([time, values], axis=-1)
    if colour.label == text:
        style.dots(ax, place, color=style.BLUE)
    else:
        _scatter(ax, place, colour)
    ax.set(xlabel=text, ylabel=part.labels[0])
    if isinstance(part, Flat) and part.periods[0]:
        style.angle_ticks(ax, "y")
    return ax


def _scatter(ax: Axes, shown: Float64, colour: _Colour, side: str = "right") -> None:
    """Dots in a random order: in that of time the last would hide the first."""
    order = np.random.default_rng(0).permutation(len(shown))
    if colour.categories:
        _by_category(ax, shown[order], colour.values[order].astype(np.int64), colour.categories)
        return
    turns = colour.period > 0.0 and float(np.ptp(_known(colour.values))) > _PART * colour.period
    half = 0.5 * colour.period if turns else None
    cmap = colour.cmap or (style.IN_TURNS if turns else style.IN_TIME)
    limits = {} if half is None else {"vmin": -half, "vmax": half}
    dots = style.dots(ax, shown[order], c=colour.values[order], cmap=cmap, **limits)
    style.bar(ax, dots, colour.label, side)


def _known(values: Float64) -> Float64:
    """Those that are finite; 0 where none is."""
    found = values[np.isfinite(values)]
    return found if len(found) else np.zeros(1)


def _by_category(ax: Axes, shown: Float64, number: Int64, names: Sequence[str]) -> None:
    """Dots in the colours of their kinds."""
    colours = style.series(len(names))
    style.dots(ax, shown, color=[colours[k] for k in number])
    rare = number == np.argmin(np.bincount(number, minlength=len(names)))  # is not to be hidden by the others
    style.dots(ax, shown[rare], color=[colours[k] for k in number[rare]], zorder=2.5)
    for k, name in enumerate(names[:_NAMED]):
        ax.plot([], [], "o", color=colours[k], label=style.plain(f"{name} ({np.count_nonzero(number == k)})"))
    if len(names) > _NAMED:
        ax.plot([], [], " ", label=f"and {len(names) - _NAMED} more")
    style.legend_above(ax, 2 if max(map(len, names)) < _SHORT else 1)


def _link(ax: Axes, shown: Float64, points: LatentPoints) -> None:
    """Draw a line from each frame to the next of its file, where there are few."""
    known, time = origin_of(points, "file"), origin_of(points, "time")
    if len(shown) > _LINKED or (known is None and time is None):
        return
    file = np.zeros(len(shown)) if known is None else known
    for part in np.split(shown, np.flatnonzero(np.diff(file)) + 1):
        ax.plot(*_torn(part).T, color=style.FILL, lw=0.6, zorder=1)


def _torn(shown: Float64) -> Float64:
    """A line's points, with gaps where it leaves the map on one side and comes in on the other."""
    extent = np.ptp(shown, axis=0).max() if len(shown) else 0.0
    step = np.linalg.norm(np.diff(shown, axis=0), axis=1)
    usual = np.median(step) if len(step) else 0.0
    cuts = np.flatnonzero((step > _TEAR * extent) & (step > 10.0 * usual)) + 1
    return np.insert(shown, cuts, np.nan, axis=0)
