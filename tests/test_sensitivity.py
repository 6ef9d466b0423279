"""How much atoms and residues move latent coordinates: closed forms, finite differences, symmetry, refusals."""

from __future__ import annotations

import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from scipy.stats import special_ortho_group

from trajvae import Model, TrainConfig, sensitivity
from trajvae.errors import ModelError, ReadError
from trajvae.readers.reading import Reading
from trajvae.results import Embedding
from trajvae.results.sensitivity import sensitivity_of
from trajvae.sensitivity import SensitivitySums
from trajvae.typing import Float64

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


class Linear:
    """A coordinate that is linear in positions."""

    def __init__(self, coefficients: Float64) -> None:
        self.coefficients, self.n_outputs = coefficients, len(coefficients)

    def value_and_gradient(self, x: Float64) -> tuple[Float64, Float64]:
        """Return values (B, M) and their derivatives."""
        z = np.einsum("mnd,bnd->bm", self.coefficients, x) + 100.0
        return z, np.broadcast_to(self.coefficients, (len(x), *self.coefficients.shape))


class Distances:
    """The sum of the distances of atoms 0 and 1 from atom 2."""

    n_outputs = 1

    def value_and_gradient(self, x: Float64) -> tuple[Float64, Float64]:
        """Return values (B, 1) and their derivatives."""
        away = x[:, :2] - x[:, 2:]
        length = np.linalg.norm(away, axis=-1)
        unit = away / length[..., None]
        return length.sum(axis=1, keepdims=True), np.concatenate([unit, -unit.sum(axis=1, keepdims=True)], 1)[:, None]


