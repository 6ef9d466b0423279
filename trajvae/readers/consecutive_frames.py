"""Decide which frames are consecutive in time, by the times that files give: restarts and gaps are found."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.typing import Bool, Float64, Int64

GAP = 1.5  # a time step longer than this many usual steps is a gap: frames are missing
_WINDOW = 3  # number of steps, before and after a step, whose median is the usual step
_RESOLUTION = 4 * float(np.finfo(np.float32).eps)  # most formats store times in float32


def is_consecutive(steps: Float64, before: Float64, resolution: Float64) -> Bool:
    """Return which time steps join consecutive frames, and are neither steps back in time nor gaps.

    A step is a gap where it exceeds 1.5 times the usual step on both sides, so a change of the output interval is not a
    gap. Files without times have no positive step; their frames are taken to be consecutive.

    Parameters
    ----------
    steps : ndarray, shape (T,)
        Time of each frame minus that of the frame before it, in ps.
    before : ndarray, shape (K,)
        The last steps before these, if any.
    resolution : ndarray, shape (T,)
        Rounding errors of the times in ps; smaller differences have no meaning.

    Returns
    -------
    ndarray of bool, shape (T,)
    """
    all_steps = np.concatenate([before, steps])
    if len(all_steps) and 0.0 < all_steps.max() <= GAP * all_steps.min():
        return np.ones(len(steps), dtype=bool)
    if not (all_steps > 0.0).any():
        return np.full(len(steps), not (all_steps < 0.0).any())
    usual = np.fmax(_median_of_previous(all_steps), _median_of_previous(all_steps[::-1])[::-1])[len(before) :]
    unresolved = ~(usual > resolution)  # the usual step is less than the rounding error, or unknown
    forward = (steps > 0.0) | (unresolved & (steps > -resolution))
    return np.asarray(forward & (unresolved | (steps <= GAP * usual + resolution)))


def _median_of_previous(steps: Float64) -> Float64:
    """Return the median of the positive steps among the three before each step, (T,); NaN where none is positive."""
    positive = np.where(steps > 0.0, steps, np.nan)
    padded = np.concatenate([np.full(_WINDOW, np.nan), positive])
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[: len(steps)], axis=1)
    count = np.isfinite(windows).sum(axis=1)
    middle = windows[np.arange(len(steps)), np.maximum(count - 1, 0) // 2]
    return np.asarray(np.where(count > 0, middle, np.nan))


class ConsecutiveFrames:
    """Find, for a data set that is read in chunks, which frames come directly after the frame before them in time.

    Parameters
    ----------
    names : sequence of str
        Names of the files, for warnings.

    Warns
    -----
    TrajvaeWarning
        The times of a file step back, or a file begins before the end of the file before it, as overlapping restarts
        do. There is one warning for each file.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._file, self._frame = -1, np.int64(0)
        self._first = self._last = np.nan
        self._steps = np.empty(0)
        self._warned: set[int] = set()

    def has_predecessor(self, file: int, frame: Int64, time: Float64) -> Bool:
        """Return whether each frame comes directly after the one before it in time, and remember the last frame.

        Parameters
        ----------
        file : int
            Number of the file that all these frames are read from.
        frame : ndarray of int64, shape (t,)
            Numbers of the frames in the file.
        time : ndarray, shape (t,)
            ps.
        """
        new = file != self._file
        if new:
            self._begin(file, frame[0], float(time[0]))
        rows = slice(int(new), None)
        steps = np.diff(time, prepend=self._last)[rows]
        ahead = np.diff(frame, prepend=self._frame)[rows] > 0  # a list of frames may go back and forth
        consecutive = is_consecutive(steps, self._steps, _RESOLUTION * np.abs(time[rows])) & ahead
        self._report_step_back(file, frame[rows], time[rows], steps, ahead & ~consecutive)
        self._steps = np.concatenate([self._steps, steps])[-_WINDOW:]
        self._frame, self._last = frame[-1], float(time[-1])
        return np.concatenate([np.zeros(int(new), dtype=bool), consecutive])

    def _begin(self, file: int, frame: np.int64, first: float) -> None:
        """Start a file; warn if it begins before the end of the file before it."""
        if self._file >= 0 and self._first < first <= self._last:
            self._warn(
                file,
                f"'{self._names[file]}' begins at {first:g} ps, before '{self._names[self._file]}' ends "
                f"({self._last:g} ps): the runs overlap, and all of their frames are used",
            )
        self._file, self._frame = file, frame
        self._first, self._steps = first, np.empty(0)

    def _report_step_back(self, file: int, frame: Int64, time: Float64, steps: Float64, broken: Bool) -> None:
        """Warn of the first of some steps that goes back in time."""
        back = np.flatnonzero(broken & (steps <= 0.0))
        if len(back):
            k = back[0]
            self._warn(
                file,
                f"the times of '{self._names[file]}' step back at frame {frame[k]} ({time[k] - steps[k]:g} to "
                f"{time[k]:g} ps), as where a run was restarted: all frames are used, those on either side are not "
                "neighbours",
            )

    def _warn(self, file: int, text: str) -> None:
        """Warn about a file, once."""
        if file not in self._warned:
            self._warned.add(file)
            warnings.warn(text, TrajvaeWarning, stacklevel=4)


def at_usual_stride(frames: Int64) -> Bool:
    """Return which of some frames come after the one before them by the most frequent step forward, (T,).

    Frames that a user lists one by one need not be evenly spaced, nor in order.

    Parameters
    ----------
    frames : ndarray of int64, shape (T,)
        Numbers of frames.
    """
    distance = np.diff(frames)
    if not (distance > 0).any():
        return np.zeros(len(frames), dtype=bool)
    different, count = np.unique(distance[distance > 0], return_counts=True)
    return np.concatenate([[False], distance == different[count.argmax()]])
