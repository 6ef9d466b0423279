"""The panels that suit each kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from trajvae.arguments.lookup import check_choice
from trajvae.errors import DAMAGED, OptionError, ReadError, TrajvaeError
from trajvae.figures import Figures
from trajvae.plots.charts import Flat
from trajvae.plots.colours import colour_of
from trajvae.plots.conformations import (
    distribution,
    observable_along_path,
    optimisation,
    path_distance,
    path_speed,
    validity,
)
from trajvae.plots.evidence import bounds, evidence
from trajvae.plots.free_energies import basins, energy_error, energy_map
from trajvae.plots.history import curvature, divergence, history, reconstruction
from trajvae.plots.kinetics_panels import panels_of_kinetics
from trajvae.plots.latent import frame_jumps, latent, latent_path
from trajvae.plots.latent_panels import (
    MOST_CHARTS,
    FigureOptions,
    Panel,
    coloured_points,
    colours_of,
    numbers_of_charts,
    points_by_observables,
    surface,
)
from trajvae.plots.marginals import divergences, marginal, notable
from trajvae.plots.overlay import check_alike, overlay
from trajvae.plots.spaces import charts_of
from trajvae.results import Comparison, Conformations, Embedding, FreeEnergy, Kinetics, Marginals, Result, TrainedModel
from trajvae.results.embedding import joined
from trajvae.results.sensitivity import Sensitivity
from trajvae.store import Quantity

DrawPanel = Callable[..., Axes]

# panels of a user's own by name: a function of a result that returns a function of axes, `ax`, or None where the panel
# does not suit the result
PANELS: dict[str, Callable[[object], DrawPanel | None]] = {}
_USUAL = (
    "rg",
    "end_to_end",
    "nearest_rmsd",
    "energy",
)  # observables of draws that have a panel unless others are named


def panels_of(results: Result | Sequence[Result], options: FigureOptions | None = None) -> list[Panel]:
    """Return the panels that suit a result, each with the name of the function that draws it.

    Parameters
    ----------
    results : Embedding, TrainedModel, Marginals, Conformations, Comparison, FreeEnergy or Kinetics, or embeddings
        Of several embeddings, the trajectories are drawn on one map.
    options : FigureOptions, optional

    Raises
    ------
    OptionError
        An option does not suit the result.
    ReadError
        What a panel needs is missing or damaged.
    """
    parts: list[Result] = list(results) if isinstance(results, Sequence) else [results]
    options = options or FigureOptions()
    try:
        if len(parts) == 1:
            return [*_panels_of_one(parts[0], options), *added_panels(parts[0])]
        return _panels_of_several(parts, options)
    except TrajvaeError:
        raise
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(f"there is no drawing it: what a panel needs is missing or damaged: {reason}") from error


def select_panels(panels: Sequence[Panel], names: Sequence[str]) -> list[Panel]:
    """Return the panels of some names; all where no name is given.

    Raises
    ------
    OptionError
        No panel has one of the names.
    """
    known = list(dict.fromkeys(name for name, _ in panels))
    for name in names:
        check_choice(name, known, "panel")
    return [panel for panel in panels if not names or panel[0] in names]


def _panels_of_one(result: Result, options: FigureOptions) -> list[Panel]:
    _check_options(result, options)
    if isinstance(result, Embedding):
        return _panels_of_embedding(result, options)
    if isinstance(result, TrainedModel):
        return _panels_of_model(result, options)
    if isinstance(result, Marginals):
        names = options.observables or notable(result)
        each: list[Panel] = [("marginal", partial(marginal, result, name)) for name in names]
        return [*each, ("divergences", partial(divergences, result))]
    if isinstance(result, FreeEnergy):
        return _panels_of_free_energy(result)
    if isinstance(result, Kinetics):
        return panels_of_kinetics(result, options)
    if isinstance(result, Sensitivity):
        raise ReadError("a sensitivity has no figure: colour the PDB files beside it by B-factor in PyMOL or VMD")
    if isinstance(result, Comparison):
        return [("evidence", partial(evidence, result)), ("bounds", partial(bounds, result))]
    return _panels_of_conformations(result, options)


def _check_options(result: Result, options: FigureOptions) -> None:
    """Refuse options that do not suit a result."""
    is_line = isinstance(result, Conformations) and _is_line(result)
    if options.over is not None and not (is_line or isinstance(result, Embedding)):
        raise OptionError("only embeddings, a path and an optimisation can be drawn over an embed.h5 or a model.h5")
    if options.colours and (is_line or isinstance(result, Marginals | Comparison | FreeEnergy)):
        raise OptionError("--color is of the latent points of an embed.h5, a model.h5 or new conformations")


def _is_line(conformations: Conformations[Figures]) -> bool:
    """Return whether conformations are drawn as a line through latent space: a path, or the way of an optimisation."""
    return conformations.task == "path" or (conformations.task == "optimize" and conformations.descent is not None)


def _panels_of_several(results: Sequence[Result], options: FigureOptions) -> list[Panel]:
    """Return the trajectories on one map for each part of the latent space, and all their frames in the colours."""
    embeddings = [result for result in results if isinstance(result, Embedding)]
    if len(embeddings) < len(results):
        raise OptionError("several files are drawn together only where each is an embed.h5")
    for other in [*embeddings[1:], *([] if options.over is None else [options.over])]:
        check_alike(embeddings[0], other)
    by_name, whole = {e.path or str(k): e for k, e in enumerate(embeddings)}, joined(embeddings)
    charts = numbers_of_charts(embeddings[0])
    maps: list[Panel] = [
        ("overlay", partial(overlay, by_name, over=options.over, chart=chart, bins=options.bins)) for chart in charts
    ]
    coloured = [coloured_points(whole, colour, chart) for colour in colours_of(whole, options) for chart in charts]
    return [*maps, *coloured, *points_by_observables(whole, options)]


def _panels_of_embedding(embedding: Embedding, options: FigureOptions) -> list[Panel]:
    """Return points and free energy of each part of the latent space, colours, and jumps between frames."""
    if options.over is not None:
        return _panels_of_several([embedding], options)
    out: list[Panel] = []
    colours = colours_of(embedding, options)
    for chart in numbers_of_charts(embedding):
        plain: Panel = ("latent", partial(latent, embedding, chart=chart))
        out += [coloured_points(embedding, colour, chart) for colour in colours] or [plain]
        out.append(surface(embedding, options, chart))
    return [*out, *points_by_observables(embedding, options), ("frame_jumps", partial(frame_jumps, embedding))]


def _panels_of_model(model: TrainedModel, options: FigureOptions) -> list[Panel]:
    """Return how the training went, and the latent points of its frames."""
    figures, record = model.figures, model.history
    out: list[Panel] = [
        ("history", partial(history, record, kept=_kept_epoch(figures))),
        ("divergence", partial(divergence, record, list(figures.get("kl", ())))),
    ]
    usual = () if options.colours else _rg_of(model.observables)
    options = replace(options, observables=options.observables or usual)
    colours = colours_of(model, options)
    for chart in numbers_of_charts(model):
        out += [coloured_points(model, colour, chart) for colour in colours]
        out += [*points_by_observables(model, options, chart), surface(model, options, chart)]
    if np.size(record.get("curvature", ())):
        out.append(("curvature", partial(curvature, record, list(figures.get("curvatures", ())))))
    return [*out, ("reconstruction", partial(reconstruction, figures))]


def _panels_of_free_energy(found: FreeEnergy) -> list[Panel]:
    """Return each map with its errors, the map of the basins first, and the basins."""
    names = sorted(found.maps, key=lambda name: name != found.basins_of)[:MOST_CHARTS]
    out: list[Panel] = []
    for name in names:
        out.append(("free_energy", partial(energy_map, found, name)))
        if len(found.maps[name].edges) > 1:  # of one coordinate the errors stand in the same panel
            out.append(("free_energy_error", partial(energy_error, found, name)))
    return [*out, ("basins", partial(basins, found))]


def _panels_of_conformations(conformations: Conformations[Figures], options: FigureOptions) -> list[Panel]:
    """Return the panels of a path, of an optimisation, or of draws."""
    if conformations.task == "path":
        return _panels_of_path(conformations, options)
    descent = conformations.descent
    if conformations.task == "optimize" and descent is not None:
        line = replace(conformations, latent=descent.latent)
        optimum: Panel = ("optimisation", partial(optimisation, conformations))
        return [optimum, *_lines(line, options), *_distributions(conformations, options.observables)]
    observables = conformations.observables
    reasons: list[Panel] = [("validity", partial(validity, conformations))] if "invalid_reason" in observables else []
    names = options.observables or [name for name in _USUAL if name in observables]
    return [*_draws(conformations, options), *reasons, *_distributions(conformations, names)]


def _panels_of_path(path: Conformations[Figures], options: FigureOptions) -> list[Panel]:
    """Return the line of a path, its distance from the simulation, its speed, and observables along it."""
    names = options.observables or _rg_of(path.observables)
    measured: list[Panel] = [("path_distance", partial(path_distance, path))]
    if "speed" in path.observables:
        measured.append(("path_speed", partial(path_speed, path)))
    along: list[Panel] = [("along", partial(observable_along_path, path, name)) for name in names]
    return [*_lines(path, options), *measured, *along]


def _distributions(conformations: Conformations[Figures], names: Sequence[str]) -> list[Panel]:
    return [("distribution", partial(distribution, conformations, name)) for name in names]


def _draws(conformations: Conformations[Figures], options: FigureOptions) -> list[Panel]:
    """Return latent points of new conformations, coloured by their radius of gyration unless others are named."""
    names = options.colours or _rg_of(conformations.observables)
    coloured = [coloured_points(conformations, colour_of(conformations, name, options.trajectory)) for name in names]
    return coloured or [("latent", partial(latent, conformations))]


def _lines(line: Conformations[Figures], options: FigureOptions) -> list[Panel]:
    """Return the line in each part of the latent space, over its free energy where that is asked for."""
    below = options.over
    if below is not None:
        _check_below(line, below)
    out: list[Panel] = []
    for number, chart in enumerate(charts_of(line)[:MOST_CHARTS]):
        single = isinstance(chart, Flat) and len(chart.coordinates) == 1  # there is nothing below it to see
        plain = partial(latent_path, line, chart=number)
        out.append(("way", plain if below is None or single else partial(_line_over, line, below, options, number)))
    return out


def _check_below(line: Conformations[Figures], below: Embedding | TrainedModel) -> None:
    """Refuse latent points of another space, or of another model, below a line."""
    if below.latent.shape[1] != line.latent.shape[1] or line.geometry not in ("", below.geometry):
        raise OptionError("the free energy is of another latent space")
    if line.model_hash and below.model_hash and line.model_hash != below.model_hash:
        raise OptionError(
            f"'{below.path}' is of another model ({below.model_hash[:8]}) than the way ({line.model_hash[:8]}): the "
            "latent points of two models have nothing to do with each other; take the embed.h5 or model.h5 of one"
        )


def _line_over(
    line: Conformations[Figures],
    below: Embedding | TrainedModel,
    options: FigureOptions,
    chart: int,
    ax: Axes | None = None,
) -> Axes:
    """Draw a free energy, and a line over it."""
    under = surface(below, options, chart)[1](ax=ax)
    return latent_path(replace(line, geometry=below.geometry), chart=chart, ax=under)


def _rg_of(observables: Mapping[str, Quantity]) -> tuple[str, ...]:
    """Return the name of the radius of gyration, of a file that has it: it is drawn where nothing is asked for."""
    return ("rg",) if "rg" in observables else ()


def _kept_epoch(figures: Mapping[str, object]) -> int | None:
    """Return the epoch whose weights a model has; None in files of versions that did not say."""
    kept = figures.get("kept_epoch")
    return int(kept) if isinstance(kept, int | float) else None


def added_panels(result: object) -> list[tuple[str, DrawPanel]]:
    """Return the panels of `PANELS` that suit a result."""
    made = ((name, suiting(result)) for name, suiting in PANELS.items())
    return [(name, draw) for name, draw in made if draw is not None]
