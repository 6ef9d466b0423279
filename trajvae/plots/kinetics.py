"""Kinetics: implied time scales, scores, the test of the Markov model, and committors beside what trajectories did."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from trajvae.arguments.lookup import check_choice
from trajvae.errors import OptionError
from trajvae.plots import style
from trajvae.plots.latent import latent
from trajvae.plots.spaces import chart_of
from trajvae.results import Committor, Kinetics, TimeScales
from trajvae.typing import Float64

MARKOV = "markov"
_MOST = 5  # processes that have a line
_NAMES = {"latent": "latent space", "tica": "TICA", "pca": "PCA", MARKOV: "Markov model"}
_DIVERGING = "coolwarm"  # grey in the middle, where neither region is nearer


def timescales(found: Kinetics, name: str = MARKOV, *, ax: Axes | None = None) -> Axes:
    """Plot implied time scales against the lag, with standard errors; a process below the shaded line is not resolved.

    Parameters
    ----------
    found : Kinetics
    name : str
        Of what: "markov", "latent", "tica" or "pca".
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        There are no such time scales.
    """
    check_choice(name, list(found.timescales), "time scale")
    ax, scales = style.own_axes(ax), found.timescales[name]
    few = min(max(found.processes + 2, 3), _MOST)  # those that are slow, and some of the others
    shown = [k for k in range(scales.value.shape[1]) if np.isfinite(scales.value[:, k]).any()][:few]
    for k in shown:
        _draw_scale(ax, scales, k, k, f"process {k + 1}")
    _finish_scales(ax, found, scales.lag, f"time scale, {_NAMES.get(name, name)}")
    return ax


def slowest_timescales(found: Kinetics, *, ax: Axes | None = None) -> Axes:
    """Plot the slowest implied time scale of the latent space beside those of TICA and PCA, and of the Markov model.

    Parameters
    ----------
    found : Kinetics
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = style.own_axes(ax)
    names = sorted(found.timescales, key=lambda name: list(_NAMES).index(name) if name in _NAMES else len(_NAMES))
    for row, name in enumerate(names):
        _draw_scale(ax, found.timescales[name], 0, row, _NAMES.get(name, name))
    _finish_scales(ax, found, found.timescales[names[0]].lag, "slowest time scale")
    return ax


def scores(found: Kinetics, *, ax: Axes | None = None) -> Axes:
    """Plot cross-validated VAMP-2 scores with their standard errors.

    Parameters
    ----------
    found : Kinetics
    ax : Axes, optional

    Returns
    -------
    Axes
        From 1, the score of the constant alone.
    """
    ax = style.own_axes(ax)
    value, error = (np.array([getattr(s, key) for s in found.scores]) for key in ("vamp2", "error"))
    place = np.arange(len(value))
    colours = [style.BLUE if s.name == "latent" else style.FILL for s in found.scores]
    ax.bar(place, value - 1.0, bottom=1.0, width=0.6, color=colours)
    ax.errorbar(place, value, yerr=error, fmt="none", ecolor="black", elinewidth=1.0, capsize=3)
    top = float(np.nanmax(value + error))
    for x, (v, e) in enumerate(zip(value, error, strict=True)):
        ax.annotate(f"{v:.3f} ± {e:.3f}", (x, v + e), (0, 3), textcoords="offset points", ha="center", fontsize=7)
    ax.set_xticks(place, labels=[style.plain(_NAMES.get(s.name, s.name)) for s in found.scores])
    low = min(1.0, float(np.nanmin(value - error)))
    ax.set(ylabel=f"VAMP-2 at a lag of {_lag(found)}", xlim=(-0.6, len(value) - 0.4))
    ax.set_ylim(low, max(top + 0.15 * (top - low), 1.1))
    return ax


