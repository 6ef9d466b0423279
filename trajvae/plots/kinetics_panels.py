"""The panels of kinetics."""

from __future__ import annotations

from functools import partial

from trajvae.plots.kinetics import (
    chapman_kolmogorov,
    committor,
    outcomes,
    scores,
    slowest_timescales,
    timescales,
)
from trajvae.plots.latent_panels import FigureOptions, Panel, coloured_points, colours_of, numbers_of_charts
from trajvae.results import Kinetics


def panels_of_kinetics(found: Kinetics, options: FigureOptions) -> list[Panel]:
    """Return time scales, scores, the test of the Markov model, the committor where there is one, and colours."""
    out: list[Panel] = [
        ("timescales", partial(timescales, found)),
        ("slowest_timescales", partial(slowest_timescales, found)),
        ("scores", partial(scores, found)),
        ("chapman_kolmogorov", partial(chapman_kolmogorov, found)),
    ]
    charts = numbers_of_charts(found)
    if found.committor is not None:
        out += [("committor", partial(committor, found, chart=chart)) for chart in charts]
        out.append(("outcomes", partial(outcomes, found)))
    return [*out, *(coloured_points(found, c, chart) for c in colours_of(found, options) for chart in charts)]
