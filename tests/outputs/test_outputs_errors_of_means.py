"""Standard errors of correlated values: intervals of known processes cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from trajvae.outputs.judging.errors_of_means import mean_error
from trajvae.typing import Float64, Int64


def _series(n: int, time: float, random: np.random.Generator) -> Float64:
    """A stationary autoregression of unit variance whose correlation falls to 1/e in so many frames."""
    r = np.exp(-1.0 / time) if time else 0.0
    noise = random.normal(size=n + 500) * np.sqrt(1.0 - r * r)
    return np.asarray(lfilter([1.0], [1.0, -r], noise)[500:])


def _rows(frames: int, blocks: int, held: int) -> Int64:
    size = held // blocks
    return np.concatenate([np.arange(size) + int((i + 0.5) * frames / blocks) for i in range(blocks)])


@pytest.mark.parametrize("time", [0.0, 5.0, 50.0])
@pytest.mark.parametrize(("frames", "blocks", "held"), [(1000, 10, 120), (1000, 5, 120), (4000, 20, 200)])
def test_equal_laws_are_rarely_called_different(time: float, frames: int, blocks: int, held: int) -> None:
    """A mean that is zero lies outside the 95 % interval in at most 10 % of 400 series, and not in next to none."""
    random, rows = np.random.default_rng(0), _rows(frames, blocks, held)
    called = 0
    for _ in range(400):
        values = _series(frames, time, random)[rows]
        called += abs(values.mean()) > mean_error(values, rows).half_width
    assert 2 <= called <= 40


def test_independent_values_have_the_plain_error() -> None:
    """Of 2000: their spread over the root of their number, each worth one."""
    values = np.random.default_rng(1).normal(size=2000)
    found = mean_error(values, np.arange(2000))
    assert found.value == pytest.approx(values.std() / 2000**0.5, rel=0.1)
    assert found.correlation_time == pytest.approx(0.5, abs=0.1) and found.independent > 1600.0


def test_a_known_correlation_time_is_found() -> None:
    """In one long piece: 1/2 + r / (1 - r), and the error of as many independent values."""
    values, r = _series(50_000, 20.0, np.random.default_rng(2)), np.exp(-1.0 / 20.0)
    found = mean_error(values, np.arange(50_000))
    time = 0.5 + r / (1.0 - r)
    assert found.correlation_time == pytest.approx(time, rel=0.25)
    assert found.independent == pytest.approx(50_000 / (2.0 * time), rel=0.25)
    thinned = mean_error(values[::4], np.arange(0, 50_000, 4))
    assert thinned.value == pytest.approx(found.value, rel=0.25)


def test_blocks_that_are_alike_count_once() -> None:
    """Values that are equal within each of four blocks are worth about four, whatever their number."""
    values = np.repeat([1.0, -1.0, 0.5, 2.0], 30)
    rows = _rows(4000, 4, 120)
    found = mean_error(values, rows)
    assert found.independent < 5.0 and found.half_width > 1.5


def test_nothing_to_tell() -> None:
    """One value has no error, equal ones none either."""
    assert np.isnan(mean_error(np.ones(1), np.zeros(1, dtype=np.int64)).value)
    assert mean_error(np.full(50, 3.0), np.arange(50)).value == 0.0
