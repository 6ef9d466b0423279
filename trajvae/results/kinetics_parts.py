"""The parts of kinetics: scores, implied time scales, the Markov model and its test, and how files hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.display import Brief
from trajvae.results.base import floats
from trajvae.store import Contents, Quantity
from trajvae.store.schema import Tree
from trajvae.typing import Float64, Int64


@dataclass(frozen=True)
class VampScore:
    """Hold the cross-validated VAMP-2 score of some coordinates.

    Attributes
    ----------
    name : str
        What the coordinates are: "latent", "tica", "pca", or a name of your own.
    vamp2 : float
        From 1, which the constant alone has, to the number of coordinates and 1.
    error : float
        Its standard error, over blocks of frames.
    """

    name: str
    vamp2: float
    error: float


@dataclass(frozen=True, eq=False, repr=False)
class TimeScales(Brief):
    """Hold implied time scales, the slowest process first.

    Attributes
    ----------
    lag : ndarray, shape (L,)
        ps, or frames where these have no times; ascending.
    value, error : ndarray, shape (L, K)
        In the same unit, and its standard error; NaN where no such process is resolved at the lag.
    """

    lag: Float64
    value: Float64
    error: Float64

    def arrays(self, unit: str) -> Tree:
        """Return the arrays as files hold them."""
        return {name: Quantity(getattr(self, name), unit) for name in ("lag", "value", "error")}

    @classmethod
    def from_contents(cls, contents: Contents, group: str) -> TimeScales:
        """Return the time scales that a group of a file holds."""
        return cls(*(floats(contents.quantity(f"{group}/{name}")) for name in ("lag", "value", "error")))


@dataclass(frozen=True, eq=False, repr=False)
class MarkovModel(Brief):
    """Hold a Markov state model, reversible, on states that are clusters of latent points.

    Attributes
    ----------
    transition : ndarray, shape (S, S)
        Probability of being in state j a lag after state i; each row adds up to 1.
    stationary : ndarray, shape (S,)
        Probability of each state in equilibrium.
    states : ndarray of int64, shape (T,)
        State of each frame; -1 outside the largest set of states that are connected both ways.
    centers : ndarray, shape (S, ambient)
        Centre of each state in the latent space.
    lag_frames : int
        The lag, as a number of frames.
    lag : float
        The lag in ps, or in frames where these have no times.
    """

    transition: Float64
    stationary: Float64
    states: Int64
    centers: Float64
    lag_frames: int
    lag: float

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return len(self.stationary)

    def arrays(self) -> Tree:
        """Return the arrays as files hold them, the states of frames apart."""
        return {name: Quantity(getattr(self, name)) for name in ("transition", "stationary", "centers")}

    @classmethod
    def from_contents(cls, contents: Contents, group: str) -> MarkovModel:
        """Return the Markov model that a group of a file holds."""
        marks = contents.marks[group]
        return cls(
            transition=floats(contents.quantity(f"{group}/transition")),
            stationary=floats(contents.quantity(f"{group}/stationary")),
            states=contents.array("observables/state/value").astype(np.int64),
            centers=floats(contents.quantity(f"{group}/centers")),
            lag_frames=int(marks["lag_frames"]),
            lag=float(marks["lag"]),
        )


@dataclass(frozen=True, eq=False, repr=False)
class ChapmanKolmogorov(Brief):
    """Hold the test of a Markov model on metastable sets of its states.

    Attributes
    ----------
    sets : ndarray of int64, shape (S,)
        Number of the metastable set of each state.
    population : ndarray, shape (M,)
        Probability of each set in equilibrium.
    lag : ndarray, shape (K,)
        Multiples of the model's lag, in its unit.
    predicted : ndarray, shape (K, M)
        Probability of being in a set again after that lag, by the Markov model.
    estimated, error : ndarray, shape (K, M)
        The same counted in the trajectory, and the standard error of the difference from the prediction.
    """

    sets: Int64
    population: Float64
    lag: Float64
    predicted: Float64
    estimated: Float64
    error: Float64

    @property
    def deviation(self) -> float:
        """Largest difference of prediction and estimate, in standard errors; 0 where nothing could be compared."""
        known = self.error > 0.0
        off = np.abs(self.predicted - self.estimated)[known] / self.error[known]
        return float(off.max(initial=0.0))

    def arrays(self, unit: str) -> Tree:
        """Return the arrays as files hold them."""
        plain = ("sets", "population", "predicted", "estimated", "error")
        return {"lag": Quantity(self.lag, unit), **{name: Quantity(getattr(self, name)) for name in plain}}

    @classmethod
    def from_contents(cls, contents: Contents, group: str) -> ChapmanKolmogorov:
        """Return the test that a group of a file holds."""
        names = ("population", "lag", "predicted", "estimated", "error")
        held = {name: floats(contents.quantity(f"{group}/{name}")) for name in names}
        return cls(sets=contents.array(f"{group}/sets").astype(np.int64), **held)
