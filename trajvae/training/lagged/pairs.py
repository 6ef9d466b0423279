"""Pairs of frames a lag time apart, each within one part of a training's frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.config import TrainConfig
from trajvae.errors import OptionError
from trajvae.lagged_pairs import FrameTimes, Lag, frames_text
from trajvae.models.partition import Partition
from trajvae.training.batches import Batches
from trajvae.training.frame_source import FrameSource
from trajvae.typing import Bool, Int64

FEWEST_PAIRS = 10  # of training, and of validation frames
_ROWS_OF_BLOCK = 1024  # pairs that follow each other and are read together, where frames are streamed
_ROWS_OF_POOL = 2**16  # frames that are held at once then


@dataclass(frozen=True, eq=False)
class PairRows:
    """Hold pairs of frames of one part, by their places among the frames of that part.

    Attributes
    ----------
    first, second : ndarray of int64, shape (P,)
        Ascending.
    """

    first: Int64
    second: Int64

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def within(cls, pairs: tuple[Int64, Int64], which: Bool) -> PairRows:
        """Return those of some pairs, by the numbers of frames, of which both frames are in a part."""
        place = np.cumsum(which) - 1
        kept = which[pairs[0]] & which[pairs[1]]
        return cls(place[pairs[0][kept]], place[pairs[1][kept]])


@dataclass(frozen=True, eq=False)
class LaggedPairs:
    """Hold the pairs of a training.

    Attributes
    ----------
    training, validation, held_out : PairRows
    """

    training: PairRows
    validation: PairRows
    held_out: PairRows

    @classmethod
    def of(cls, times: FrameTimes, lag: Lag, partition: Partition) -> LaggedPairs:
        """Return the pairs within each part of the frames.

        Raises
        ------
        ReadError
            There are none; see `FrameTimes.pairs`.
        OptionError
            A part has fewer than ten: the lag is too long for its blocks.
        """
        pairs = times.pairs(lag)
        parts = {"training": partition.training, "validation": partition.validation, "held-out": partition.held_out}
        found = {name: PairRows.within(pairs, which) for name, which in parts.items()}
        for name, rows in found.items():
            if len(rows) < FEWEST_PAIRS:
                raise OptionError(
                    f"a lag of {lag} needs {FEWEST_PAIRS} pairs of {name} frames or more, got {len(rows)}: blocks of "
                    "these frames, and trajectories, must be longer than the lag; give a shorter lag or longer files"
                )
        return cls(*found.values())


def lag_in_frames(frame_source: FrameSource, config: TrainConfig) -> int:
    """Return how many frames the lag time of a training spans; 0 without one.

    Raises
    ------
    ReadError, OptionError
        See `FrameTimes.pairs`.
    """
    if config.lag is None:
        return 0
    times, lag = frame_source.times(), Lag.parse(config.lag)
    times.pairs(lag)  # refuses a lag that is longer than the files
    return times.frames_of(lag)


def describe_lag(frame_source: FrameSource, config: TrainConfig) -> str:
    """Return a line for people on the lag time of a training, and on its pairs; empty without one."""
    if config.lag is None:
        return ""
    times, lag = frame_source.times(), Lag.parse(config.lag)
    known = "" if (ps := times.in_ps(lag)) is None else f" ({ps:.6g} ps)"
    return f"lag time: {frames_text(times.frames_of(lag))}{known}, {len(times.pairs(lag)[0])} pairs of frames"


def pairs_of(frame_source: FrameSource, config: TrainConfig, partition: Partition) -> LaggedPairs | None:
    """Return the pairs of a training; None without a lag time. Errors are those of `LaggedPairs.of`."""
    return None if config.lag is None else LaggedPairs.of(frame_source.times(), Lag.parse(config.lag), partition)


class PairBatch(NamedTuple):
    """Hold what the encoder sees of some pairs.

    Attributes
    ----------
    first, second : Tensor, shape (B, I)
    weights : Tensor, shape (B,), optional
        How much each pair counts.
    """

    first: Tensor
    second: Tensor
    weights: Tensor | None = None


class PairBatches:
    """Draw batches of pairs of training frames; that of a step depends on the step and the seed alone.

    Parameters
    ----------
    data : Batches
    pairs : PairRows
        Of training frames.
    weights : Tensor, shape (T,), optional
        Of the training frames: a pair has that of its first frame.
    size : int
        Pairs of a batch.
    seed : int
    """

    def __init__(self, data: Batches, pairs: PairRows, weights: Tensor | None, size: int, seed: int) -> None:
        self.data, self.pairs, self.size, self.seed = data, pairs, min(size, len(pairs)), seed
        self.weights = None if weights is None else weights[torch.from_numpy(pairs.first)]
        self._rows = torch.from_numpy(np.stack([pairs.first, pairs.second]))
        self._most = min(data.n_at_once, _ROWS_OF_POOL) // 2
        self._pool: tuple[int, PairBatch] | None = None

    def batch(self, step: int) -> PairBatch:
        """Return the pairs of a step, drawn with equal chances."""
        if self.data.n_at_once >= self.data.n_train:
            chosen = torch.randint(len(self.pairs), (self.size,), generator=self.generator(step))
            return self._read(chosen)
        pool = self._pool_of(step // max(1, self._most // self.size))
        chosen = torch.randint(len(pool.first), (self.size,), generator=self.generator(step)).to(pool.first.device)
        return PairBatch(*(None if part is None else part[chosen] for part in pool))  # type: ignore[arg-type]

    def generator(self, number: int, salt: int = 0) -> torch.Generator:
        """Return a source of random numbers that a step, or a pool, has for itself."""
        state = np.random.SeedSequence([self.seed, number % 2**32, salt]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))

    def _pool_of(self, number: int) -> PairBatch:
        """Pairs of random blocks, which are read when the first of their steps comes."""
        if self._pool is None or self._pool[0] != number:
            self._pool = None  # its memory is freed before the next one is read
            blocks = -(-len(self.pairs) // _ROWS_OF_BLOCK)
            order = torch.randperm(blocks, generator=self.generator(number, 1))
            some = order[: max(1, self._most // _ROWS_OF_BLOCK)].tolist()
            self._pool = number, self._read(torch.cat(list(self._numbers(some))))
        return self._pool[1]

    def _numbers(self, blocks: list[int]) -> Iterator[Tensor]:
        for block in blocks:
            first = block * _ROWS_OF_BLOCK
            yield torch.arange(first, min(first + _ROWS_OF_BLOCK, len(self.pairs)))

    def _read(self, chosen: Tensor) -> PairBatch:
        """Inputs and weights of pairs by their numbers, on the device."""
        first, second = (self.data.training_inputs(rows[chosen]) for rows in self._rows)
        weights = None if self.weights is None else self.weights[chosen].to(self.data.device)
        return PairBatch(first, second, weights)
