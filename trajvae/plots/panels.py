"""The panels that suit each kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from trajvae.errors import OptionError, ReadError, TrajvaeError
from trajvae.plots.charts import Flat
from trajvae.plots.colours import Colour, Trajectory, colour_of
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
from trajvae.plots.overlay import check_alike, joined, overlay
from trajvae.plots.spaces import charts_of

_CHARTS = 3  # parts of a latent space that have panels of their own, at most
Panel: TypeAlias = tuple[str, Callable[..., Axes]]


@dataclass(frozen=True)
class FigureOptions:
    """Set what users may choose of a figure.

    Attributes
    ----------
    temperature : float, optional
        K, of free energies; without it they are in kT.
    bins : int, optional
        See `free_energy`.
    observables : sequence of str
        That have a panel each, where a file holds many.
    over : StoredPoints, optional
        Latent points whose free energy is drawn below a path or an optimisation, and their density below trajectories.
    colours : sequence of str
        What latent points are coloured by instead of time, a panel each; see `colours.colour_of`.
    trajectory : Trajectory
        Where measures of atoms are read from.
    """

    temperature: float | None = None
    bins: int | None = None
    observables: Sequence[str] = ()
    over: StoredPoints | None = None
    colours: Sequence[str] = ()
    trajectory: Trajectory = field(default_factory=Trajectory)


def panels_of(stored: Stored | Sequence[Stored], look: FigureOptions | None = None) -> list[Panel]:
    """Return the panels that suit what a file holds, each with the name of the function that draws it.

    Parameters
    ----------
    stored : Stored, or a sequence of them
        Of several files, all embeddings, the trajectories are drawn on one map.
    look : FigureOptions, optional

    Raises
    ------
    OptionError
        A look that does not suit it.
    ReadError
        What a panel needs is missing or damaged.
    """
    try:
        parts: list[Stored] = list(stored) if isinstance(stored, Sequence) else [stored]
        return (
            _suiting(parts[0], look or FigureOptions())
            if len(parts) == 1
            else _together(parts, look or FigureOptions())
        )
    except TrajvaeError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(f"there is no drawing it: what a panel needs is missing or damaged: {reason}") from error


def _suiting(stored: Stored, look: FigureOptions) -> list[Panel]:
    way = isinstance(stored, StoredConformations) and _is_way(stored)
    if look.over is not None and not (way or isinstance(stored, StoredPoints)):
        raise OptionError("only embeddings, a path and an optimisation can be drawn over an embed.h5 or a model.h5")
    if look.colours and (way or not isinstance(stored, StoredPoints | StoredModel | StoredConformations)):
        raise OptionError("--color is of the latent points of an embed.h5, a model.h5 or new conformations")
    if isinstance(stored, StoredPoints):
        if look.over is not None:
            return _together([stored], look)
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
    """Return the panels of some names; all where no name is given.

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


def _together(parts: Sequence[Stored], look: FigureOptions) -> list[Panel]:
    """Trajectories on one map for each part of the latent space, and all their frames in the colours asked for."""
    points = [p for p in parts if isinstance(p, StoredPoints)]
    if len(points) < len(parts):
        raise OptionError("several files are drawn together only where each is an embed.h5")
    for other in [*points[1:], *([] if look.over is None else [look.over])]:
        check_alike(points[0], other)
    every, whole = {p.name or str(k): p for k, p in enumerate(points)}, joined(points)
    charts = range(min(len(charts_of(points[0])), _CHARTS))
    out: list[Panel] = [
        ("overlay", partial(overlay, every, over=look.over, chart=chart, bins=look.bins)) for chart in charts
    ]
    coloured = [_dots(whole, colour, chart) for colour in _colours(whole, look) for chart in charts]
    return [*out, *coloured, *_coloured(whole, look)]


def _colours(points: StoredPoints | StoredConformations, look: FigureOptions) -> list[Colour]:
    return [colour_of(points, text, look.trajectory) for text in look.colours]


