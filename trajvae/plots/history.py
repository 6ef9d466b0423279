"""How a training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import OptionError
from trajvae.plots import style
from trajvae.typing import AnyArray, Float64

_MOST = 8  # lines that can be told apart
_FAINT = 200  # lines behind those; more of them are a surface that takes minutes
_REPORTED = {
    "rmsd": "held-out",
    "pca_rmsd": "by PCA",
    "frame_jump": "largest\njump",
    "frame_jump_optimal": "optimal",
}
History = Mapping[str, AnyArray]


def history(record: History, *, kept: int | None = None, ax: Axes | None = None) -> Axes:
    """Plot the ELBO of training frames and of held-out frames, and the epoch whose weights were kept.

    Parameters
    ----------
    record : mapping
        `Model.history`, which is the `results.history` of `TrajVAE` too.
    kept : int, optional
        The epoch whose weights were kept: `model.figures["kept_epoch"]`. Without it none is marked, and the legend says
        that it is not known.
    ax : Axes, optional

    Returns
    -------
    Axes
        The first epochs, far below all others, may lie under the edge.
    """
    ax = style.own_axes(ax)
    epoch, held = record["epoch"], np.asarray(record["held_out_elbo"], dtype=np.float64)
    train = np.asarray(record["train_elbo"], dtype=np.float64)
    ax.plot(epoch, train, color=style.LINE, ls="--", label="training")
    ax.plot(epoch, held, color=style.BLUE, label="held-out")
    _mark(ax, np.asarray(epoch), held, kept)
    ax.set(xlabel="epoch", ylabel="ELBO (nats a frame)", ylim=_most_of(np.concatenate([train, held])))
    style.legend_above(ax, 2 if kept is None else 3)
    return ax


def _mark(ax: Axes, epoch: AnyArray, held: Float64, kept: int | None) -> None:
    """A dot on the curve at the epoch that was kept; a line where the history has no such row."""
    if kept is None:
        ax.plot([], [], " ", label="kept epoch unknown")
    elif (rows := np.flatnonzero(epoch == kept)).size:
        ax.plot(epoch[rows[-1]], held[rows[-1]], "o", label=f"kept (epoch {kept})", color=style.VERMILION)
    else:
        ax.axvline(kept, lw=0.9, label=f"kept (epoch {kept})", color=style.VERMILION)


def _most_of(values: Float64) -> tuple[float | None, float | None]:
    """Limits that hold all but what lies far below the lower quartile."""
    known = values[np.isfinite(values)]
    low, middle = np.quantile(known, [0.25, 0.5])
    top = float(known.max())
    reach = 4.0 * max(top - low, top - middle, 1e-9)
    if known.min() > top - reach:
        return None, None
    return float(top - reach), float(top + 0.06 * reach)


def divergence(record: History, names: Sequence[str] = (), *, ax: Axes | None = None) -> Axes:
    """Plot the KL divergence from the prior, part by part of the latent space.

    Parameters
    ----------
    record : mapping
        See `history`.
    names : sequence of str, optional
        Names of the parts: the keys of `model.figures["kl"]`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _columns(record, "kl", names or "part", ax)
    ax.set(xlabel="epoch", ylabel="KL divergence (nats a frame)")
    ax.set_ylim(bottom=0.0)
    return ax


def curvature(record: History, names: Sequence[str] = (), *, ax: Axes | None = None) -> Axes:
    """Plot the curvatures of the factors of a product.

    Parameters
    ----------
    record : mapping
        See `history`.
    names : sequence of str, optional
        Names of the curved factors: the keys of `model.figures["curvatures"]`.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        The latent space has no curvature.
    """
    if not np.size(record.get("curvature", ())):
        raise OptionError("this latent space has no curvature that could be drawn")
    ax = _columns(record, "curvature", names or "factor", ax)
    ax.axhline(0.0, color=style.FAINT, lw=0.6, zorder=0)
    ax.set(xlabel="epoch", ylabel="curvature K (1 / prior width²)")
    return ax


def reconstruction(figures: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Plot RMSDs of held-out frames to decoded means and by PCA, and the largest jump beside the smallest possible.

    Parameters
    ----------
    figures : TrainingFigures or mapping
        `Model.figures`, or the same names in JSON.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    rows = [(text, figures[key]) for key, text in _REPORTED.items() if figures.get(key) is not None]
    ax = style.own_axes(ax)
    colours = [style.BLUE if i % 2 == 0 else style.FILL for i in range(len(rows))]
    bars = ax.barh(range(len(rows)), [value for _, value in rows], color=colours, height=0.65)
    ax.bar_label(bars, [f"{value:.3f}" for _, value in rows], padding=2, fontsize=7)
    ax.set_yticks(range(len(rows)), labels=[style.plain(text) for text, _ in rows])
    ax.invert_yaxis()
    ax.set(xlabel="RMSD (Å)", xlim=(0.0, 1.3 * max(value for _, value in rows)))
    return ax


def _columns(record: History, key: str, names: Sequence[str], ax: Axes | None) -> Axes:
    """Draw a line for each column; columns beyond the number of distinguishable lines share one colour."""
    ax = style.own_axes(ax)
    values = np.asarray(record[key], dtype=np.float64).reshape(len(record["epoch"]), -1)
    count = values.shape[1]
    labels = [f"{names} {i}" for i in range(count)] if isinstance(names, str) else list(names)
    for i in range(min(count, _MOST)):
        colour, dashes = style.SERIES[i % len(style.SERIES)], "-" if i < len(style.SERIES) else "--"
        label = labels[i] if i < len(labels) else f"{i}"
        ax.plot(record["epoch"], values[:, i], label=label, color=colour, ls=dashes)
    if count > _MOST:
        lines = ax.plot(record["epoch"], values[:, _MOST : _MOST + _FAINT], color=style.FILL, lw=0.7, zorder=1)
        lines[0].set_label(f"{count - _MOST} more")
    style.legend_above(ax, 4)
    return ax
