"""How well committors predict which region trajectories do enter, in frames that they were not estimated from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.kinetic_analysis.committor_equations import StoppedPairs, committor_of_pairs
from trajvae.kinetic_analysis.first_hits import FirstHits
from trajvae.results.committor import Calibration
from trajvae.typing import Bool, Float64, Int64

FOLDS = 5
BLOCKS = 40  # of whole excursions, in order of time, that errors are made of
_EDGES = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Compare committors of Markov states with outcomes.

    Parameters
    ----------
    hits : FirstHits
    pairs : StoppedPairs
    source, target : ndarray of bool, shape (T,)

    Attributes
    ----------
    block : ndarray of int64, shape (T,)
        Number of the block of each frame outside the regions whose outcome is known, else -1.
    """

    hits: FirstHits
    pairs: StoppedPairs
    source: Bool
    target: Bool
    block: Int64

    @classmethod
    def of(cls, hits: FirstHits, pairs: StoppedPairs, source: Bool, target: Bool) -> Outcomes:
        """Part the frames outside the regions into blocks of whole excursions with about as many frames each."""
        block = np.full(len(source), -1, dtype=np.int64)
        outside = np.flatnonzero(hits.outside)
        number = np.unique(hits.excursion[outside], return_inverse=True)[1]
        size = np.bincount(number)
        middle = np.cumsum(size) - 0.5 * size  # of each excursion, in frames
        block[outside] = np.minimum(middle * BLOCKS / max(len(outside), 1), BLOCKS - 1).astype(np.int64)[number]
        return cls(hits, pairs, source, target, block)

    def predicted(self, states: Int64) -> Float64:
        """Return the committor (T,) of frames from the excursions of other blocks; NaN of frames without outcome.

        Where Markov states have no committor, it is the mean outcome of the other blocks.

        Parameters
        ----------
        states : ndarray of int64, shape (T,)
            Number of the Markov state of each frame, or -1.
        """
        out, fold = np.full(len(states), np.nan), np.where(self.block < 0, -1, self.block % FOLDS)
        for k in range(FOLDS):
            own, others = fold == k, (fold >= 0) & (fold != k)
            if not own.any() or not others.any():
                continue
            found = committor_of_pairs(states, self.pairs.of_frames(others), self.source, self.target)
            usual = float(self.hits.outcome[others].mean())
            known = np.append(np.where(np.isnan(found), usual, found), usual)  # the last is of state -1
            out[own] = known[states[own]]
        return out

    def explained(self, predicted: Float64) -> tuple[float, float]:
        """Return the share of the variance of the outcomes that is predicted, and its standard error.

        1 - sum (y - q)^2 / sum (y - mean of y)^2 over frames outside the regions, y being the outcome and q the
        prediction; the error is a jackknife's over the blocks. Negative where the mean would predict better.
        """
        known = np.isfinite(predicted)
        y, q, block = self.hits.outcome[known], predicted[known], self.block[known]
        sums = np.stack([np.bincount(block, x, BLOCKS) for x in (np.ones_like(y), y, y**2, (y - q) ** 2)])
        sums = sums[:, sums[0] > 0]
        count = sums.shape[1]
        if count < 2:
            return float("nan"), float("nan")
        left = _share(sums.sum(axis=1, keepdims=True) - sums)
        error = ((count - 1) * np.nanmean((left - np.nanmean(left)) ** 2)) ** 0.5 if np.isfinite(left).any() else np.nan
        return float(_share(sums.sum(axis=1))), float(error)

    def calibration(self, predicted: Float64) -> Calibration:
        """Return predictions beside outcomes, in classes of the prediction; errors are those of the excursions."""
        known = np.flatnonzero(np.isfinite(predicted))
        q, y = predicted[known], self.hits.outcome[known]
        group = np.clip(np.searchsorted(_EDGES, q, side="right") - 1, 0, len(_EDGES) - 2)
        count = np.bincount(group, minlength=len(_EDGES) - 1)
        kept = np.flatnonzero(count)
        mean, share = (np.bincount(group, x, len(count))[kept] / count[kept] for x in (q, y))
        pair, of = np.unique(np.stack([group, self.hits.excursion[known]]), axis=1, return_inverse=True)
        rest = np.bincount(of.ravel(), y - share[np.searchsorted(kept, group)])  # of an excursion in a class
        excursions = np.bincount(pair[0], minlength=len(count))[kept]
        square = np.bincount(pair[0], rest**2, len(count))[kept]
        few = excursions / np.maximum(excursions - 1, 1)
        error = np.where(excursions > 1, (square * few) ** 0.5 / count[kept], np.nan)
        return Calibration(mean, share, error, count[kept], excursions)


def _share(sums: Float64) -> Float64:
    """1 - sum (y - q)^2 / sum (y - mean)^2 of sums of 1, y, y^2 and (y - q)^2; NaN where all outcomes are alike."""
    n, y, square, rest = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = square - y**2 / n
        return np.asarray(np.where(spread > 1e-12, 1.0 - rest / spread, np.nan))
