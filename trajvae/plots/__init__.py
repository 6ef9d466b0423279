"""Figures of everything that trajvae returns: functions that take the data and, if wanted, an `Axes`.

    from trajvae import plots
    ax = plots.free_energy(model.encode(universe), temperature=310)
    ax.figure.savefig("free_energy.pdf")

They draw with matplotlib's objects alone: no window, no backend, no state of pyplot is touched. Figures of several
panels, as `trajvae plot FILE` writes them, are `draw(panels_of(read("embed.h5")))`.
"""

from trajvae.plots.colours import Trajectory, colour_of
from trajvae.plots.conformations import (
    distribution,
    observable_along_path,
    optimisation,
    path_distance,
    path_speed,
    validity,
)
from trajvae.plots.energy import free_energy
from trajvae.plots.evidence import bounds, evidence
from trajvae.plots.figures import check_format, draw, save
from trajvae.plots.free_energies import basins, energy_error, energy_map
from trajvae.plots.history import curvature, divergence, history, reconstruction
from trajvae.plots.kinetics import chapman_kolmogorov, committor, outcomes, scores, slowest_timescales, timescales
from trajvae.plots.latent import frame_jumps, latent, latent_path
from trajvae.plots.latent_panels import FigureOptions
from trajvae.plots.marginals import divergences, marginal
from trajvae.plots.overlay import overlay
from trajvae.plots.panels import PANELS, panels_of, select_panels
from trajvae.plots.spaces import charts_of
from trajvae.results import load as read
from trajvae.results import load_latent_points as read_points

# names of earlier versions
way, along, chosen, Look = latent_path, observable_along_path, select_panels, FigureOptions

__all__ = [
    "PANELS",
    "FigureOptions",
    "Trajectory",
    "basins",
    "bounds",
    "chapman_kolmogorov",
    "charts_of",
    "check_format",
    "colour_of",
    "committor",
    "curvature",
    "distribution",
    "divergence",
    "divergences",
    "draw",
    "energy_error",
    "energy_map",
    "evidence",
    "frame_jumps",
    "free_energy",
    "history",
    "latent",
    "latent_path",
    "marginal",
    "observable_along_path",
    "optimisation",
    "outcomes",
    "overlay",
    "panels_of",
    "path_distance",
    "path_speed",
    "read",
    "read_points",
    "reconstruction",
    "save",
    "scores",
    "select_panels",
    "slowest_timescales",
    "timescales",
    "validity",
]