def chapman_kolmogorov(found: Kinetics, *, ax: Axes | None = None) -> Axes:
    """Plot the probability of being in a metastable set again: lines of the Markov model, counts with errors as points.

    Parameters
    ----------
    found : Kinetics
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax, test = style.own_axes(ax), found.test
    for k, share in enumerate(test.population):
        colour, label = style.series(len(test.population))[k], f"set {k} ({100.0 * share:.3g} %)"
        lag = np.concatenate([[0.0], test.lag])
        ax.plot(lag, np.concatenate([[1.0], test.predicted[:, k]]), color=colour, label=label)
        ax.errorbar(
            test.lag, test.estimated[:, k], yerr=test.error[:, k], fmt=style.MARKERS[k % 7], color=colour, capsize=2
        )
    ax.set(xlabel=f"lag ({_unit(found)})", ylabel="probability of being there again")
    ax.set(xlim=(0.0, None), ylim=(0.0, 1.05))
    style.legend_above(ax)
    return ax


def committor(found: Kinetics, *, chart: int = 0, ax: Axes | None = None) -> Axes:
    """Plot latent points coloured by the committor, and the transition states.

    Parameters
    ----------
    found : Kinetics
    chart : int
        Which part of the latent space; see `latent`.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        There is no committor, or no such part.
    """
    known, ax = _committor_of(found), style.own_axes(ax)
    label = _between(known)
    latent(found, chart=chart, colour=known.value, label=label, cmap=_DIVERGING, ax=ax)
    part, inner = chart_of(found, chart)
    shown, rows = part.shown(inner), known.transition_states
    if len(rows) and shown.shape[1] == 2:
        ring = {"s": 9.0, "c": "none", "edgecolors": "black", "linewidths": 0.5, "zorder": 3}
        style.dots(ax, shown[rows], label=f"transition states ({len(rows)})", **ring)
        style.legend_above(ax)
    return ax


def outcomes(found: Kinetics, *, ax: Axes | None = None) -> Axes:
    """Plot how often trajectories do enter the target first, against the committor; on the line they agree.

    Parameters
    ----------
    found : Kinetics
    ax : Axes, optional

    Returns
    -------
    Axes
        Committors are those of frames that they were not estimated from.

    Raises
    ------
    OptionError
        There is no committor.
    """
    known, ax = _committor_of(found), style.own_axes(ax)
    made = known.calibration
    ax.plot([0.0, 1.0], [0.0, 1.0], color=style.LINE, lw=0.9, ls="--", zorder=1)
    error = np.nan_to_num(made.error)
    ax.errorbar(made.committor, made.outcome, yerr=error, fmt="o", color=style.BLUE, capsize=2.5, zorder=3)
    for q, share, n in zip(made.committor, made.outcome, made.frames, strict=True):
        place = (-3, 7) if share >= q else (3, -7)  # on the side away from the line
        across, up = ("right", "bottom") if share >= q else ("left", "top")
        ax.annotate(
            f"{n}", (q, share), place, textcoords="offset points", ha=across, va=up, fontsize=6, color=style.LINE
        )
    ax.set(xlabel=_between(known), ylabel=f"share that enters {_region(known.target)} first")
    ax.set(xlim=(-0.12, 1.08), ylim=(-0.08, 1.08))
    return ax


def _region(name: str) -> str:
    return style.plain(f"basin {name}" if name.isdigit() else name)


def _between(known: Committor) -> str:
    return f"committor from {_region(known.source)} to {_region(known.target)}"


def _committor_of(found: Kinetics) -> Committor:
    if found.committor is None:
        raise OptionError("these kinetics have no committor: give 'trajvae kinetics' the options --from and --to")
    return found.committor


def _draw_scale(ax: Axes, scales: TimeScales, k: int, row: int, label: str) -> None:
    """One process at all lags."""
    known = np.isfinite(scales.value[:, k])
    value, error = scales.value[known, k], np.nan_to_num(scales.error[known, k])
    below = np.minimum(error, 0.9 * value)  # a bar that ended at 0 would have no end on a logarithmic axis
    marker, colour = style.MARKERS[row % 7], style.SERIES[row % len(style.SERIES)]
    ax.plot(scales.lag[known], value, marker=marker, color=colour, label=style.plain(label))
    ax.errorbar(scales.lag[known], value, yerr=np.stack([below, error]), fmt="none", ecolor=colour, capsize=2)


def _finish_scales(ax: Axes, found: Kinetics, lag: Float64, label: str) -> None:
    """Logarithmic axes, and the line where the time scale equals the lag."""
    drawn = [np.asarray(line.get_ydata(), dtype=np.float64) for line in ax.lines]
    values = np.concatenate([lag, *drawn])
    left, right = float(lag.min()) / 1.25, float(lag.max()) * 1.25
    low, high = min(float(np.nanmin(values)), left) / 1.3, max(float(np.nanmax(values)), right) * 1.3
    ends = np.array([left, right])
    ax.plot(ends, ends, color=style.LINE, lw=0.9, ls="--", zorder=1)
    ax.fill_between(ends, low, ends, color=style.FAINT, alpha=0.7, lw=0, zorder=0)
    unit = _unit(found)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set(xlim=(left, right), ylim=(low, high), xlabel=f"lag ({unit})", ylabel=f"{label} ({unit})")
    ax.xaxis.set_major_locator(FixedLocator(_apart(lag)))
    ax.xaxis.set_minor_locator(FixedLocator(lag.tolist()))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 200.0 else (1.0,)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    style.legend_above(ax)


def _apart(lag: Float64) -> list[float]:
    """The lags that have room for a number, on a logarithmic axis."""
    out: list[float] = []
    wide = max(float(lag.max() / lag.min()), 1.01)
    for x in lag.tolist():
        if not out or np.log(x / out[-1]) > 0.07 * np.log(wide):
            out.append(x)
    return out


def _unit(found: Kinetics) -> str:
    return "frames" if found.lag_unit == "frame" else found.lag_unit


def _lag(found: Kinetics) -> str:
    return f"{found.lag:g} {_unit(found)}"
