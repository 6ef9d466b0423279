"""Draws of a normal distribution of positions get the simulation's bonds, angles and torsions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trajvae import Reading
from trajvae.alignment.align import mean_structure, pairwise_rmsd, superpose
from trajvae.local_geometry import LocalGeometry
from trajvae.local_geometry.local_geometry import _measured
from trajvae.models.draws.geometry_fit import walls_of
from trajvae.molecule.histogram_divergence import histogram_divergence
from trajvae.molecule.validity import Validity
from trajvae.readers import open_source


class Kinase:
    """C-alphas of adenylate kinase: frames, draws of a normal distribution, and the local geometry between them."""

    def __init__(self, topology: Path, trajectory: Path) -> None:
        source = open_source(str(trajectory), Reading(str(topology), "name CA"))
        frames = source.read().positions.astype(float)
        weights = np.ones(frames.shape[1])
        self.frames = superpose(frames, mean_structure(frames, weights), weights)
        self.bonds = source.topology.backbone_bonds()
        self.validity = Validity.fit(self.frames, source.topology)
        self.drawn = self.draw(600, 0)
        self.geometry = LocalGeometry.fit(self.bonds, self.frames, self.drawn, walls_of(self.validity))

    def draw(self, n: int, seed: int):
        """Draws with the frames' mean and covariance, and some noise of every atom."""
        rng, flat = np.random.default_rng(seed), self.frames.reshape(len(self.frames), -1)
        weights = rng.normal(size=(n, len(flat))) / len(flat) ** 0.5
        drawn = flat.mean(axis=0) + weights @ (flat - flat.mean(axis=0)) + 0.1 * rng.normal(size=(n, flat.shape[1]))
        return drawn.reshape(n, -1, 3)


@pytest.fixture(scope="module")
def kinase(adk) -> Kinase:
    """Fitted once."""
    return Kinase(*adk)


@pytest.fixture(scope="module")
def restored(kinase: Kinase):
    """Other draws than those that the tables were made of, with local geometry."""
    return kinase.geometry.restore(kinase.draw(200, 1), workers=2)


def test_restored_draws_have_the_simulated_bonds_angles_and_torsions(kinase: Kinase, restored) -> None:
    """Divergences are a fraction of what they were, and of the order of those between equal samples."""
    values = [_measured(kinase.geometry.terms, x) for x in (kinase.frames, kinase.draw(200, 1), restored)]
    before, after = (
        np.mean([histogram_divergence(a, b) for a, b in zip(values[0].T, x.T, strict=True)]) for x in values[1:]
    )
    assert after < 0.6 * before


def test_restored_draws_are_valid_and_near_what_was_drawn(kinase: Kinase, restored) -> None:
    """None of the draws is valid; nearly all are when atoms have moved by a tenth of an Å or so."""
    drawn = kinase.draw(200, 1)
    assert kinase.validity.test(drawn).mean() < 0.05 and kinase.validity.test(restored).mean() > 0.9
    assert np.sqrt(np.square(restored - drawn).sum(axis=2).mean()) < 0.35
    spread = np.mean(np.var(restored, axis=0)) / np.mean(np.var(drawn, axis=0))
    assert 0.93 < spread < 1.02


def test_a_draw_does_not_depend_on_its_neighbours(kinase: Kinase, restored) -> None:
    """Alone, in a batch, and in several threads."""
    alone = kinase.geometry.restore(kinase.draw(200, 1)[70:71])
    np.testing.assert_allclose(alone[0], restored[70], atol=2e-3)  # rounding of single precision


def test_turned_and_shifted_draws_give_turned_and_shifted_conformations(kinase: Kinase) -> None:
    """Local geometry knows no axes."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    drawn = kinase.draw(5, 2)
    found = kinase.geometry.restore(drawn @ turn.T + [10.0, -20.0, 5.0])
    expected = kinase.geometry.restore(drawn) @ turn.T + [10.0, -20.0, 5.0]
    assert np.sqrt(np.square(found - expected).sum(axis=2).mean()) < 2e-4  # rounding of single precision


def test_simulated_frames_that_serve_as_means_stay_nearly_as_they_are(kinase: Kinase) -> None:
    """Only unusual terms move, and means of many frames become valid."""
    found = kinase.geometry.restore(kinase.frames[:20], mean=True)
    assert float(np.median(pairwise_rmsd(found, kinase.frames[:20], np.ones(found.shape[1])))) < 0.15
    means = np.stack([kinase.frames[i : i + 30].mean(axis=0) for i in range(0, 60, 6)])
    assert kinase.validity.test(kinase.geometry.restore(means, mean=True)).all()


def test_arrays_make_the_same_local_geometry(kinase: Kinase) -> None:
    """As a file keeps it."""
    again = LocalGeometry.from_arrays(kinase.geometry.to_arrays(), walls_of(kinase.validity))
    drawn = kinase.draw(3, 3)
    np.testing.assert_array_equal(again.restore(drawn), kinase.geometry.restore(drawn))


def test_a_flat_chain_has_bonds_and_angles_only(chain) -> None:
    """Two dimensions have no torsions."""
    frames = np.asarray(chain[:400], dtype=float)
    bonds = np.stack([np.arange(frames.shape[1] - 1), np.arange(1, frames.shape[1])], axis=1)
    noisy = frames + 0.1 * np.random.default_rng(0).normal(size=frames.shape)
    geometry = LocalGeometry.fit(bonds, frames, noisy, None)
    found = geometry.restore(noisy)
    spread = [_measured(geometry.terms, x)[:, : len(bonds)].std() for x in (frames, noisy, found)]
    assert len(geometry.terms.torsions) == 0 and abs(spread[2] / spread[0] - 1.0) < 0.1 < spread[1] / spread[0] - 1.0
