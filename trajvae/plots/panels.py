"""The panels that suit each kind of file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import OptionError, ReadError, TrajvaeError
from trajvae.plots import style
from trajvae.plots.charts import Flat
from trajvae.plots.conformations import along, distribution, optimisation, path_distance, path_speed, validity
from trajvae.plots.energy import free_energy
from trajvae.plots.evidence import bounds, evidence
from trajvae.plots.files import (
    Stored,
    StoredComparison,
    StoredConformations,
    StoredMarginals,
    StoredModel,
    StoredPoints,
)
from trajvae.plots.history import curvature, divergence, history, reconstruction
from trajvae.plots.latent import frame_jumps, latent, way
from trajvae.plots.marginals import divergences, marginal, notable
from trajvae.plots.spaces import charts_of

_CHARTS = 3  # parts of a latent space that have panels of their own, at most
Panel: TypeAlias = tuple[str, Callable[..., Axes]]


@dataclass(frozen=True)
class Look:
    """What may be said of a figure.

    Attributes
    ----------
    temperature : float
        K, of free energies.
    bins : int, optional
        See `free_energy`.
    observables : sequence of str
        That have a panel each, where a file holds many.
    over : StoredPoints, optional
        Latent points whose free energy is drawn below a path or an optimisation.
    """

    temperature: float = 300.0
    bins: int | None = None
    observables: Sequence[str] = ()
    over: StoredPoints | None = None


def panels_of(stored: Stored, look: Look | None = None) -> list[Panel]:
    """The panels that suit what a file holds, each with the name of its function in this module.

    Raises
    ------
    OptionError
        A look that does not suit it.
    ReadError
        What a panel needs is missing or damaged.
    """
    try:
        return _suiting(stored, look or Look())
    except TrajvaeError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(f"there is no drawing it: what a panel needs is missing or damaged: {reason}") from error


def _suiting(stored: Stored, look: Look) -> list[Panel]:
    if look.over is not None and not (isinstance(stored, StoredConformations) and _is_way(stored)):
        raise OptionError("only a path and an optimisation can be drawn over a free energy")
    if isinstance(stored, StoredPoints):
        return [*_surfaces(stored, look), *_coloured(stored, look), ("frame_jumps", partial(frame_jumps, stored))]
    if isinstance(stored, StoredModel):
        return _training(stored, look)
    if isinstance(stored, StoredMarginals):
        names = look.observables or notable(stored)
        return [
            *(("marginal", partial(marginal, stored, name)) for name in names),
            ("divergences", partial(divergences, stored)),
        ]
    if isinstance(stored, StoredComparison):
        return [("evidence", partial(evidence, stored)), ("bounds", partial(bounds, stored))]
    return _made(stored, look)


def chosen(panels: Sequence[Panel], names: Sequence[str]) -> list[Panel]:
    """The panels of some names; all where none is given.

    Raises
    ------
    OptionError
        No panel of a name.
    """
    known = list(dict.fromkeys(name for name, _ in panels))
    for name in names:
        if name not in known:
            raise OptionError(f"no panel '{name}': there are {', '.join(known)}")
    return [panel for panel in panels if not names or panel[0] in names]


def _surfaces(points: StoredPoints, look: Look) -> list[Panel]:
    """Points and free energy of each part of the latent space."""
    out: list[Panel] = []
    for chart in range(min(len(charts_of(points)), _CHARTS)):
        out += [("latent", partial(latent, points, chart=chart)), _surface(points, look, chart)]
    return out


def _surface(points: StoredPoints, look: Look, chart: int) -> Panel:
    return "free_energy", partial(free_energy, points, chart=chart, temperature=look.temperature, bins=look.bins)


def _coloured(points: StoredPoints, look: Look, chart: int = 0) -> list[Panel]:
    """Points coloured by each of some observables, which have one number a frame."""
    out: list[Panel] = []
    for name in look.observables:
        if name not in points.observables or points.observables[name].value.ndim != 1:
            known = [k for k, q in points.observables.items() if q.value.ndim == 1]
            raise OptionError(f"no observable '{name}': there are {', '.join(known)}")
        values = np.asarray(points.observables[name].value, dtype=np.float64)
        label = style.with_unit(style.readable(name), points.observables[name].unit)
        out.append(("latent", partial(latent, points, chart=chart, colour=values, label=label)))
    return out


def _training(model: StoredModel, look: Look) -> list[Panel]:
    f, record = model.figures, model.history
    out: list[Panel] = [
        ("history", partial(history, record)),
        ("divergence", partial(divergence, record, list(f.get("kl", ())))),
    ]
    look = replace(look, observables=look.observables or ("rg",))
    for chart in range(min(len(charts_of(model.points)), _CHARTS)):
        out += [*_coloured(model.points, look, chart), _surface(model.points, look, chart)]
    if np.size(record.get("curvature", ())):
        out.append(("curvature", partial(curvature, record, list(f.get("curvatures", ())))))
    return [*out, ("reconstruction", partial(reconstruction, f))]


def _made(made: StoredConformations, look: Look) -> list[Panel]:
    """Of a path, of an optimisation, or of new conformations."""
    if "speed" in made.observables:
        more = look.observables or ("rg",)
        return [
            *_ways(made, look),
            ("path_distance", partial(path_distance, made)),
            ("path_speed", partial(path_speed, made)),
            *(("along", partial(along, made, name)) for name in more),
        ]
    if "path" in made.extra:
        descent = replace(made, latent=made.extra["path"]["latent"].value)
        chosen = [("distribution", partial(distribution, made, name)) for name in look.observables]
        return [("optimisation", partial(optimisation, made)), *_ways(descent, look), *chosen]
    usual = [name for name in ("rg", "end_to_end", "nearest_rmsd", "energy") if name in made.observables]
    names = look.observables or usual
    reasons = [("validity", partial(validity, made))] if "invalid_reason" in made.observables else []
    return [
        *_drawn(made),
        *reasons,
        *(("distribution", partial(distribution, made, name)) for name in names),
    ]


def _drawn(made: StoredConformations) -> list[Panel]:
    """Latent points of new conformations, coloured by their radius of gyration."""
    if "rg" not in made.observables:
        return [("latent", partial(latent, made))]
    rg = made.observables["rg"]
    label = style.with_unit(style.readable("rg"), rg.unit)
    return [("latent", partial(latent, made, colour=np.asarray(rg.value, dtype=np.float64), label=label))]


def _ways(made: StoredConformations, look: Look) -> list[Panel]:
    """The way in each part of the latent space, over its free energy where that is asked for."""
    below = look.over
    if below is not None and (below.latent.shape[1] != made.latent.shape[1] or not _alike(made, below)):
        raise OptionError("the free energy is of another latent space")

    def over(points: StoredPoints, chart: int, ax: Axes | None = None) -> Axes:
        """The surface, and the way over it."""
        surface = _surface(points, look, chart)[1](ax=ax)
        return way(replace(made, geometry=points.geometry), chart=chart, ax=surface)

    out: list[Panel] = []
    for number, chart in enumerate(charts_of(made)[:_CHARTS]):
        line = isinstance(chart, Flat) and len(chart.coordinates) == 1  # there is nothing below it to see
        plain = partial(way, made, chart=number)
        out.append(("way", plain if below is None or line else partial(over, below, number)))
    return out


def _alike(made: StoredConformations, below: StoredPoints) -> bool:
    return made.geometry in ("", below.geometry)


def _is_way(made: StoredConformations) -> bool:
    return "speed" in made.observables or "path" in made.extra
