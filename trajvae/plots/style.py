"""How figures look: colours that the colour-blind tell apart, sizes of a printed column, names and units.

References
----------
M. Okabe, K. Ito, Color Universal Design (2008): the qualitative colours.
"""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from trajvae.display import unit_symbol
from trajvae.typing import Float64

COLUMN = 3.5  # inches, the width of a printed column
PANEL_HEIGHT = 2.75
ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FILL, LINE, FAINT = "#c8c8c8", "#555555", "#dddddd"  # what a figure compares with
IN_TIME, IN_ENERGY, IN_TURNS, DENSITY = "viridis", "cividis", "twilight_shifted", "Greys"

RC: Any = {  # every key is one of matplotlib's own
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.0,
    "pdf.fonttype": 42,  # text stays text, as journals ask for
    "svg.fonttype": "none",
    "svg.hashsalt": "trajvae",
}

_NAMES = {
    "rg": "radius of gyration",
    "end_to_end": "end-to-end distance",
    "end-to-end": "end-to-end distance",
    "rmsd": "RMSD to the decoded mean",
    "latent_scale": "width of the posterior",
    "frame_jump": "RMSD to the frame before",
    "nearest_rmsd": "RMSD to the nearest frame",
    "energy": "potential energy",
    "in_support": "in the support of the training frames",
}
_GREEK = {"phi": "φ", "psi": "ψ", "omega": "ω"}


@contextmanager
def settings() -> Iterator[None]:
    """Set how figures of several panels look, whatever any `matplotlibrc` says."""
    defaults = {k: v for k, v in dict.items(matplotlib.rcParamsDefault) if not k.startswith("backend")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)  # of settings that will go
        with matplotlib.rc_context({**defaults, **RC}):
            yield


def own_axes(ax: Axes | None) -> Axes:
    """Return the axes given, or those of a new figure that belongs to no window."""
    if ax is not None:
        return ax
    return Figure(figsize=(COLUMN, PANEL_HEIGHT), layout="constrained").add_subplot()


def unit(name: str) -> str:
    """Return a unit as it is printed."""
    return plain(unit_symbol(name))


def with_unit(name: str, unit_name: str) -> str:
    """Return an axis' label."""
    shown = unit(unit_name)
    return f"{plain(name)} ({shown})" if shown else plain(name)


def readable(name: str) -> str:
    """Return an observable's name in words: "distance_0-5" as "distance 0–5", "phi_2" as "φ 2"."""
    if name in _NAMES:
        return _NAMES[name]
    kind, _, rest = name.partition("_")
    kind = _GREEK.get(kind, kind)
    return plain(f"{kind} {rest.replace('-', '–').replace('_', ' ')}".strip())


def plain(text: str) -> str:
    """Return text with its dollar signs escaped, so that none begins a formula; a second call changes nothing."""
    return re.sub(r"(?<!\\)\$", r"\\$", text)


def legend_above(ax: Axes, columns: int = 2, size: float = 7.0) -> None:
    """Draw a legend over the axes, where it covers no data; inside them where a note stands over them."""
    if ax.get_title(loc="left"):
        ax.legend(fontsize=size, ncols=columns, loc="best", handlelength=1.4, columnspacing=1.0, framealpha=0.7)
        return
    ax.legend(
        fontsize=size,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        borderaxespad=0.2,
        borderpad=0.2,
        handlelength=1.4,
        columnspacing=1.0,
        labelspacing=0.25,
    )


def bare(ax: Axes) -> None:
    """Hide frame and ticks, for maps that have an outline of their own."""
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)


def angle_ticks(ax: Axes, which: str) -> None:
    """Show one turn from -pi to pi on the axis x or y."""
    ax.set(**{f"{which}lim": (-np.pi, np.pi)})
    ticks, labels = np.linspace(-np.pi, np.pi, 5), ["−π", "−π/2", "0", "π/2", "π"]
    (ax.xaxis if which == "x" else ax.yaxis).set_ticks(ticks, labels=labels)


def bar(ax: Axes, shown: ScalarMappable, label: str, side: str = "right") -> None:
    """Draw a colour bar beside the axes."""
    text, below = "\n".join(textwrap.wrap(plain(label), 38)), side == "bottom"
    shrink, aspect = (0.8, 30) if below else (1.0, 20)
    ax.figure.colorbar(shown, ax=ax, location=side, label=text, pad=0.03, shrink=shrink, aspect=aspect)


def note(ax: Axes, text: str) -> None:
    """Write a remark over the axes, in lines that are no longer than a panel is wide."""
    ax.set_title("\n".join(textwrap.wrap(plain(text), 52)), loc="left", fontsize=7, color=VERMILION, style="italic")


def dot_size(n: int) -> float:
    """Return the size of each of n dots, in square points: the more, the smaller."""
    return float(np.clip(6000.0 / max(n, 1), 1.5, 14.0))


def dots(ax: Axes, places: Float64, **look: Any) -> PathCollection:
    """Draw one dot a row of (T, 2), in the size that suits their number."""
    return ax.scatter(
        *places.T, **{"s": dot_size(len(places)), "linewidths": 0, "rasterized": True, "zorder": 2, **look}
    )


def series(count: int) -> list[str]:
    """Return `count` colours: such as the colour-blind can distinguish, as long as there are enough."""
    if count <= len(SERIES):
        return list(SERIES[:count])
    return [to_hex(colormaps["turbo"](0.05 + 0.9 * k / (count - 1))) for k in range(count)]


def write_over(ax: Axes, x: float, y: float, text: str) -> None:
    """Write small text that stands out from what it covers."""
    halo = [withStroke(linewidth=1.6, foreground="white")]
    ax.text(x, y, text, ha="center", va="center", fontsize=6, color=LINE, zorder=3, path_effects=halo)
