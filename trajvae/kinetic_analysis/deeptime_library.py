"""What deeptime computes, of which this is the only importer: TICA, VAMP scores, Markov models, committors and k-means.

References
----------
M. Hoffmann et al., Mach. Learn.: Sci. Technol. 3, 015009 (2022): deeptime.
G. Perez-Hernandez et al., J. Chem. Phys. 139, 015102 (2013): TICA.
H. Wu, F. Noe, J. Nonlinear Sci. 30, 23 (2020): VAMP scores, eq. 33, and their cross-validation.
B. Trendelkamp-Schroer et al., J. Chem. Phys. 143, 174101 (2015): reversible transition matrices.
S. Roeblitz, M. Weber, Adv. Data Anal. Classif. 7, 147 (2013): metastable sets, PCCA+.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from trajvae.errors import MissingPackageError
from trajvae.typing import Bool, Float64, Int64

DeeptimeObject: TypeAlias = Any  # deeptime has no types, so the type checker knows nothing of its objects
_CUTOFF = 1e-6  # of eigenvalues of covariances of standardised coordinates: what is below is constant
_LARGEST_SEED = 2**31 - 1
_MOST_POINTS = 50_000  # that centres of clusters are found by


_MISSING = "kinetics needs the package deeptime, which is not installed: pip install 'trajvae[kinetics]'"


def _deeptime(module: str) -> DeeptimeObject:
    """Import a module of deeptime.

    Raises
    ------
    MissingPackageError
    """
    try:
        return importlib.import_module(f"deeptime.{module}")
    except ImportError as error:
        raise MissingPackageError(_MISSING) from error


def check_deeptime() -> None:
    """Refuse to begin without deeptime, which is not imported here: that takes seconds.

    Raises
    ------
    MissingPackageError
    """
    if importlib.util.find_spec("deeptime") is None:
        raise MissingPackageError(_MISSING)


class LaggedPairs(NamedTuple):
    """Hold coordinates of pairs of frames that are a lag apart.

    Attributes
    ----------
    first, second : ndarray, shape (P, F)
    weights : ndarray, shape (P,), optional
        How much each pair counts; None where all count alike.
    """

    first: Float64
    second: Float64
    weights: Float64 | None = None

    def some(self, which: Bool) -> LaggedPairs:
        """Return some of the pairs."""
        return LaggedPairs(self.first[which], self.second[which], None if self.weights is None else self.weights[which])


@dataclass(frozen=True, eq=False)
class Tica:
    """Hold the slow linear functions of coordinates, the slowest first.

    Attributes
    ----------
    mean, scale : ndarray, shape (F,)
        By which coordinates are standardised; a coordinate that is constant has the scale infinity.
    functions : ndarray, shape (F, K)
        Coefficients of the functions, of standardised coordinates; K is the rank of their covariance.
    eigenvalues : ndarray, shape (K,)
        Autocorrelation of each function after the lag, ordered by size without the sign.
    """

    mean: Float64
    scale: Float64
    functions: Float64
    eigenvalues: Float64
    _model: DeeptimeObject

    @classmethod
    def fit(cls, pairs: LaggedPairs) -> Tica:
        """Find the slow functions of pairs, in equilibrium: either order of a pair counts alike."""
        both = np.concatenate([pairs.first, pairs.second])
        mean, spread = both.mean(axis=0), both.std(axis=0)
        size = np.maximum(np.abs(mean), 1e-150)
        scale = np.where(spread > 1e-10 * size, spread, np.inf)
        if not np.isfinite(scale).any():
            return cls(mean, scale, np.empty((len(mean), 0)), np.empty(0), None)
        held = _covariances(pairs, mean, scale)
        library = _deeptime("decomposition")
        model = library.TICA(lagtime=1, scaling=None, epsilon=_CUTOFF).fit_from_covariances(held).fetch_model()
        functions = np.asarray(model.instantaneous_coefficients, dtype=np.float64)
        return cls(mean, scale, functions, np.asarray(model.singular_values, dtype=np.float64), model)

    def apply(self, coordinates: Float64, dim: int | None = None) -> Float64:
        """Return the slowest `dim` functions of coordinates (T, F), (T, K)."""
        return np.asarray(((coordinates - self.mean) / self.scale) @ self.functions[:, :dim])

    def vamp2(self, test: LaggedPairs, dim: int | None = None) -> float:
        """Return the VAMP-2 score of the slowest `dim` functions and the constant on other pairs."""
        if not self.functions.shape[1]:
            return 1.0
        held = _covariances(test, self.mean, self.scale)
        dim = self.functions.shape[1] if dim is None else dim
        return float(_deeptime("decomposition").vamp_score(self._model, 2, held, dim, _CUTOFF))


def _covariances(pairs: LaggedPairs, mean: Float64, scale: Float64) -> DeeptimeObject:
    """Return deeptime's covariances of standardised pairs, symmetrised, without the mean."""
    estimator = _deeptime("covariance").Covariance(
        lagtime=1, compute_c0t=True, remove_data_mean=True, reversible=True, bessels_correction=False
    )
    standard = ((pairs.first - mean) / scale, (pairs.second - mean) / scale)
    return estimator.partial_fit(standard, weights=pairs.weights).fetch_model()


