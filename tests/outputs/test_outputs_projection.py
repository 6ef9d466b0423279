"""Projection: noisy conformations become valid by small moves, valid ones stay, and what cannot be mended is left."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae.molecule.validity import Validity
from trajvae.outputs.drawing.projection import project
from trajvae.readers.sources import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Float64


@pytest.fixture(scope="module")
def calphas() -> tuple[Validity, Float64]:
    """The test of adenylate kinase's C-alphas, and its frames."""
    frames = open_source(DCD, Reading(PSF, "name CA"))
    x = frames.read().positions.astype(float)
    return Validity.fit(x, frames.topology), x


def test_noise_on_calphas_is_mended_by_small_moves(calphas: tuple[Validity, Float64]) -> None:
    """Noise of 0.18 Å leaves no frame valid; nearly all are afterwards, a fraction of the noise away."""
    validity, x = calphas
    noisy = x[::2] + 0.18 * np.random.default_rng(0).normal(size=x[::2].shape)
    assert validity.test(noisy).mean() == 0.0
    mended = project(validity, noisy)
    assert validity.test(mended).mean() >= 0.96
    moved = np.sqrt(np.square(mended - noisy).sum(axis=-1).mean(axis=-1))
    assert moved.max() < 0.12 and moved.mean() < 0.08
    np.testing.assert_allclose(mended.mean(axis=1), noisy.mean(axis=1), atol=0.02)


def test_valid_frames_stay_and_the_input_is_not_touched(calphas: tuple[Validity, Float64]) -> None:
    """Simulated frames come back to the bit."""
    validity, x = calphas
    before = x[:5].copy()
    assert np.array_equal(project(validity, x[:5]), before) and np.array_equal(x[:5], before)
    assert project(validity, x[:0]).shape == (0, *x.shape[1:])


def test_atoms_on_top_of_each_other_part() -> None:
    """A clash of two ends of a chain is opened; bonds stay within their ranges. In the plane too."""
    random = np.random.default_rng(0)
    for dims in (2, 3):
        line = np.cumsum(1.5 * np.eye(dims)[0] + 0.3 * random.normal(size=(4000, 8, dims)), axis=1)
        validity = Validity.fit(line, Topology.anonymous(8))
        wrong = line[:20].copy()
        wrong[:, 4] = 0.2 * wrong[:, 4] + 0.8 * wrong[:, 1]
        assert not validity.test(wrong).any()
        assert validity.test(project(validity, wrong)).mean() > 0.8


def test_a_mirror_image_is_left_alone() -> None:
    """Handedness is no matter of small moves."""
    random = np.random.default_rng(0)
    body = np.array([[0, 0, 0], [1.5, 0, 0], [-0.5, 1.4, 0], [-0.5, -0.7, 1.2], [-0.5, -0.7, -1.2]], dtype=float)
    x = body + 0.02 * random.normal(size=(200, 5, 3))
    bonds = np.array([[0, 1], [0, 2], [0, 3], [0, 4]])
    validity = Validity.fit(x, dataclasses.replace(Topology.anonymous(5), bonds=bonds))
    assert len(validity.centres)
    assert not validity.test(project(validity, x[:10] * [1, 1, -1])).any()
