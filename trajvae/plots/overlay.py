"""Several trajectories on one map of the latent space, each in its colour, over the frames that a model has seen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.free_energies.options import check_bins
from trajvae.plots import style
from trajvae.plots.cells import Grid, Rings
from trajvae.plots.charts import Chart
from trajvae.plots.colours import short_names
from trajvae.plots.convergence import LEAST_A_CELL
from trajvae.plots.spaces import chart_of, column_of, origin_of
from trajvae.plots.surfaces import draw_cells, is_line
from trajvae.results import LatentPoints
from trajvae.typing import AnyArray, Bool, Float64, Int64

_LISTED = 12  # trajectories that a legend names
_DARKEST = 2.2  # times the highest density: what lies below stays light


@dataclass(frozen=True, eq=False)
class MapTrajectory:
    """Hold a trajectory as it is drawn on the map.

    Attributes
    ----------
    name, colour : str
    inner : ndarray, shape (T, 1 or 2)
    outside : ndarray of bool, shape (T,)
        Frames outside the support of the model's training frames; none where that is not known.
    legend : str
        Number of frames and what is known of them.
    """

    name: str
    colour: str
    inner: Float64
    outside: Bool
    legend: str


def overlay(
    points: Mapping[str, LatentPoints],
    *,
    over: LatentPoints | None = None,
    chart: int = 0,
    bins: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot trajectories on one map, each in its colour; crosses are frames outside the training frames' support.

    Parameters
    ----------
    points : mapping of str to latent points
        Embeddings by one model, by name; each of the trajectories of an embedding has a colour of its own.
    over : latent points, optional
        Usually of the training frames; their density is drawn in grey behind the trajectories.
    chart : int
        See `latent`.
    bins : int, optional
        Cells along an axis, of what lies below.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        No points, or points of several latent spaces.
    """
    if not points:
        raise OptionError("there are no latent points to draw")
    every = [*points.values(), *([] if over is None else [over])]
    for other in every[1:]:
        check_alike(every[0], other)
    part, _ = chart_of(every[0], chart)
    series = _series(points, chart)
    whole = np.concatenate([s.inner for s in series] + ([] if over is None else [chart_of(over, chart)[1]]))
    below = None if over is None else chart_of(over, chart)[1]
    cells = part.cells(whole, check_bins(bins, len(whole if below is None else below), whole.shape[1]))
    said = "" if over is None else style.plain(f"{_base(over)}: {len(over.latent)} frames")
    ax = style.own_axes(ax)
    part.frame(ax, whole)
    if isinstance(cells, Grid) and is_line(cells):
        _histograms(ax, series, below, cells.edges[0], said)
    else:
        _scattered(ax, part, series, below, cells, said)
    style.legend_above(ax, 1, 6.0)
    return ax


def _scattered(
    ax: Axes, part: Chart, series: list[MapTrajectory], below: Float64 | None, cells: Grid | Rings, said: str
) -> None:
    """Dots of all series in a random order, so that none hides another, over the density of what lies below."""
    if below is not None:
        _shade(ax, part, below, cells, said)
    shown = np.concatenate([part.shown(s.inner) for s in series])
    colours = np.concatenate([np.full(len(s.inner), s.colour) for s in series])
    outside = np.concatenate([s.outside for s in series])
    order = np.random.default_rng(0).permutation(len(shown))
    inside = order[~outside[order]]
    style.dots(ax, shown[inside], color=colours[inside].tolist(), s=style.dot_size(len(shown)))
    if outside.any():
        size, shades = 2.5 * style.dot_size(len(shown)), colours[outside].tolist()
        ax.scatter(
            shown[outside, 0],
            shown[outside, 1],
            color=shades,
            rasterized=True,
            marker="x",
            s=size,
            linewidths=0.7,
            zorder=3,
        )
    _name(ax, series, "o")
    if outside.any():
        ax.plot([], [], "x", color=style.LINE, label="outside the support of training frames")


def _shade(ax: Axes, part: Chart, below: Float64, cells: Grid | Rings, said: str) -> None:
    """The density of points in grey; the points themselves where they are too few for one."""
    counts = cells.count(below)
    few = counts.sum() < LEAST_A_CELL * np.count_nonzero(counts)
    if few:
        style.dots(ax, part.shown(below), color=style.FILL, s=2.0 * style.dot_size(len(below)), zorder=1)
    else:
        density = counts / cells.volumes
        shade = np.where(density > 0.0, np.sqrt(density / density.max()), np.nan)  # by the root, to show what is rare
        draw_cells(ax, part, cells, shade, "", style.DENSITY)
        ax.collections[-1].set_clim(-0.3, _DARKEST)
    ax.plot([], [], "o" if few else "s", color=style.FILL, label=said)


