"""Panels of latent points, and the options of a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from matplotlib.axes import Axes

from trajvae.errors import OptionError
from trajvae.plots.colours import Colour, Trajectory, colour_of, names_of_numbers
from trajvae.plots.energy import free_energy
from trajvae.plots.latent import latent
from trajvae.plots.spaces import charts_of
from trajvae.results import Embedding, LatentPoints, TrainedModel

MOST_CHARTS = 3  # parts of a latent space that have panels of their own, at most
Panel: TypeAlias = tuple[str, Callable[..., Axes]]


@dataclass(frozen=True)
class FigureOptions:
    """Hold the options of a figure.

    Attributes
    ----------
    temperature : float, optional
        K, of free energies; without it they are in kT.
    bins : int, optional
        See `free_energy`.
    observables : sequence of str
        Names of those that have a panel each, where a file holds many.
    over : Embedding or TrainedModel, optional
        Latent points whose free energy is drawn below a path or an optimisation, and their density below trajectories.
    colours : sequence of str
        What latent points are coloured by instead of time, a panel each; see `colours.colour_of`.
    trajectory : Trajectory
        Where measures of atoms are read from.
    """

    temperature: float | None = None
    bins: int | None = None
    observables: Sequence[str] = ()
    over: Embedding | TrainedModel | None = None
    colours: Sequence[str] = ()
    trajectory: Trajectory = field(default_factory=Trajectory)


def numbers_of_charts(points: LatentPoints) -> range:
    """Return the numbers of the parts of a latent space that are drawn."""
    return range(min(len(charts_of(points)), MOST_CHARTS))


def colours_of(points: LatentPoints, options: FigureOptions) -> list[Colour]:
    """Return the colours that the options name, for latent points."""
    return [colour_of(points, text, options.trajectory) for text in options.colours]


def coloured_points(points: LatentPoints, colour: Colour, chart: int = 0) -> Panel:
    """Return latent points in a colour."""
    return "latent", partial(
        latent,
        points,
        chart=chart,
        colour=colour.values,
        label=colour.label,
        period=colour.period,
        categories=colour.categories,
    )


def surface(points: Embedding | TrainedModel, options: FigureOptions, chart: int) -> Panel:
    """Return the free energy of a part of the latent space."""
    return "free_energy", partial(free_energy, points, chart=chart, temperature=options.temperature, bins=options.bins)


def points_by_observables(points: Embedding | TrainedModel, options: FigureOptions, chart: int = 0) -> list[Panel]:
    """Return points coloured by each of the observables named, which have one number a frame."""
    known = names_of_numbers(points)
    for name in options.observables:
        if name not in known:
            raise OptionError(f"no observable '{name}'; there are {', '.join(known)}")
    return [coloured_points(points, colour_of(points, name), chart) for name in options.observables]
