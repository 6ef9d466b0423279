"""Pairs of frames that are a lag time apart: never across files, gaps or restarts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajvae.errors import OptionError, ReadError
from trajvae.typing import Float64, Int64

_UNITS = {"fs": 1e-3, "ps": 1.0, "ns": 1e3, "us": 1e6, "µs": 1e6, "ms": 1e9}  # in ps
_WRITTEN = re.compile(r"\s*(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)\s*([a-zµ]*)\s*")
_FRAMES = ("", "frame", "frames")
_TOLERANCE = 1e-2  # of the time between frames: many formats store times in float32


@dataclass(frozen=True)
class Lag:
    """Hold a lag time, in ps or as a number of frames.

    Attributes
    ----------
    value : float
        Above 0; whole where it is a number of frames.
    in_frames : bool
        Whether `value` counts frames as they are read (`--step` included) instead of ps.
    """

    value: float
    in_frames: bool

    @classmethod
    def parse(cls, written: str | float | Lag) -> Lag:
        """Return the lag that is written as `10ps`, `2ns`, `5 frames` or a number of frames.

        Raises
        ------
        OptionError
            Another unit, a number that is not above 0, or a fraction of a frame.
        """
        if isinstance(written, Lag):
            return written
        found = _WRITTEN.fullmatch(str(written))
        if found is None or (found[2] not in _UNITS and found[2] not in _FRAMES):
            raise OptionError(
                f"a lag time is written '10ps', '2ns' or '5' (a number of frames), got '{written}': the units are "
                f"{', '.join(_UNITS)}"
            )
        value, in_frames = float(found[1]), found[2] in _FRAMES
        if not (value > 0.0 and np.isfinite(value)):
            raise OptionError(f"a lag time must be finite and above 0, got '{written}'")
        if in_frames and value != round(value):
            raise OptionError(
                f"a lag in frames is a whole number, got '{written}': write a unit for a time ('{value}ps')"
            )
        return cls(value if in_frames else value * _UNITS[found[2]], in_frames)

    def __str__(self) -> str:
        """Return it as it is written."""
        return frames_text(int(self.value)) if self.in_frames else f"{self.value:.6g} ps"


def frames_text(count: int) -> str:
    """Return a number of frames as it is written: `1 frame`, `5 frames`."""
    return f"{count} frame{'' if count == 1 else 's'}"


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """Hold the trajectory, the number and the time of each frame.

    Attributes
    ----------
    file, frame : ndarray of int64, shape (T,)
        Number of the trajectory and of the frame in it; ascending.
    time : ndarray, shape (T,), optional
        ps; None, or NaN throughout a file, where times are not known.
    files : sequence of str
        Names of the trajectories, for messages.
    """

    file: Int64
    frame: Int64
    time: Float64 | None = None
    files: Sequence[str] = ()

    @property
    def stride(self) -> int:
        """Usual difference of the numbers of frames that follow each other: the step they were read with."""
        steps = np.diff(self.frame)[np.diff(self.file) == 0]
        return int(np.median(steps)) if len(steps) else 1

    def interval(self) -> float | None:
        """Return the time between frames that follow each other in ps, or None where times are not known.

        Raises
        ------
        ReadError
            The trajectories have other times between frames than each other.
        """
        found = [(int(k), self._interval_of(int(k))) for k in np.unique(self.file)]
        known = [(k, step) for k, step in found if step is not None]
        if not known or len(known) < sum(1 for k, _ in found if (self.file == k).sum() > 1):
            return None
        first, usual = known[0]
        for k, step in known:
            if abs(step - usual) > _TOLERANCE * usual:
                raise ReadError(
                    f"a lag time needs trajectories with the same time between frames, got {usual:.6g} ps in "
                    f"'{self._name(first)}' and {step:.6g} ps in '{self._name(k)}': write both with one interval, or "
                    "give the files with the other one apart"
                )
        return usual

    def _interval_of(self, file: int) -> float | None:
        """Usual time between frames of one trajectory."""
        if self.time is None:
            return None
        times = self.time[self.file == file]
        if len(times) < 2 or not np.isfinite(times).all():
            return None
        usual = float(np.median(np.diff(times)))
        return usual if usual > 0.0 else None

    def _name(self, file: int) -> str:
        return self.files[file] if file < len(self.files) else f"trajectory {file + 1}"

    def frames_of(self, lag: Lag) -> int:
        """Return the number of frames, as they are read, that a lag spans.

        Raises
        ------
        ReadError
            A lag in ps without times, or with files of other intervals.
        OptionError
            A lag that is no multiple of the time between frames.
        """
        if lag.in_frames:
            return int(lag.value)
        interval = self.interval()
        if interval is None:
            raise ReadError(
                f"a lag of {lag} needs frames with times, and the trajectories have none: give the lag as a number of "
                "frames"
            )
        count = round(lag.value / interval)
        if count < 1 or abs(count * interval - lag.value) > _TOLERANCE * interval * max(count, 1):
            near = interval * max(count, 1)
            raise OptionError(
                f"a lag must be a multiple of the time between frames as they are read, {interval:.6g} ps, got {lag}: "
                f"the nearest is {near:.6g}ps"
            )
        return count

    def in_ps(self, lag: Lag) -> float | None:
        """Return the lag in ps, or None where times are not known."""
        interval = self.interval()
        return None if interval is None else self.frames_of(lag) * interval

    def pairs(self, lag: Lag) -> tuple[Int64, Int64]:
        """Return the indices of the first and of the second frame of each pair, each (P,).

        No pair reaches from one trajectory into another, over frames that are missing, or over times that jump.

        Raises
        ------
        ReadError, OptionError
            As `frames_of`, or no trajectory is as long as the lag.
        """
        count = self.frames_of(lag)
        first = np.arange(max(len(self.file) - count, 0), dtype=np.int64)
        second = first + count
        kept = (self.file[first] == self.file[second]) & (self.frame[second] - self.frame[first] == count * self.stride)
        interval = None if lag.in_frames and self.time is None else self.interval()
        if interval is not None and self.time is not None:
            apart = self.time[second] - self.time[first]
            allowed = 0.5 * interval
            kept &= np.abs(apart - count * interval) < allowed
        if not kept.any():
            longest = int(max(np.bincount(self.file - self.file.min()), default=1)) if len(self.file) else 0
            raise ReadError(
                f"a lag of {lag} leaves no pair of frames: the longest trajectory has {frames_text(longest)}"
                + ("" if interval is None else f" ({(longest - 1) * interval:.6g} ps)")
                + ", and pairs do not reach over gaps or from one file into another; give a shorter lag"
            )
        return first[kept], second[kept]