def _dots(points: StoredPoints | StoredConformations, colour: Colour, chart: int = 0) -> Panel:
    """Latent points in a colour."""
    more: dict[str, Any] = {"label": colour.label, "period": colour.period, "categories": colour.categories}
    return "latent", partial(latent, points, chart=chart, colour=colour.values, **more)


def _surfaces(points: StoredPoints, look: FigureOptions) -> list[Panel]:
    """Points and free energy of each part of the latent space."""
    out: list[Panel] = []
    colours = _colours(points, look)
    for chart in range(min(len(charts_of(points)), _CHARTS)):
        plain: Panel = ("latent", partial(latent, points, chart=chart))
        out += [_dots(points, colour, chart) for colour in colours] or [plain]
        out.append(_surface(points, look, chart))
    return out


def _surface(points: StoredPoints, look: FigureOptions, chart: int) -> Panel:
    return "free_energy", partial(free_energy, points, chart=chart, temperature=look.temperature, bins=look.bins)


def _coloured(points: StoredPoints, look: FigureOptions, chart: int = 0) -> list[Panel]:
    """Points coloured by each of some observables, which have one number a frame."""
    for name in look.observables:
        if name not in points.observables or points.observables[name].value.ndim != 1:
            known = [k for k, q in points.observables.items() if q.value.ndim == 1]
            raise OptionError(f"no observable '{name}': there are {', '.join(known)}")
    return [_dots(points, colour_of(points, name), chart) for name in look.observables]


def _training(model: StoredModel, look: FigureOptions) -> list[Panel]:
    f, record = model.figures, model.history
    out: list[Panel] = [
        ("history", partial(history, record, kept=_kept(f))),
        ("divergence", partial(divergence, record, list(f.get("kl", ())))),
    ]
    look = replace(look, observables=look.observables or (() if look.colours else _usual(model.points.observables)))
    colours = _colours(model.points, look)
    for chart in range(min(len(charts_of(model.points)), _CHARTS)):
        out += [_dots(model.points, colour, chart) for colour in colours]
        out += [*_coloured(model.points, look, chart), _surface(model.points, look, chart)]
    if np.size(record.get("curvature", ())):
        out.append(("curvature", partial(curvature, record, list(f.get("curvatures", ())))))
    return [*out, ("reconstruction", partial(reconstruction, f))]


def _usual(observables: Mapping[str, Any]) -> tuple[str, ...]:
    """What is drawn where nothing is asked for: the radius of gyration, of a file that has it."""
    return ("rg",) if "rg" in observables else ()


def _kept(figures: Mapping[str, Any]) -> int | None:
    """The epoch whose weights a model has; None in files of versions that did not say."""
    kept = figures.get("kept_epoch")
    return int(kept) if isinstance(kept, int | float) else None


def _made(made: StoredConformations, look: FigureOptions) -> list[Panel]:
    """Of a path, of an optimisation, or of new conformations."""
    if "speed" in made.observables:
        more = look.observables or _usual(made.observables)
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
        *_drawn(made, look),
        *reasons,
        *(("distribution", partial(distribution, made, name)) for name in names),
    ]


def _drawn(made: StoredConformations, look: FigureOptions) -> list[Panel]:
    """Latent points of new conformations, coloured by their radius of gyration."""
    names = look.colours or _usual(made.observables)
    return [_dots(made, colour_of(made, name, look.trajectory)) for name in names] or [
        ("latent", partial(latent, made))
    ]


def _ways(made: StoredConformations, look: FigureOptions) -> list[Panel]:
    """The way in each part of the latent space, over its free energy where that is asked for."""
    below = look.over
    if below is not None and (below.latent.shape[1] != made.latent.shape[1] or not _alike(made, below)):
        raise OptionError("the free energy is of another latent space")
    if below is not None and made.model_hash and below.model_hash and made.model_hash != below.model_hash:
        raise OptionError(
            f"'{below.name}' is of another model ({below.model_hash[:8]}) than the way ({made.model_hash[:8]}): the "
            "latent points of two models have nothing to do with each other; take the embed.h5 or model.h5 of one"
        )

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
