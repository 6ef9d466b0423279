"""Pairs of a training: within parts, files and gaps; batches that a step decides, streamed or in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae import TrainConfig
from trajvae.errors import OptionError, ReadError
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.models.partition import partition
from trajvae.training.batches import InMemoryBatches
from trajvae.training.lagged.pairs import LaggedPairs, PairBatches, PairRows
from trajvae.training.streamed_batches import stream_batches


def run(n: int, files: int = 1) -> FrameTimes:
    """Frames of some files of equal length, 2 ps apart."""
    file, frame = np.repeat(np.arange(files), n), np.tile(np.arange(n), files)
    return FrameTimes(file, frame, 2.0 * frame)


@pytest.mark.parametrize(("n", "lag"), [(200, 3), (1500, 20), (12000, 50), (12000, 1)])
def test_blocks_are_longer_than_the_lag(n, lag):
    part = partition(n, lag).part
    edges = np.flatnonzero(np.diff(part)) + 1
    for value in (1, 2):
        lengths = [len(run) for run in np.split(part, edges) if run[0] == value]
        assert min(lengths) >= 2 * lag
        assert sum(lengths) == pytest.approx(0.12 * n, rel=0.1)
    assert np.array_equal(partition(n, 0).part, partition(n).part)


def test_pairs_stay_within_their_part_and_their_file():
    times, lag = run(600, 2), Lag.parse("10ps")
    divided = partition(1200, 5)
    pairs = LaggedPairs.of(times, lag, divided)
    for rows, which in ((pairs.training, divided.training), (pairs.validation, divided.validation)):
        numbers = np.flatnonzero(which)
        first, second = numbers[rows.first], numbers[rows.second]
        assert (second - first == 5).all() and (times.file[first] == times.file[second]).all()
        gap = [which[a : b + 1].all() for a, b in zip(first, second, strict=True)]
        assert np.mean(gap) > 0.9  # others reach over frames that have another use
        wanted = sum(which[k] and which[k + 5] and times.file[k] == times.file[k + 5] for k in range(len(which) - 5))
        assert len(rows) == wanted


def test_what_is_too_long_is_refused():
    with pytest.raises(OptionError, match="pairs of validation frames or more, got 0: blocks"):
        LaggedPairs.of(run(100), Lag.parse(30), partition(100, 30))
    with pytest.raises(ReadError, match="leaves no pair of frames: the longest trajectory has 100 frames"):
        LaggedPairs.of(run(100), Lag.parse("1ns"), partition(100, 30))


def test_options_of_a_lag():
    assert TrainConfig(lag="10ps").slowness is None and TrainConfig(lag=5).lag == "5"
    with pytest.raises(OptionError, match=r"none is given .slowness 3.0.: give --lag TIME"):
        TrainConfig(slowness=3.0)
    with pytest.raises(OptionError, match="slowness must be a number from 0"):
        TrainConfig(lag="5", slowness=-1.0)
    with pytest.raises(OptionError, match="a lag time is written"):
        TrainConfig(lag="5 hours")


def tables(n: int, memory: float | None):
    """Batches of numbered frames: in memory, or streamed with so many bytes for a pool."""
    rows = torch.arange(n, dtype=torch.float32)[:, None].repeat(1, 3)
    divided = partition(n, 4)
    if memory is None:
        train, val = (torch.from_numpy(m) for m in (divided.training, divided.validation))
        return divided, InMemoryBatches(rows[train], rows[train], rows[val], rows[val])
    chunks = ((rows[i : i + 500], rows[i : i + 500]) for i in range(0, n, 500))
    return divided, stream_batches(chunks, divided, (3, 3), torch.device("cpu"), memory)


@pytest.mark.parametrize("memory", [None, 24 * 4096.0])
def test_batches_hold_pairs_and_a_step_decides_them(memory):
    divided, data = tables(9000, memory)
    pairs = PairRows.within(run(9000).pairs(Lag.parse(4)), divided.training)
    weights = torch.arange(data.n_train, dtype=torch.float32)
    source = PairBatches(data, pairs, weights, 64, seed=3)
    seen = []
    for step in (0, 1, 40, 41):
        batch = source.batch(step)
        assert batch.first.shape == (64, 3)
        assert torch.equal(batch.second - batch.first, torch.full((64, 3), 4.0))
        numbers = np.flatnonzero(divided.training)
        assert np.array_equal(numbers[batch.weights.long().numpy()], batch.first[:, 0].numpy())
        seen.append(batch.first[:, 0])
    again = PairBatches(data, pairs, weights, 64, seed=3)
    assert torch.equal(again.batch(41).first[:, 0], seen[3])  # whatever was drawn before
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(PairBatches(data, pairs, weights, 64, seed=4).batch(0).first[:, 0], seen[0])


def test_pairs_of_a_stream_are_all_drawn():
    divided, data = tables(9000, 24 * 4096.0)
    pairs = PairRows.within(run(9000).pairs(Lag.parse(4)), divided.training)
    source = PairBatches(data, pairs, None, 64, seed=0)
    seen = torch.cat([source.batch(step).first[:, 0] for step in range(0, 2000, 7)])
    assert len(torch.unique(seen)) > 0.8 * len(pairs)
