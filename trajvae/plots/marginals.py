"""Simulation against model: histograms, and divergences beside their noise floor and baselines."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import OptionError
from trajvae.plots import style
from trajvae.results import Marginal, Marginals

_FIRST = ("rg", "end_to_end", "phi_", "psi_", "distance_", "bond_", "angle_")  # in the order in which they are shown
_FAMILIES = {"distance_": "pair distances", "bond_": "bonds", "angle_": "angles", "phi_": "φ", "psi_": "ψ"}
_SHOWN = {
    "noise_floor": ("noise floor", style.LINE, "|"),
    "held_out_floor": ("held-out frames", style.SKY, "D"),
    "jsd_resampled": ("frames drawn again", style.GREEN, "^"),
    "jsd_pca": ("PCA", style.ORANGE, "s"),
    "jsd": ("model", style.BLUE, "o"),
}
_LEAST = 1e-4  # bits, the left end of the axis


def marginal(marginals: Marginals, name: str, *, ax: Axes | None = None) -> Axes:
    """Plot one observable's histograms: two halves of the simulation, the model, and PCA.

    What the halves differ by is noise. The legend has Jensen-Shannon divergences from the first half in bits.

    Parameters
    ----------
    marginals : Marginals
    name : str
        Of the observable, as `trajvae info marginals.h5` lists them.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        No such observable.
    """
    if name not in marginals.table:
        some = ", ".join(list(marginals.table)[:8])
        raise OptionError(f"no observable '{name}'; there are {some}{', ...' if len(marginals.table) > 8 else ''}")
    m, ax = marginals.table[name], style.own_axes(ax)
    view = m if m.wide is None else m.wide
    width = np.diff(view.edges)
    ax.stairs(view.simulation / width, view.edges, fill=True, color=style.FILL, label="simulation")
    if view.second is not None:
        text = f"its other half ({m.noise_floor:.3f})"
        ax.stairs(view.second / width, view.edges, color=style.LINE, lw=0.7, label=text)
    if view.pca is not None:
        label = f"PCA ({m.others['jsd_pca']:.3f})" if "jsd_pca" in m.others else "PCA"
        ax.stairs(view.pca / width, view.edges, color=style.ORANGE, lw=0.9, ls="--", label=label)
    ax.stairs(view.model / width, view.edges, color=style.BLUE, lw=1.3, label=f"model ({m.jsd:.3f})")
    unit = style.unit(m.unit)
    ax.set_xlabel(style.with_unit(style.readable(name), m.unit))
    ax.set_ylabel(f"density (1/{unit})" if unit else "density")
    ax.set_xlim(view.edges[0], view.edges[-1])
    ax.set_ylim(bottom=0.0)
    style.legend_above(ax)
    return ax


def divergences(marginals: Marginals, *, ax: Axes | None = None) -> Axes:
    """Plot Jensen-Shannon divergences, means over each family of observables, beside noise floors and baselines.

    Parameters
    ----------
    marginals : Marginals
    ax : Axes, optional

    Returns
    -------
    Axes
        A row a family. `frames drawn again` is what learning by heart would reach.
    """
    ax = style.own_axes(ax)
    rows = _families(list(marginals.table))
    for key, (label, colour, marker) in _SHOWN.items():
        means = [_mean([marginals.table[name] for name in names], key) for names in rows.values()]
        if not np.isfinite(means).any():
            continue
        size = 9 if marker == "|" else 4.5
        ax.plot(
            np.maximum(means, _LEAST),
            range(len(rows)),
            marker,
            color=colour,
            ms=size,
            mew=1.2 * (marker == "|"),
            label=label,
        )
    ax.set_xscale("log")
    ax.set_yticks(
        range(len(rows)), labels=[style.plain(f"{k} ({len(v)})" if len(v) > 1 else k) for k, v in rows.items()]
    )
    ax.set(xlabel="Jensen–Shannon divergence (bits)", ylim=(len(rows) - 0.5, -0.5))
    ax.grid(axis="y", color=style.FAINT, lw=0.5)
    ax.set_axisbelow(True)
    style.legend_above(ax)
    return ax


def notable(marginals: Marginals) -> list[str]:
    """Return names worth a panel: the first that describe the whole molecule, and the pair distance furthest off."""
    names = _ordered(list(marginals.table))
    alone = [n for n in names if not n.startswith(("distance_", "bond_", "angle_"))]
    pairs = [n for n in names if n.startswith("distance_")]
    worst = sorted(pairs, key=lambda n: marginals.table[n].jsd - marginals.table[n].noise_floor)[-1:]
    return alone[:4] + worst


def _families(names: list[str]) -> dict[str, list[str]]:
    """Names by family; those that belong to none by themselves."""
    rows: dict[str, list[str]] = {}
    for name in _ordered(names):
        family = next((text for prefix, text in _FAMILIES.items() if name.startswith(prefix)), style.readable(name))
        rows.setdefault(family, []).append(name)
    return rows


def _ordered(names: list[str]) -> list[str]:
    """The molecule's own first, then torsions, then families of many."""
    return sorted(names, key=lambda name: next((i for i, f in enumerate(_FIRST) if name.startswith(f)), len(_FIRST)))


def _mean(members: list[Marginal], key: str) -> float:
    """A figure's mean; NaN where a file of an older version has it not."""
    found = [getattr(m, key) if key in ("jsd", "noise_floor") else m.others.get(key, np.nan) for m in members]
    return float(np.mean(found))