def train(x: Float64, align: str = "superpose", epochs: int = 5) -> Model:
    """A quick model of an array of frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = TrainConfig(epochs=epochs, hidden=(16,), align=align, features="cartesian")
        return Model.train(x, config, device="cpu")


@pytest.fixture(scope="module")
def frames(examples: Path) -> Float64:
    """Heavy atoms of alanine dipeptide, (200, 10, 3) in Å."""
    universe = mda.Universe(examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.xtc")
    heavy = universe.select_atoms("not name H*")
    return np.stack([heavy.positions for _ in universe.trajectory[::50]]).astype(np.float64)


@pytest.fixture(scope="module")
def model(frames: Float64) -> Model:
    """A model of them, aligned by superposition."""
    return train(frames)


def test_a_linear_coordinate_has_the_closed_form() -> None:
    """The root of a C a with the covariance C of an atom, of a residue, and of all atoms for the spread."""
    g = np.random.default_rng(0)
    x = g.normal(size=(500, 4, 3)) @ g.normal(size=(3, 3)) + g.normal(size=(500, 1, 3))
    a = g.normal(size=(2, 4, 3))
    sums = SensitivitySums(Linear(a), x.mean(axis=0), np.array([0, 3]))
    sums.add(x[:123])
    sums.add(x[123:])

    def root(atoms: slice) -> Float64:
        """Root of the variance that some atoms give each component."""
        part, flat = a[:, atoms].reshape(2, -1), x[:, atoms].reshape(500, -1)
        return np.asarray(np.sqrt(np.einsum("mi,ij,mj->m", part, np.cov(flat.T, bias=True), part)))

    for i in range(4):
        np.testing.assert_allclose(sums.atoms[:, i], root(slice(i, i + 1)), rtol=1e-12)
    np.testing.assert_allclose(sums.residues.T, [root(slice(0, 3)), root(slice(3, 4))], rtol=1e-12)
    np.testing.assert_allclose(sums.spread, root(slice(None)), rtol=1e-10)
    np.testing.assert_allclose(sums.fluctuation, np.sqrt(x.var(axis=0).sum(axis=1)), rtol=1e-12)


def test_equal_atoms_have_equal_values() -> None:
    """Two atoms that frames and coordinate do not tell apart."""
    g = np.random.default_rng(1)
    half = g.normal(size=(100, 3, 3)) + np.array([[4.0, 0, 0], [-4.0, 0, 0], [0, 0, 0]])
    x = np.concatenate([half, half[:, [1, 0, 2]]])
    sums = SensitivitySums(Distances(), x.mean(axis=0), np.arange(3))
    sums.add(x)
    assert sums.atoms[0, 0] == pytest.approx(sums.atoms[0, 1], rel=1e-12) and sums.atoms[0, 0] > 0.1
    np.testing.assert_array_equal(sums.atoms, sums.residues)


def test_it_is_what_finite_differences_of_encode_give(model: Model, frames: Float64) -> None:
    """Each atom of each aligned frame is moved along its distance from the mean, and encoded as it comes."""
    some = frames[::4]
    found = model.sensitivity(some)
    aligned = model.pipeline.alignment.apply(some)
    away = aligned - aligned.mean(axis=0)
    each = away[:, :, None] * np.eye(10)[:, :, None]  # of atom i alone, (T, i, N, 3)
    steps = [(aligned[:, None] + h * each).reshape(-1, 10, 3) for h in (1e-4, -1e-4)]
    up, down = (model.pipeline.encode(x)[0].latent.reshape(len(some), 10, -1) for x in steps)
    change = (up - down) / 2e-4
    np.testing.assert_allclose(found.atoms, np.sqrt((change**2).mean(axis=0)).T, rtol=1e-5)
    np.testing.assert_allclose(found.residues[:, 0], np.sqrt((change.sum(axis=1) ** 2).mean(axis=0)), rtol=1e-5)
    np.testing.assert_allclose(found.spread, model.encode(some, rmsd=False).latent.std(axis=0), rtol=1e-9)
    nearest = int((away**2).sum(axis=(1, 2)).argmin())
    assert (found.frames, found.structure_frame) == (50, nearest)
    np.testing.assert_allclose(found.structure, aligned[nearest], atol=1e-12)


def test_an_embedding_keeps_it(model: Model, frames: Float64, tmp_path: Path) -> None:
    """Where it is asked for, whole or written as frames come; with the weights of the frames."""
    weights = np.linspace(0.1, 1.0, len(frames))
    found = model.sensitivity(frames, weights=weights)
    model.encode(frames, weights=weights, sensitivity=True).save(tmp_path / "whole.h5")
    model.encode_to(tmp_path / "pieces.h5", frames, weights=weights, sensitivity=True)
    for name in ("whole.h5", "pieces.h5"):
        held = Embedding.load(tmp_path / name).sensitivity
        assert held is not None and held.figures.effective_sample_size == found.figures.effective_sample_size
        np.testing.assert_array_equal(held.atoms, found.atoms)
        assert sensitivity_of(tmp_path / name).frames == len(frames)
    assert model.encode(frames).sensitivity is None


def test_turning_and_shifting_frames_changes_nothing(model: Model, frames: Float64) -> None:
    """The model superposes them."""
    g = np.random.default_rng(2)
    moved = frames @ special_ortho_group.rvs(3, size=len(frames), random_state=g) + g.normal(0, 5, (len(frames), 1, 3))
    one, other = model.sensitivity(frames), model.sensitivity(moved)
    for name in ("atoms", "residues", "spread", "fluctuation", "structure"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-8, atol=1e-10)


def test_an_atom_that_moves_alone_is_the_only_one() -> None:
    """Of frames that are taken as they come."""
    g = np.random.default_rng(3)
    x = np.tile(g.normal(0, 3, (5, 3)), (200, 1, 1))
    x[:, 2] += g.normal(size=(200, 3))
    found = train(x, "none").sensitivity(x)
    still = [0, 1, 3, 4]
    assert (found.atoms[:, 2] > 0.01).any() and found.fluctuation[2] > 1.0
    assert np.abs(found.atoms[:, still]).max() < 1e-12 > np.abs(found.fluctuation[still]).max()
    assert found.figures.coordinates[0].atoms[0].number == 2


def test_pieces_do_not_matter_and_progress_is_told(
    model: Model, frames: Float64, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One frame's derivatives at a time give the same."""
    told: list[tuple[int, int]] = []
    whole = model.sensitivity(frames, Reading(step=10), lambda done, total: told.append((done, total)))
    monkeypatch.setattr("trajvae.sensitivity._NUMBERS", 1)
    np.testing.assert_allclose(model.sensitivity(frames, Reading(step=10)).atoms, whole.atoms, rtol=1e-12)
    assert told[-1] == (20, 20) and whole.frames == 20


def test_weights_are_numbers_of_copies(model: Model, frames: Float64) -> None:
    """A frame of weight 3 is that frame three times; equal weights change no bit."""
    some, copies = frames[:40], np.arange(40) % 4
    weighted = model.sensitivity(some, weights=2.0 * copies)
    repeated = model.sensitivity(np.repeat(some, copies, axis=0))
    for name in ("atoms", "residues", "spread", "fluctuation", "structure"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-10, atol=1e-12)
    assert weighted.figures.effective_sample_size == pytest.approx(copies.sum() ** 2 / (copies**2).sum())
    equal, plain = model.sensitivity(some, weights=np.full(40, 3.0)), model.sensitivity(some)
    assert np.array_equal(equal.atoms, plain.atoms) and plain.figures.effective_sample_size is None
    assert np.abs(weighted.atoms / plain.atoms - 1.0).max() > 0.01


def test_what_has_no_derivative_is_refused(model: Model, frames: Float64) -> None:
    """Principal axes, frames in the plane, and a single frame."""
    with pytest.raises(ModelError, match="this one aligns them by principal axes"):
        train(frames, "principal", 1).sensitivity(frames)
    flat = np.random.default_rng(4).normal(size=(100, 5, 2))
    with pytest.raises(ModelError, match="this one is of frames in the plane"):
        train(flat, epochs=1).sensitivity(flat)
    with pytest.raises(ReadError, match="at least 2 frames"):
        model.sensitivity(frames[:1])
    assert sensitivity.sensitivity(model, model.open(frames)).frames == 200