class ReversibleModel(NamedTuple):
    """Hold the most likely reversible transition matrix of counts.

    Attributes
    ----------
    transition : ndarray, shape (S, S)
    stationary : ndarray, shape (S,)
    """

    transition: Float64
    stationary: Float64


def reversible_model(counts: Float64) -> ReversibleModel:
    """Return the most likely reversible transition matrix of counts (S, S) of connected states."""
    markov = _deeptime("markov")
    estimator = _deeptime("markov.msm").MaximumLikelihoodMSM(reversible=True)
    model = estimator.fit(markov.TransitionCountModel(np.asarray(counts, dtype=np.float64), lagtime=1)).fetch_model()
    return ReversibleModel(np.asarray(model.transition_matrix), np.asarray(model.stationary_distribution))


def largest_connected(counts: Float64) -> Int64:
    """Return the numbers of the states of the largest set that counts (S, S) connect both ways, ascending."""
    model = _deeptime("markov").TransitionCountModel(np.asarray(counts, dtype=np.float64), lagtime=1)
    return np.sort(np.asarray(model.connected_sets()[0], dtype=np.int64))


def metastable_sets(model: ReversibleModel, n: int) -> Int64:
    """Return the number of the metastable set, of n, that each state belongs to most, by PCCA+, (S,)."""
    found = _deeptime("markov").pcca(model.transition, n, stationary_distribution=model.stationary)
    return np.asarray(found.assignments, dtype=np.int64)


def k_means(points: Float64, n: int, seed: int) -> Float64:
    """Return n centres (n, k) of points (T, k), by k-means; fewer where there are fewer different points."""
    random = np.random.default_rng(seed)
    some = points if len(points) <= _MOST_POINTS else points[np.sort(random.permutation(len(points))[:_MOST_POINTS])]
    different = np.unique(some, axis=0)
    if len(different) <= n:
        return different
    own = int(random.integers(_LARGEST_SEED))
    estimator = _deeptime("clustering").KMeans(n, max_iter=200, fixed_seed=own, n_jobs=1)
    return np.asarray(estimator.fit(np.ascontiguousarray(some)).fetch_model().cluster_centers, dtype=np.float64)


def forward_committor(transition: Float64, source: Int64, target: Int64) -> Float64:
    """Return the probability of each state (S,) to enter the target's states before the source's."""
    found = _deeptime("markov.tools.analysis").committor(np.asarray(transition, dtype=np.float64), source, target)
    return np.asarray(found, dtype=np.float64)
