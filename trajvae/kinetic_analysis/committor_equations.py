"""The committor: the probability that a trajectory enters one region before another.

It solves q(x) = E[q(x_s)], q being 0 in the source and 1 in the target, where s is the lag time or the time of the
first visit to either region, whichever comes first. Markov states stand for x, so that this is a system of linear
equations. Trajectories that are stopped at their first visit make it exact at any lag time; transition probabilities of
the lag time alone would miss visits that are shorter.

References
----------
W. E, E. Vanden-Eijnden, Annu. Rev. Phys. Chem. 61, 391 (2010): the committor.
E. H. Thiede, D. Giannakis, A. R. Dinner, J. Weare, J. Chem. Phys. 150, 244111 (2019): its estimate from short
trajectories.
J. Strahan, A. Antoszewski, C. Lorpaiboon, B. P. Vani, J. Weare, A. R. Dinner, J. Chem. Theory Comput. 17, 2948 (2021):
trajectories that are stopped at the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.errors import OptionError
from trajvae.kinetic_analysis.deeptime_library import forward_committor
from trajvae.kinetic_analysis.first_hits import FirstHits
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.typing import Bool, Float64, Int64

_TOLERANCE = 1e-8  # by which the rows of a transition matrix may differ from 1


def committor_of_states(transition: Float64, source: Int64, target: Int64) -> Float64:
    """Compute the probability of each Markov state that the chain enters the target before the source.

    Parameters
    ----------
    transition : ndarray, shape (S, S)
        Transition matrix; each row has the sum 1.
    source, target : ndarray of int64
        Numbers of the states of each; no state is part of both.

    Returns
    -------
    ndarray, shape (S,)
        0 in the source, 1 in the target.

    Raises
    ------
    OptionError
        No transition matrix; states that are in both, in neither number; states that lead to neither.
    MissingPackageError
        deeptime is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from trajvae.kinetic_analysis.committor_equations import committor_of_states
    >>> chain = np.array([[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.0, 0.1, 0.9]])
    >>> committor_of_states(chain, np.array([0]), np.array([2])).round(3).tolist()
    [0.0, 0.4, 1.0]
    """
    a, b = np.unique(source).astype(np.int64), np.unique(target).astype(np.int64)
    _check_chain(transition, a, b)
    leads = leading_to(transition, np.concatenate([a, b]))
    if not leads.all():
        lost = np.flatnonzero(~leads)
        raise OptionError(
            f"every state must lead to the source or to the target, and {len(lost)} of {len(leads)} lead to neither "
            f"(the first is state {lost[0]}): leave disconnected states out"
        )
    return forward_committor(transition, a, b)


def _check_chain(transition: Float64, source: Int64, target: Int64) -> None:
    """Check a transition matrix and two sets of its states."""
    shape, count = transition.shape, len(transition)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise OptionError(f"a transition matrix is square, got an array of shape {shape}")
    if np.abs(transition.sum(axis=1) - 1.0).max() > _TOLERANCE or transition.min() < -_TOLERANCE:
        raise OptionError("the rows of a transition matrix are probabilities of sum 1, got other rows")
    for name, states in (("source", source), ("target", target)):
        if not len(states) or states.min() < 0 or states.max() >= count:
            raise OptionError(f"the {name} must have states from 0 to {count - 1}, got {states.tolist()}")
    if both := np.intersect1d(source, target).tolist():
        raise OptionError(f"source and target must not overlap: states {both} are in both")


def leading_to(weights: Float64, goal: Int64) -> Bool:
    """Return which states (S,) lead to one of the goal's, by transitions (S, S) that are above 0."""
    count = len(weights)
    backwards = np.zeros((count + 1, count + 1))  # with one more state, which leads to all of the goal's
    backwards[:count, :count] = (weights > 0.0).T
    backwards[count, goal] = 1.0
    reached = scipy.sparse.csgraph.breadth_first_order(backwards, count, return_predecessors=False)
    found = np.zeros(count + 1, dtype=bool)
    found[reached] = True
    return found[:count]


@dataclass(frozen=True, eq=False)
class StoppedPairs:
    """Hold pairs of frames a lag time apart, the second of which is the first visit to a region where that is earlier.

    Attributes
    ----------
    first, second : ndarray of int64, shape (P,)
        Numbers of the frames; the first lies outside both regions.
    """

    first: Int64
    second: Int64

    @classmethod
    def of(cls, times: FrameTimes, lag: Lag, hits: FirstHits) -> StoppedPairs:
        """Return the pairs of all frames outside the regions.

        A frame whose run ends within the lag time is no part of a pair, even where it visits a region before: only
        visits would be counted.

        Raises
        ------
        ReadError, OptionError
            No run is as long as the lag time, or it is no multiple of the time between frames.
        """
        first, second = times.pairs(lag)
        kept = hits.excursion[first] >= 0
        return cls(first[kept], np.minimum(second[kept], hits.hit[first[kept]]))

    def of_frames(self, kept: Bool) -> StoppedPairs:
        """Return the pairs whose first frame is among some (T,)."""
        chosen = kept[self.first]
        return StoppedPairs(self.first[chosen], self.second[chosen])


def committor_of_pairs(states: Int64, pairs: StoppedPairs, source: Bool, target: Bool) -> Float64:
    """Compute the committor of Markov states from pairs of frames.

    The frames in the two regions are states of their own, so that a Markov state of which a part lies in a region
    stands for the rest of its frames.

    Parameters
    ----------
    states : ndarray of int64, shape (T,)
        Number of the Markov state of each frame, or -1.
    pairs : StoppedPairs
    source, target : ndarray of bool, shape (T,)

    Returns
    -------
    ndarray, shape (S,)
        NaN of states without pairs, and of those that lead to no region.

    Raises
    ------
    MissingPackageError
        deeptime is not installed.
    """
    count = int(states.max(initial=-1)) + 1
    ends = np.where(source, count, np.where(target, count + 1, states))
    start, end = states[pairs.first], ends[pairs.second]
    known = (start >= 0) & (end >= 0)
    counts = np.zeros((count + 2, count + 2))
    np.add.at(counts, (start[known], end[known]), 1.0)
    kept = leading_to(counts, np.array([count, count + 1]))
    kept[count:] = True
    inner = counts[np.ix_(kept, kept)]
    size = len(inner)
    inner[size - 2 :] = np.eye(size)[size - 2 :]
    chain = inner / inner.sum(axis=1, keepdims=True)
    out = np.full(count + 2, np.nan)
    out[kept] = committor_of_states(chain, np.array([size - 2]), np.array([size - 1]))
    return np.asarray(np.clip(out[:count], 0.0, 1.0))
