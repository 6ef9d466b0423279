"""Bonds that pass through one another between two conformations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trajvae.molecule.validity.crossings import count_crossings
from trajvae.typing import Float64

STICKS = np.array([[0, 1], [2, 3]])
ABOVE = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0.5], [0, 1, 0.5]], dtype=float)
BELOW = ABOVE * [1, 1, -1]


def test_a_stick_that_falls_through_another_is_counted() -> None:
    """Once for each passage, there and back; not where nothing moves, and not where it falls past."""
    assert count_crossings(np.stack([ABOVE, BELOW, BELOW, ABOVE]), STICKS).tolist() == [1, 0, 1]
    past = BELOW.copy()
    past[2:, 0] += 5.0
    assert count_crossings(np.stack([ABOVE, past]), STICKS).tolist() == [0]


def test_bonds_with_a_common_atom_do_not_cross() -> None:
    """A chain that folds over has its neighbours in touch always."""
    bonds = np.array([[0, 1], [1, 2]])
    x = np.random.default_rng(0).normal(size=(20, 3, 3))
    assert count_crossings(x, bonds).sum() == 0


@pytest.mark.parametrize("frames", [0, 1])
def test_less_than_two_conformations_have_no_steps(frames: int) -> None:
    """And a plane, or a single bond, has no crossings."""
    assert count_crossings(np.tile(ABOVE, (frames, 1, 1)), STICKS).shape == (0,)
    assert count_crossings(np.stack([ABOVE, BELOW])[..., :2], STICKS).tolist() == [0]
    assert count_crossings(np.stack([ABOVE, BELOW]), STICKS[:1]).tolist() == [0]


def _passages(p: Float64, q: Float64, steps: int) -> int:
    """How often two sticks pass through one another, by looking at many moments."""
    x = p + np.linspace(0, 1, steps)[:, None, None] * (q - p)
    u, v, w = x[:, 1] - x[:, 0], x[:, 3] - x[:, 2], x[:, 2] - x[:, 0]
    normal = np.cross(u, v)
    square = (normal**2).sum(axis=1)
    s, t = ((np.cross(w, other) * normal).sum(axis=1) / square for other in (v, u))
    above = (normal * w).sum(axis=1) > 0.0
    changes = above[1:] != above[:-1]
    return int((changes & (np.minimum(s, t)[1:] >= 0.0) & (np.maximum(s, t)[1:] <= 1.0)).sum())


def test_random_sticks_as_by_many_moments() -> None:
    """Odd or even numbers of passages, as thousands of moments between show; all steps at once."""
    random = np.random.default_rng(1)
    x = random.normal(size=(301, 4, 3))
    expected = [_passages(p, q, 5001) % 2 for p, q in itertools.pairwise(x)]
    found = count_crossings(x, STICKS)
    assert (found != expected).sum() <= 1 and 30 < found.sum() < 270  # a passage at a stick's very end may be missed


def test_whole_chains_as_by_their_pairs() -> None:
    """Two chains that pass through one another: the sum over all pairs of their bonds, in several blocks of steps."""
    random = np.random.default_rng(0)
    first, second = (chain - chain.mean(axis=0) for chain in np.cumsum(random.normal(size=(2, 9, 3)), axis=1))
    x = np.concatenate([np.tile(first, (12, 1, 1)), second + np.linspace(-6, 6, 12)[:, None, None]], axis=1)
    bonds = np.array([[k, k + 1] for k in range(17) if k != 8])
    pairs = [(a, b) for i, a in enumerate(bonds) for b in bonds[i + 1 :] if not set(a) & set(b)]
    alone = sum(count_crossings(x[:, np.concatenate(pair)], STICKS) for pair in pairs)
    assert np.array_equal(count_crossings(x, bonds), alone) and np.sum(alone) > 0


def test_a_moved_and_turned_molecule_crosses_nothing() -> None:
    """A rigid move takes no bond through another."""
    random = np.random.default_rng(0)
    chain = np.cumsum(random.normal(size=(30, 3)), axis=0)
    turn = np.array([[np.cos(1.0), -np.sin(1.0), 0], [np.sin(1.0), np.cos(1.0), 0], [0, 0, 1]])
    bonds = np.array([[k, k + 1] for k in range(29)])
    assert count_crossings(np.stack([chain, chain @ turn + 3.0]), bonds).tolist() == [0]
