"""Pairs of frames in blocks: what scores are cross-validated by, and errors are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajvae.errors import OptionError, ReadError
from trajvae.free_energies.blocks import Blocks, statistical_inefficiency
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.typing import Bool, Float64, Int64

FEWEST_FRAMES = 50
_INDEPENDENT = 20  # lags that fit into the trajectory, one after another
_LENGTH = 10.0  # statistical inefficiencies in a block
_SHORTEST = 3.0  # below which errors are not to be trusted
_LAGS = 5.0  # in a block: less than a fifth of the pairs reach out of it
_MOST, _FEWEST = 400, 20  # blocks: errors of fewer are not known well themselves
_FEWEST_OF_LAGS = 10  # blocks, where it is the lag that makes them long


@dataclass(frozen=True, eq=False)
class BlockedPairs:
    """Hold pairs of frames that are a lag apart, and the block in which each begins and ends.

    Attributes
    ----------
    first, second : ndarray of int64, shape (P,)
        Indices of the frames.
    block : ndarray of int64, shape (P,)
        Number of the block of the first frame.
    inside : ndarray of bool, shape (P,)
        Whether the second frame is of the same block.
    n_blocks : int
    lag_frames : int
    """

    first: Int64
    second: Int64
    block: Int64
    inside: Bool
    n_blocks: int
    lag_frames: int

    @classmethod
    def of(cls, times: FrameTimes, lag: Lag, blocks: Blocks) -> BlockedPairs:
        """Return the pairs of a lag, none of which reaches over a gap or from one trajectory into another."""
        first, second = times.pairs(lag)
        of_frame = blocks.of_frames(len(times.file))
        block = of_frame[first]
        return cls(first, second, block, block == of_frame[second], len(blocks.starts), times.frames_of(lag))

    def resampled(self, n: int, generator: np.random.Generator) -> Float64:
        """Return weights of the blocks in n samples of the Bayesian bootstrap, (n, blocks), of mean 1 each.

        No block's weight is 0, so that states that are connected stay so.

        References
        ----------
        D. B. Rubin, Ann. Statist. 9, 130 (1981).
        """
        drawn = generator.standard_exponential((n, self.n_blocks))
        return np.asarray(drawn / drawn.mean(axis=1, keepdims=True))

    @property
    def correction(self) -> float:
        """Factor that removes the bias of standard deviations over samples of so few blocks."""
        return float(((self.n_blocks + 1) / max(self.n_blocks - 1, 1)) ** 0.5)


def make_blocks(coordinates: Float64, times: FrameTimes, lag_frames: int) -> Blocks:
    """Part frames into blocks of ten correlation times of the slowest coordinate, and of five lags at least.

    Parameters
    ----------
    coordinates : ndarray, shape (T, k)
        Without a seam.
    times : FrameTimes
    lag_frames : int
        The longest lag, in frames.
    """
    inefficiency = statistical_inefficiency(coordinates, times.file, times.frame)
    n = len(coordinates)
    of_frames = min(max(_LENGTH * inefficiency, n / _MOST), n / _FEWEST)
    length = max(1.0, of_frames, min(_LAGS * lag_frames, n / _FEWEST_OF_LAGS))
    firsts = np.flatnonzero(np.diff(times.file, prepend=times.file[0] - 1))
    starts = [
        first + (np.arange(count) * size) // count
        for first, size in zip(firsts.tolist(), np.diff(firsts, append=n).tolist(), strict=True)
        for count in [max(1, round(size / length))]
    ]
    short = length < _SHORTEST * inefficiency
    return Blocks(np.concatenate(starts).astype(np.int64), inefficiency, short)


def check_lag(times: FrameTimes, lag: Lag) -> None:
    """Refuse a lag that fits into the trajectories less than twenty times.

    Raises
    ------
    ReadError
        Too few frames, or a lag in ps of frames without times.
    OptionError
        The lag is too long, or no multiple of the time between frames.
    """
    n, longest = len(times.file), int(np.bincount(times.file - times.file.min()).max(initial=0))
    if longest < 2:
        raise ReadError(f"kinetics needs trajectories of many frames, and the longest has {longest}")
    if n < FEWEST_FRAMES:
        raise ReadError(f"kinetics needs at least {FEWEST_FRAMES} frames, got {n}")
    interval = times.interval()  # trajectories of other intervals are refused here
    times.frames_of(lag)
    if is_long_enough(times, lag):
        return
    allowed = _longest_lag(times)
    if allowed < 1:
        raise ReadError(
            f"kinetics needs pairs of frames that follow each other, at least {_INDEPENDENT} of them, and the {n} "
            "frames have fewer: give longer trajectories, or all of their frames"
        )
    would_do = f"{allowed} frames" + ("" if interval is None else f" ({allowed * interval:.6g}ps)")
    raise OptionError(
        f"a lag of {lag} is too long for these trajectories: it must fit into them {_INDEPENDENT} times, and pairs do "
        f"not reach over gaps or from one file into another; up to {would_do} would do"
    )


def check_lags(times: FrameTimes, lags: Sequence[Lag]) -> None:
    """Refuse lags of which one is refused by `check_lag`.

    Raises
    ------
    OptionError, ReadError
    """
    for lag in lags:
        check_lag(times, lag)


def is_long_enough(times: FrameTimes, lag: Lag) -> bool:
    """Return whether trajectories have as many pairs of frames a lag apart as twenty times the lag has frames."""
    try:
        return len(times.pairs(lag)[0]) >= _INDEPENDENT * times.frames_of(lag)
    except ReadError:
        return False


def _longest_lag(times: FrameTimes) -> int:
    """Return the longest lag in frames that would do; 0 where none does."""
    low, high = 0, len(times.file) // _INDEPENDENT + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_long_enough(times, Lag(float(middle), True)) else (low, middle)
    return low
