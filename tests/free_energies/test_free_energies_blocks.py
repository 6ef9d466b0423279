"""Correlation times, blocks and effective sample sizes, beside what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.free_energies.blocks import make_blocks, statistical_inefficiency
from trajvae.weighted_samples import effective_size


def autoregressive(n: int, phi: float, seed: int = 0) -> np.ndarray:
    """A chain of normal numbers, each the last times phi and a new one: its inefficiency is (1 + phi) / (1 - phi)."""
    g = np.random.default_rng(seed)
    out, noise = np.empty(n), g.normal(size=n) * (1.0 - phi**2) ** 0.5
    out[0] = g.normal()
    for i in range(1, n):
        out[i] = phi * out[i - 1] + noise[i]
    return out[:, None]


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_inefficiency_of_a_chain_is_known(phi: float) -> None:
    """In closed form, within a fifth."""
    rows = np.arange(40_000)
    found = statistical_inefficiency(autoregressive(40_000, phi), np.zeros_like(rows), rows)
    assert found == pytest.approx((1.0 + phi) / (1.0 - phi), rel=0.2)


def test_the_slowest_coordinate_counts() -> None:
    """A fast coordinate beside a slow one changes nothing."""
    rows, slow = np.arange(20_000), autoregressive(20_000, 0.9)
    both = np.column_stack([np.random.default_rng(1).normal(size=20_000), slow])
    alone = statistical_inefficiency(slow, np.zeros_like(rows), rows)
    assert statistical_inefficiency(both, np.zeros_like(rows), rows) == pytest.approx(alone)


def test_blocks_are_ten_times_as_long_and_stay_within_a_trajectory() -> None:
    """As many as there is room for; the first frame of each trajectory begins one."""
    file = np.repeat([0, 1], [12_000, 8000])
    frame = np.concatenate([np.arange(12_000), np.arange(8000)])
    x = np.concatenate([autoregressive(12_000, 0.8, 2), autoregressive(8000, 0.8, 3)])
    blocks = make_blocks(x, file, frame)
    lengths = blocks.lengths(20_000)
    assert 12_000 in blocks.starts and not blocks.short
    assert lengths.min() >= 0.8 * 10.0 * blocks.inefficiency and lengths.sum() == 20_000
    assert np.array_equal(np.bincount(blocks.of_frames(20_000)), lengths)


def test_a_short_trajectory_is_told() -> None:
    """Thirty blocks at least, and a mark that they are short."""
    rows = np.arange(400)
    blocks = make_blocks(autoregressive(400, 0.95), np.zeros_like(rows), rows)
    assert blocks.short and len(blocks.starts) >= 30


def test_bootstrap_samples_have_all_blocks_in_the_mean() -> None:
    """As many draws as blocks, each once in the mean."""
    blocks = make_blocks(autoregressive(2000, 0.0), np.zeros(2000, dtype=np.int64), np.arange(2000))
    drawn = blocks.resampled(300, np.random.default_rng(0))
    assert (drawn.sum(axis=1) == len(blocks.starts)).all()
    assert drawn.mean() == pytest.approx(1.0) and drawn.var() == pytest.approx(1.0, rel=0.05)


def test_weights_are_worth_fewer_frames() -> None:
    """Equal ones are worth their number, one large one is worth one."""
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7.0)
    assert effective_size(np.array([1.0, 1e-9, 1e-9])) == pytest.approx(1.0)
