"""One observable's histograms, of the simulation and of the model, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from trajvae.display import Displayed, Summary, scalars
from trajvae.molecule.divergence import bin_edges, circular_wasserstein, histogram, jensen_shannon
from trajvae.typing import Float64


class Wide(NamedTuple):
    """Hold histograms (50,) as in `Marginal`, in bins that cover the model as well, for drawing."""

    edges: Float64
    simulation: Float64
    model: Float64
    second: Float64
    pca: Float64


@dataclass(frozen=True, eq=False, repr=False)
class Marginal(Displayed):
    """Hold one observable's histograms and figures.

    Attributes
    ----------
    unit : str
    edges : ndarray, shape (51,)
    simulation, model : ndarray, shape (50,)
        Probability of each bin, of A and of the model.
    jsd, w1, ks : float
        Jensen-Shannon divergence in bits, Wasserstein-1 distance in the unit, Kolmogorov-Smirnov statistic.
    noise_floor, w1_floor, ks_floor : float
        The same between A and B.
    others : dict of float
        Divergences in bits of other pairs of sets, in the same bins: `random_floor` of random halves, `held_out_floor`,
        `jsd_train` and `jsd_held_out` of held-out and training frames and the model, `jsd_pca` and `jsd_resampled`.
    second, pca : ndarray, shape (50,), optional
        As `simulation`, of B, and of PCA with an isotropic residual.
    beyond : float
        Share of the model's draws that lie beyond the edges, which cover the simulation. They are counted in the
        outermost two bins.
    wide : Wide, optional
        Where half a percent or more of the model, or of PCA, lies beyond the edges.
    """

    unit: str
    edges: Float64
    simulation: Float64
    model: Float64
    jsd: float
    w1: float
    ks: float
    noise_floor: float
    w1_floor: float
    ks_floor: float
    others: dict[str, float] = field(default_factory=dict)
    second: Float64 | None = None
    pca: Float64 | None = None
    beyond: float = 0.0
    wide: Wide | None = None

    def _summary(self) -> Summary:
        title = f"Marginal ({self.unit or 'no unit'}): JSD {self.jsd:.4f} bits, noise floor {self.noise_floor:.4f}"
        return Summary(title, scalars({**vars(self), **self.others}))


def compare(a: Float64, b: Float64, model: Float64, unit: str, period: float = 0.0) -> Marginal:
    """Compare samples of one observable.

    Parameters
    ----------
    a, b : ndarray
        Two sets of the simulation.
    model : ndarray
    unit : str
    period : float
        Of an angle, 0 if none; its histogram covers one period from -period/2, and W1 goes the shorter way round.
        Without one the bins are chosen by the simulation alone, see `divergence.bin_edges`: however far a draw is, it
        changes the divergence by no more than its own weight.
    """
    edges = bin_edges([np.concatenate([a, b])], period)
    pa, pb, pm = (histogram(v, edges) for v in (a, b, model))
    figures = (*_figures(pa, pm, a, model, period), *_figures(pa, pb, a, b, period))
    return Marginal(unit, edges, pa, pm, *figures, beyond=outside(model, edges))


def outside(sample: Float64, edges: Float64) -> float:
    """Return the share of a sample beyond the edges."""
    return float(((sample < edges[0]) | (sample > edges[-1])).mean())


def _figures(p: Float64, q: Float64, a: Float64, b: Float64, period: float) -> tuple[float, float, float]:
    """Jensen-Shannon divergence of the histograms; Wasserstein-1 and Kolmogorov-Smirnov of the samples."""
    from scipy.stats import ks_2samp, wasserstein_distance  # half a second that no other output waits for

    w1 = circular_wasserstein(a, b, period) if period else wasserstein_distance(a, b)
    return float(jensen_shannon(p, q)), float(w1), float(ks_2samp(a, b).statistic)
