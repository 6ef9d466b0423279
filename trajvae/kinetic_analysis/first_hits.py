"""Which of two regions a trajectory enters first after each of its frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.errors import ReadError
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.typing import Bool, Float64, Int64


@dataclass(frozen=True, eq=False)
class FirstHits:
    """Hold where each frame's trajectory goes first.

    Attributes
    ----------
    hit : ndarray of int64, shape (T,)
        Number of the first frame, from this one on and in the same run, that lies in either region; the number of
        frames where the run ends before.
    outcome : ndarray, shape (T,)
        1 where that frame lies in the target, 0 where it lies in the source, NaN where there is none.
    excursion : ndarray of int64, shape (T,)
        Number of the stretch of frames between visits to the regions that a frame is part of; -1 of frames in a region.
        All frames of a stretch have one outcome.
    run : ndarray of int64, shape (T,)
        Number of the run of each frame.
    """

    hit: Int64
    outcome: Float64
    excursion: Int64
    run: Int64

    @property
    def outside(self) -> Bool:
        """Frames (T,) in neither region whose outcome is known."""
        return (self.excursion >= 0) & np.isfinite(self.outcome)

    def passages(self) -> tuple[int, int]:
        """Return how often a region is entered after the other one: the target after the source, and back."""
        inside = np.flatnonzero(self.excursion < 0)
        step = np.diff(self.outcome[inside])[np.diff(self.run[inside]) == 0]
        return int((step > 0.0).sum()), int((step < 0.0).sum())


def first_hits(source: Bool, target: Bool, times: FrameTimes) -> FirstHits:
    """Find which region is entered first after each frame; a run ends at the end of a file, a gap or a restart.

    Parameters
    ----------
    source, target : ndarray of bool, shape (T,)
        Frames in each region.
    times : FrameTimes
    """
    count = len(source)
    inside = source | target
    run = runs_of(times)
    number = np.arange(count)
    hit = np.minimum.accumulate(np.where(inside, number, count)[::-1])[::-1]
    known = (hit < count) & (run[np.minimum(hit, count - 1)] == run)
    hit = np.where(known, hit, count)
    outcome = np.where(known, target[np.minimum(hit, count - 1)].astype(np.float64), np.nan)
    begins = ~inside & np.concatenate([[True], inside[:-1] | (np.diff(run) > 0)])
    excursion = np.where(inside, -1, np.cumsum(begins) - 1)
    return FirstHits(hit.astype(np.int64), outcome, excursion.astype(np.int64), run)


def runs_of(times: FrameTimes) -> Int64:
    """Return the number of the run (T,) of each frame: frames of a run follow each other without a gap."""
    follows = np.zeros(len(times.file), dtype=bool)
    try:
        follows[times.pairs(Lag(1.0, True))[1]] = True
    except ReadError:  # no two frames follow each other
        pass
    return np.asarray(np.cumsum(~follows) - 1, dtype=np.int64)
