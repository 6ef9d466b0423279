"""Projection: noisy conformations become valid by small moves, valid ones stay, and what cannot be mended is left."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae.molecule.validity import REASONS, Validity
from trajvae.outputs.drawing.projection import project
from trajvae.readers.sources import Reading, open_source
from trajvae.runtime.progress import listening
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


@pytest.mark.parametrize("select", ["name N CA C", "name N CA C O"])
def test_draws_of_a_backbone_of_hundreds_of_atoms_are_mended(select: str) -> None:
    """Of adenylate kinase, drawn from a crude normal model: nearly all become valid, peptide bonds and planes too."""
    frames = open_source(DCD, Reading(PSF, select))
    x = frames.read().positions.astype(float)
    validity, random = Validity.fit(x, frames.topology), np.random.default_rng(0)
    away = (x - x.mean(axis=0)).reshape(len(x), -1)
    wide = (random.normal(size=(12, len(x))) @ away / np.sqrt(len(x) - 1)).reshape(12, *x.shape[1:])
    draws = x.mean(axis=0) + wide + 0.15 * random.normal(size=wide.shape)
    assert not validity.test(draws).any()
    mended = project(validity, draws)
    assert validity.test(mended).mean() >= 0.9
    assert np.sqrt(np.square(mended - draws).sum(axis=-1).mean(axis=-1)).max() < 0.25


def test_bent_peptide_bonds_and_planes_are_mended(examples: Path) -> None:
    """A nitrogen's substituents turned out of the plane of the peptide bond, and a carbon lifted out of its own."""
    frames = open_source(examples / "peptide.xtc", Reading(topology=examples / "peptide.pdb", step=20))
    x = frames.read().positions.astype(float)
    validity = Validity.fit(x, frames.topology)
    c, i, j, k = validity.planes[2]
    normal = np.cross(x[:, j] - x[:, i], x[:, k] - x[:, i])
    lifted = x.copy()
    lifted[:, c] += 0.45 * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    assert (validity.reasons(lifted) == REASONS.index("planarity")).mean() > 0.5
    assert validity.test(project(validity, lifted[:60])).mean() >= 0.95
    strict = dataclasses.replace(validity, omega_bend=np.full_like(validity.omega_bend, np.deg2rad(12.0)))
    bent = x[strict.reasons(x) == REASONS.index("omega")][:60]
    assert len(bent) == 60 and strict.test(project(strict, bent)).mean() >= 0.9


def test_progress_is_told(calphas: tuple[Validity, Float64]) -> None:
    """Each part of the conformations is a step."""
    validity, x = calphas
    seen: list[int] = []

    class Listener:
        """Keep what is reported."""

        @contextlib.contextmanager
        def stage(self, what: str, unit: str, total: int | None) -> Iterator[Callable[[int], None]]:
            """Note the steps of one stage."""
            assert "ranges" in what and total is not None and total > 1
            yield seen.append

    with listening(Listener()):
        project(validity, np.concatenate([x, x]))
    assert seen == list(range(1, len(seen) + 1)) and len(seen) > 1
