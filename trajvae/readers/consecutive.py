"""Neighbours in time: which frame comes next after the frame before it, by the times that the files give."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.typing import Bool, Float64, Int64

GAP = 1.5  # times the usual time step, beyond which frames are missing
_NEAR = 3  # steps before and after a step that define the usual one
_RESOLUTION = 4 * float(np.finfo(np.float32).eps)  # most formats store times in float32


def continues(steps: Float64, before: Float64, resolution: Float64) -> Bool:
    """Tell the time steps within a run from steps back and from gaps.

    A step is a gap where it exceeds 1.5 times the usual step on both sides, so that a change of the output interval is
    none. Files without times have no positive step; their frames are taken to be consecutive.

    Parameters
    ----------
    steps : ndarray, shape (T,)
        Time of each frame minus that of the frame before it, in ps.
    before : ndarray, shape (K,)
        The last steps before these, if any.
    resolution : ndarray, shape (T,)
        Differences in ps that the file's numbers do not resolve.

    Returns
    -------
    ndarray of bool, shape (T,)
    """
    every = np.concatenate([before, steps])
    if len(every) and 0.0 < every.max() <= GAP * every.min():
        return np.ones(len(steps), dtype=bool)
    if not (every > 0.0).any():
        return np.full(len(steps), not (every < 0.0).any())
    usual = np.fmax(_median_of_previous(every), _median_of_previous(every[::-1])[::-1])[len(before) :]
    fine = ~(usual > resolution)  # too fine to be judged, or nothing to compare with
    forward = (steps > 0.0) | (fine & (steps > -resolution))
    return np.asarray(forward & (fine | (steps <= GAP * usual + resolution)))


def _median_of_previous(steps: Float64) -> Float64:
    """Median of the positive ones among the three steps before each step, (T,); NaN where there is none."""
    positive = np.where(steps > 0.0, steps, np.nan)
    padded = np.concatenate([np.full(_NEAR, np.nan), positive])
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, _NEAR)[: len(steps)], axis=1)
    count = np.isfinite(windows).sum(axis=1)
    middle = windows[np.arange(len(steps)), np.maximum(count - 1, 0) // 2]
    return np.asarray(np.where(count > 0, middle, np.nan))


class Succession:
    """Follows a data set frame by frame, in chunks, and tells which frames follow the one before them.

    Parameters
    ----------
    names : sequence of str
        Names of the files, for warnings.

    Warns
    -----
    TrajvaeWarning
        Once a file, where its times step back, or where it begins within the run before it: restarts that overlap.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._file, self._frame = -1, np.int64(0)
        self._first = self._last = np.nan
        self._steps = np.empty(0)
        self._warned: set[int] = set()

    def follows(self, file: int, frame: Int64, time: Float64) -> Bool:
        """Return whether each frame follows the one before it, and remember the last one.

        Parameters
        ----------
        file : int
            Number of the file that all frames are of.
        frame : ndarray of int64, shape (t,)
            Numbers of the frames, for warnings.
        time : ndarray, shape (t,)
            ps.
        """
        new = file != self._file
        if new:
            self._begin(file, frame[0], float(time[0]))
        rows = slice(int(new), None)
        steps = np.diff(time, prepend=self._last)[rows]
        ahead = np.diff(frame, prepend=self._frame)[rows] > 0  # a list of frames may go back and forth
        good = continues(steps, self._steps, _RESOLUTION * np.abs(time[rows])) & ahead
        self._report_step_back(file, frame[rows], time[rows], steps, ahead & ~good)
        self._steps = np.concatenate([self._steps, steps])[-_NEAR:]
        self._frame, self._last = frame[-1], float(time[-1])
        return np.concatenate([np.zeros(int(new), dtype=bool), good])

    def _begin(self, file: int, frame: np.int64, first: float) -> None:
        """Start a file; warn where it begins within the time that the file before it covers."""
        if self._file >= 0 and self._first < first <= self._last:
            self._warn(
                file,
                f"'{self._names[file]}' begins at {first:g} ps, before '{self._names[self._file]}' ends "
                f"({self._last:g} ps): the runs overlap, and all of their frames are used",
            )
        self._file, self._frame = file, frame
        self._first, self._steps = first, np.empty(0)

    def _report_step_back(self, file: int, frame: Int64, time: Float64, steps: Float64, broken: Bool) -> None:
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
        if file not in self._warned:
            self._warned.add(file)
            warnings.warn(text, TrajvaeWarning, stacklevel=4)


def at_usual_stride(frames: Int64) -> Bool:
    """Return which frames come after the frame before them by the most frequent distance forward, (T,).

    Frames that a user lists one by one need not be evenly spaced, nor in order.
    """
    distance = np.diff(frames)
    if not (distance > 0).any():
        return np.zeros(len(frames), dtype=bool)
    different, count = np.unique(distance[distance > 0], return_counts=True)
    return np.concatenate([[False], distance == different[count.argmax()]])
