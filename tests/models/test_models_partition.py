"""What each frame of a training is used for."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.models.partition import HELD_OUT, TRAINING, UNUSED, VALIDATION, partition

SIZES = [5, 12, 29, 30, 60, 98, 100, 400, 999, 1000, 5000, 20_000, 10**6]


@pytest.mark.parametrize("n", SIZES)
def test_the_shares_of_the_parts(n: int) -> None:
    """Validation and held-out frames are equally many; training keeps most, and gaps are few where frames are many."""
    part = partition(n).part
    counts = np.bincount(part, minlength=4)
    wanted = max(1, round((0.12 if n < 1000 else 0.05) * n))
    assert part.shape == (n,) and counts[VALIDATION] == counts[HELD_OUT] == wanted
    assert counts[TRAINING] >= 0.6 * n
    assert counts[UNUSED] <= (0.05 if n >= 1000 else 0.15) * n


@pytest.mark.parametrize("n", [n for n in SIZES if n >= 30])
def test_a_gap_lies_between_any_two_parts(n: int) -> None:
    """No frame of one part is the neighbour in time of a frame of another."""
    part = partition(n).part
    change = np.flatnonzero(np.diff(part))
    assert ((part[change] == UNUSED) | (part[change + 1] == UNUSED)).all()
    assert part[0] == part[-1] == TRAINING


@pytest.mark.parametrize("n", [98, 400, 5000])
def test_blocks_are_spread_evenly(n: int) -> None:
    """Pairs of blocks stand at even distances, the held-out one first and second in turn."""
    parts = partition(n)
    starts = [np.flatnonzero(np.diff(mask.astype(int)) == 1) for mask in (parts.validation, parts.held_out)]
    assert len(starts[0]) == len(starts[1]) <= 20
    first = starts[0] < starts[1]
    assert (first[::2]).all() and not first[1::2].any()
    middle = np.minimum(*starts)
    assert np.abs(np.diff(middle) - n / len(middle)).max() <= 2.0


def test_no_random_numbers() -> None:
    """Two calls agree, whatever the state of numpy's generator."""
    first = partition(500).part
    np.random.default_rng(1).random()
    assert np.array_equal(partition(500).part, first)


def test_fewer_than_five_frames_cannot_be_divided() -> None:
    """The message says how many came."""
    with pytest.raises(ReadError, match="at least 5 frames, got 4"):
        partition(4)
