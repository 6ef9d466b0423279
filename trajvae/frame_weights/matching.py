"""Match rows of weights to frames: by time where both have it, by number otherwise."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.frame_weights.array_files import read_arrays
from trajvae.frame_weights.table import WeightTable, weights_of
from trajvae.frame_weights.text_files import read_text
from trajvae.frame_weights.weights import FrameWeights
from trajvae.typing import Float64, Int64

_RESOLUTION = 2.5e-7  # of a time: most formats store it in float32, and some the step alone
_FEW = 50.0  # effective frames below which there is a warning, where there are twice as many frames


class NamedFile(Protocol):
    """Describe a trajectory: its name and its number of frames."""

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def n_frames(self) -> int:
        """Number of frames."""


class TimedFrames(Protocol):
    """Describe frames whose numbers, and times where they are known, decide which row is theirs."""

    @property
    def files(self) -> Sequence[NamedFile]:
        """The trajectories."""

    def origins(self) -> tuple[Int64, Int64]:
        """Return the number of the file, and of the frame in it, of every frame, each (T,)."""

    def timed(self, file: int) -> bool:
        """Return whether a file has times."""

    def times(self, file: Int64, frame: Int64) -> Float64:
        """Return the times of some frames in ps."""


def read_weights(source: object, frames: TimedFrames, temperature: float | None = None) -> FrameWeights | None:
    """Return the weight of every frame of a data set.

    Parameters
    ----------
    source : array_like, str, Path, sequence of paths, or FrameWeights, optional
        An array has one weight a frame. A file is `.npy`, `.npz`, text with a column of weights or columns of time (ps)
        and weight, or a COLVAR file of PLUMED, whose columns of bias (kJ/mol) are added up. Several files are those of
        as many trajectories. None stands for no weights.
    frames : Frames, or others whose numbers and times are known
    temperature : float, optional
        In K, where a file holds a bias V: weights are then exp(V / kT).

    Returns
    -------
    FrameWeights or None

    Raises
    ------
    ReadError
        A file cannot be read, or a frame has no row: the message names the first time, or the numbers.
    OptionError
        A bias without a temperature, or a temperature without weights.

    Warns
    -----
    TrajvaeWarning
        The frames are worth fewer than 50 of equal weight.
    """
    if source is None:
        if temperature is not None:
            raise OptionError("a temperature turns a bias into weights, and no weights are given: add --weights FILE")
        return None
    tables = _tables(source)
    if len(tables) not in (1, len(frames.files)):
        raise OptionError(
            f"expected one file of weights for all trajectories, or one for each ({len(frames.files)}), "
            f"got {len(tables)}"
        )
    if len({table.is_bias for table in tables}) > 1:
        raise OptionError("some files of weights hold a bias and some weights, which have no common scale")
    file, frame = frames.origins()
    groups = [np.arange(len(frames.files))] if len(tables) == 1 else [np.array([k]) for k in range(len(tables))]
    values = np.empty(len(file))
    for table, files in zip(tables, groups, strict=True):
        rows = np.isin(file, files)
        values[rows] = table.values[_partners(table, frames, files, file[rows], frame[rows])]
    name, column = (", ".join(dict.fromkeys(x for x in names if x)) for names in
                    ([t.file for t in tables], [t.column for t in tables]))  # fmt: skip
    found = FrameWeights(weights_of(values, temperature, is_bias=tables[0].is_bias), name, column)
    _warn_of_few(found)
    return found


def _tables(source: object) -> list[WeightTable]:
    """Read each file, or take an array."""
    if isinstance(source, FrameWeights):
        return [WeightTable(source.values, file=source.file, column=source.column)]
    if isinstance(source, str | os.PathLike):
        return [_read(Path(source))]
    if isinstance(source, Sequence) and source and all(isinstance(s, str | os.PathLike) for s in source):
        return [_read(Path(s)) for s in source]
    try:
        values = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"weights must be numbers or names of files, got {type(source).__name__}") from error
    return [WeightTable(values)]


def _read(path: Path) -> WeightTable:
    """Read a file by its suffix."""
    if not path.is_file():
        raise ReadError(f"no file of weights '{path}'")
    return read_arrays(path) if path.suffix.lower() in (".npy", ".npz") else read_text(path)


def _partners(table: WeightTable, frames: TimedFrames, files: Int64, file: Int64, frame: Int64) -> Int64:
    """The row of each frame, given by the numbers of its file and in that."""
    if table.time is not None and all(frames.files[k].n_frames and frames.timed(int(k)) for k in files):
        times = frames.times(file, frame)
        _check_overlap(table, frames, file, times)
        return _by_time(table, table.time, frames, file, frame, times)
    return _by_number(table, frames, files, file, frame)


def _by_number(table: WeightTable, frames: TimedFrames, files: Int64, file: Int64, frame: Int64) -> Int64:
    """A row for every frame of the files, or for every frame that is read."""
    n, lengths = len(table.values), [frames.files[k].n_frames for k in files]
    if n == sum(lengths):
        return np.asarray(np.cumsum([0, *lengths])[file - files[0]] + frame)
    if n == len(frame):
        return np.arange(n)
    untimed = "" if table.time is None else ", which have no times that rows could be matched by"
    raise ReadError(
        f"{table.name}: {n} {table.word}s for {sum(lengths)} frames, of which {len(frame)} are read{untimed}: expected "
        "as many as either"
    )


def _check_overlap(table: WeightTable, frames: TimedFrames, file: Int64, times: Float64) -> None:
    """Refuse one file of weights for trajectories that have the same times, as walkers have."""
    spans = sorted((times[file == k].min(), times[file == k].max(), int(k)) for k in np.unique(file))
    for (_, end, a), (start, _, b) in itertools.pairwise(spans):
        if start < end - _resolution(np.array([end]))[0]:
            raise ReadError(
                f"{table.name}: the trajectories '{frames.files[a].name}' and '{frames.files[b].name}' both have times "
                f"from {start:.10g} ps on, and it is not known whose a row is: give one file of weights a trajectory"
            )


def _by_time(
    table: WeightTable, clock: Float64, frames: TimedFrames, file: Int64, frame: Int64, times: Float64
) -> Int64:
    """The row that is nearest in time, within half of the shorter step of rows and frames."""
    after = np.searchsorted(clock, times).clip(max=len(clock) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(np.abs(clock[before] - times) <= np.abs(clock[after] - times), before, after)
    allowed = np.maximum(0.5 * min(_usual_step(clock), _usual_step(times)), _resolution(times))
    alone = np.flatnonzero(np.abs(clock[nearest] - times) > allowed)
    if len(alone):
        k = alone[0]
        raise ReadError(
            f"{table.name} has no row at {times[k]:.10g} ps, the time of frame {frame[k]} of "
            f"'{frames.files[file[k]].name}' ({len(alone)} of {len(times)} frames have none; rows from "
            f"{clock[0]:.10g} to {clock[-1]:.10g} ps): read the frames that have one (--start, --stop, --step), or "
            "give a column of weights without times, a row a frame"
        )
    return np.asarray(nearest, dtype=np.int64)


def _usual_step(times: Float64) -> float:
    """Return the median of the positive steps; infinite where there is none."""
    steps = np.diff(times)
    return float(np.median(steps[steps > 0.0])) if (steps > 0.0).any() else np.inf


def _resolution(times: Float64) -> Float64:
    """Return the rounding errors of times in ps."""
    return np.asarray(_RESOLUTION * np.abs(times))


def _warn_of_few(weights: FrameWeights) -> None:
    """Warn where few frames carry most of the weight."""
    size = weights.effective_size
    if size < min(_FEW, 0.5 * len(weights)):
        warnings.warn(
            f"{weights.describe()}: so few that what is learned is that of a handful of frames; leave out the time in "
            "which the bias was built up (--start), or take a bias that is nearly constant",
            TrajvaeWarning,
            stacklevel=3,
        )