def _histograms(ax: Axes, series: list[MapTrajectory], below: Float64 | None, edges: Float64, said: str) -> None:
    """Draw densities of one coordinate."""
    if below is not None:
        density = np.histogram(below[:, 0], edges, density=True)[0]
        ax.stairs(density, edges, fill=True, color=style.FILL, label=said)
    for one in series:
        density = np.histogram(one.inner[:, 0], edges, density=True)[0]
        ax.stairs(density, edges, color=one.colour, lw=1.2)
    ax.set_ylabel("density")
    _name(ax, series, "-")


def _name(ax: Axes, series: list[MapTrajectory], mark: str) -> None:
    for one in series[:_LISTED]:
        ax.plot([], [], mark, color=one.colour, label=style.plain(f"{one.name}: {one.legend}"))
    if len(series) > _LISTED:
        ax.plot([], [], " ", label=f"and {len(series) - _LISTED} more")


def _series(points: Mapping[str, LatentPoints], chart: int) -> list[MapTrajectory]:
    """The trajectories of some embeddings, in their order."""
    parts = [(name, p, k) for name, p in points.items() for k in np.unique(_file(p)).tolist()]
    names = _called(parts)
    out, colours = [], style.series(len(parts))
    for number, (name, (_, one, k)) in enumerate(zip(names, parts, strict=True)):
        rows = np.flatnonzero(_file(one) == k)
        inner = chart_of(one, chart)[1][rows]
        flags, rmsd = (_of_rows(one, column, rows) for column in ("in_support", "rmsd"))
        outside = np.zeros(len(rows), dtype=bool) if flags is None else flags == 0
        legend = [f"{len(rows)} frames"]
        legend += [] if rmsd is None or not np.isfinite(rmsd).any() else [f"RMSD {np.nanmean(rmsd):.2f} Å"]
        legend += [] if flags is None else [f"{100.0 * outside.mean():.0f} % outside"]
        out.append(MapTrajectory(name, colours[number], inner, outside, ", ".join(legend)))
    return out


def _file(points: LatentPoints) -> AnyArray:
    file = origin_of(points, "file")
    return np.zeros(len(points.latent), dtype=np.int64) if file is None else file


def _called(parts: Sequence[tuple[str, LatentPoints, int]]) -> list[str]:
    """Names of trajectories; with their embeddings' where those of several are the same."""
    files: list[Sequence[str]] = [getattr(p, "files", ()) for _, p, _ in parts]
    own = [Path(of[k]).name if k < len(of) else "" for of, (_, _, k) in zip(files, parts, strict=True)]
    if all(own) and len(set(own)) == len(own):
        return own
    full = zip(parts, files, strict=True)
    return [
        Path(name).name if len(of) <= 1 else f"{Path(name).name}, {short_names(of)[k]}" for (name, _, k), of in full
    ]


def _of_rows(points: LatentPoints, name: str, rows: Int64) -> Float64 | None:
    """Return a number of some frames; None where there is none."""
    column = column_of(points, name)
    return None if column is None else column[rows]


def _base(points: LatentPoints) -> str:
    """Return a name for what lies below."""
    path = str(getattr(points, "path", ""))
    return f"{Path(path).name} below" if path else "below"


def check_alike(first: LatentPoints, other: LatentPoints) -> None:
    """Refuse latent points of different models, and warn where their models are unknown.

    Raises
    ------
    OptionError
        Another model, or another latent space.
    """
    paths = [str(getattr(p, "path", "")) for p in (first, other)]
    names = [f"'{path}'" if path else "one of them" for path in paths]
    hashes = [str(getattr(p, "model_hash", "")) for p in (first, other)]
    if all(hashes) and hashes[0] != hashes[1]:
        raise OptionError(
            f"{names[1]} and {names[0]} are of different models ({hashes[1][:8]} and {hashes[0][:8]}), whose latent "
            "points have nothing to do with each other: embed both trajectories with one model (trajvae embed -m)"
        )
    spaces = [(p.latent.shape[1], p.geometry) for p in (first, other)]
    if spaces[0][0] != spaces[1][0] or (all(s[1] for s in spaces) and spaces[0] != spaces[1]):
        raise OptionError(f"{names[1]} is of another latent space than {names[0]}: embed both with one model")
    if not all(hashes):
        silent = names[0] if not hashes[0] else names[1]
        warnings.warn(
            f"{silent} does not say which model made it, as files of older versions do not: the latent points may be "
            "of different models",
            TrajvaeWarning,
            stacklevel=3,
        )
