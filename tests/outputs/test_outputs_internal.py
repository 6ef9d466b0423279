"""Every output of a model in internal coordinates, over every latent space, on alanine dipeptide's heavy atoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from trajvae import Conformations, Model, TrainConfig, compare
from trajvae.errors import ModelError
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.latents import LATENTS
from trajvae.models.evidence import evidence
from trajvae.molecule.bonded_terms import bond_lengths
from trajvae.molecule.validity import REASONS
from trajvae.outputs.judging.trials import ComparisonPlan
from trajvae.outputs.optimize import Search
from trajvae.readers import Reading
from trajvae.typing import Float64, Floats

FRAMES, ATOMS = 400, 10
pytestmark = pytest.mark.filterwarnings("ignore:no topology")
SEARCH = Search(starts=8, steps=10, noise=32, draws=256, keep=5)


@pytest.fixture(scope="module")
def source(examples: Path) -> tuple[str, Reading]:
    """Every twentieth of the first 8000 frames."""
    return str(examples / "alanine_dipeptide.xtc"), Reading(examples / "alanine_dipeptide.pdb", stop=8000, step=20)


@pytest.fixture(scope="module", params=list(LATENTS))
def model(request: pytest.FixtureRequest, source: tuple[str, Reading]) -> Model:
    """Trained for a few epochs, which is enough for bonds and angles."""
    config = TrainConfig(backend=request.param, features="internal", epochs=6, hidden=(32,))
    return Model.train(source[0], config, reading=source[1], device="cpu")


@pytest.fixture(scope="module")
def frames(model: Model, source: tuple[str, Reading]) -> Floats:
    """The simulation as it stands in the file, (400, 10, 3) in Å."""
    return model.open(*source).read().positions


@pytest.fixture(scope="module")
def drawn(model: Model) -> Conformations:
    """New conformations."""
    return model.generate(300, seed=1)


@pytest.fixture(scope="module")
def way(model: Model) -> Conformations:
    """Between two frames that are far apart in time."""
    return model.path(3, 300, frames=8, descent=GeodesicOptions(steps=5))


def _moved(x: Floats) -> Float64:
    """Every frame turned and shifted in a way of its own."""
    turns = Rotation.random(len(x), rng=np.random.default_rng(5)).as_matrix()
    shifts = np.random.default_rng(6).uniform(-30.0, 30.0, (len(x), 1, 3))
    return np.asarray(np.einsum("tij,tnj->tni", turns, x) + shifts)


def _bonds_in_range(model: Model, positions: Floats) -> bool:
    """Whether every bond is within what the simulation itself spans, and a quarter of that."""
    bonds = model.record.validity.bonds
    lengths, own = bond_lengths(positions, bonds), bond_lengths(model.record.sample, bonds)
    margin = 0.25 * np.ptp(own, axis=0)
    return bool(((lengths > own.min(axis=0) - margin) & (lengths < own.max(axis=0) + margin)).all())


def test_training_reports_its_figures(model: Model) -> None:
    """Of 3 N - 6 features and held-out frames, finite and with the latent in use."""
    figures = model.figures
    assert (figures["feature_kind"], figures["features"]) == ("internal", 3 * ATOMS - 6)
    assert (figures["frames"], figures["atoms"], figures["epochs"]) == (FRAMES, ATOMS, 6)
    assert 0 < figures["held_out"] < FRAMES // 2
    assert np.isfinite([figures[k] for k in ("elbo", "rmsd", "pca_rmsd", "mutual_information", "prior_gap")]).all()
    assert figures["kl"].keys() == set(model.pipeline.vae.latent.parts)
    assert figures["active_units"] > 0 and not figures["collapsed"]


def test_most_draws_are_molecules_as_drawn(model: Model, drawn: Conformations) -> None:
    """Four in five before x is drawn again and nearly all after it, with no bond out of range among the valid."""
    figures = drawn.figures
    assert figures["drawn"] == figures["n"] == len(drawn) == 300
    assert figures["valid_raw"] > 240 and figures["valid"] > 285
    assert figures["valid"] == int(drawn.valid.sum()) >= figures["valid_raw"]
    assert figures["redrawn"] == figures["drawn"] - figures["valid_raw"]
    assert _bonds_in_range(model, drawn.positions[drawn.valid])


def test_reasons_stand_beside_the_draws(model: Model, drawn: Conformations) -> None:
    """A reason, 0 for valid, is that of the positions given back, and no molecule is another one's mirror image."""
    reasons = np.asarray(drawn.observables["invalid_reason"].value)
    np.testing.assert_array_equal(reasons == 0, drawn.valid)
    np.testing.assert_array_equal(reasons, model.record.validity.reasons(drawn.positions))
    assert REASONS.index("chirality") not in reasons


def test_draws_differ_in_their_torsions(model: Model, drawn: Conformations) -> None:
    """Flexible torsions of the draws are spread as widely as those of the simulation, to a third."""
    features = model.pipeline.vae.features
    assert features.shape.n_angular >= 2
    spreads = []
    for x in (drawn.positions, model.record.sample.astype(float)):
        turning = model.pipeline.targets(x)[:, features.n_linear :].numpy()
        spreads.append(1.0 - np.abs(np.exp(1j * turning).mean(axis=0)))
    np.testing.assert_allclose(spreads[0], spreads[1], atol=0.33)
    assert np.max(spreads[0]) > 0.3


def test_embedding_is_finite_and_repeats(model: Model, frames: Floats) -> None:
    """One latent point a frame, the same bits at every call, those that the model keeps."""
    found = model.encode(frames)
    assert found.latent.shape == (FRAMES, model.pipeline.vae.latent.ambient_dim)
    assert np.isfinite(found.latent).all() and np.isfinite(found.rmsd).all()
    np.testing.assert_array_equal(model.encode(frames).latent, found.latent)
    np.testing.assert_array_equal(found.latent, model.record.latent)
    assert np.ptp(found.latent, axis=0).max() > 0.1


def test_turned_and_shifted_frames_stay_where_they_are(model: Model, frames: Floats) -> None:
    """T10: in float64 no latent point moves by 1e-8 and no RMSD by 1e-8 Å; a mirror image is another molecule."""
    exact = frames.astype(np.float64)
    plain, moved = model.encode(exact), model.encode(_moved(exact))
    assert np.abs(plain.latent - moved.latent).max() < 1e-8
    assert np.abs(plain.rmsd - moved.rmsd).max() < 1e-8
    mirrored = model.encode(exact * np.array([1.0, 1.0, -1.0]))
    assert np.abs(plain.latent - mirrored.latent).max() > 0.1


def test_optimisation_finds_valid_structures_in_support(model: Model) -> None:
    """More compact than one frame in a hundred, with bonds of the molecule, where the simulation has been."""
    found = model.optimize("rg", goal="min", search=SEARCH)
    figures = found.figures
    assert figures["valid"] is True and figures["in_support"] is True
    assert np.isfinite([figures["initial"], figures["expected"]]).all()
    assert figures["optimum"] < figures["quantiles"][0]
    assert found.valid.all() and _bonds_in_range(model, found.positions)
    path = np.asarray(found.extra["path"]["latent"].value)
    assert path.shape == (SEARCH.steps + 1, model.pipeline.vae.latent.ambient_dim) and np.isfinite(path).all()


def test_the_expectation_falls_at_its_own_noise(model: Model) -> None:
    """On the decoded mean, where nothing is random, the descent from the best start does not end above it."""
    figures = model.optimize("rg", goal="min", of="mean", search=SEARCH).figures
    assert figures["expected"] <= figures["initial"] + 1e-6
    assert figures["valid"] is True


def test_paths_are_molecules_all_the_way(model: Model, way: Conformations) -> None:
    """Eight frames, every one valid and with bonds in range, from the first frame's latent point to the other's."""
    assert way.positions.shape == (8, ATOMS, 3) and way.valid.all()
    assert _bonds_in_range(model, way.positions)
    np.testing.assert_allclose(way.latent[[0, -1]], model.record.latent[[3, 300]], atol=1e-5)


def test_paths_have_finite_figures(way: Conformations) -> None:
    """Lengths are positive and no longer than the straight line's, energies and speeds finite."""
    figures = way.figures
    numbers = [v for v in figures.values() if isinstance(v, float)]
    assert len(numbers) >= 6 and np.isfinite(numbers).all() and min(numbers) > 0.0
    assert figures["length"] <= figures["straight_length"] * (1.0 + 1e-4)
    assert all(np.isfinite(np.asarray(way.observables[name].value)).all() for name in ("speed", "energy", "rg"))


def test_evidence_is_finite_and_nested(model: Model, frames: Floats) -> None:
    """Every frame's bounds rise with the draws, and some frames' by more than rounding."""
    found = evidence(model.pipeline, frames[model.record.held_out][:30], 50)
    assert np.isfinite(found.elbo).all() and np.isfinite(found.bounds).all()
    assert found.sizes == (1, 10, 50)
    assert (np.diff(found.bounds, axis=1) > -1e-6).all()
    assert (found.iwae - found.elbo).mean() > 1e-3
    assert ((found.effective >= 1.0 - 1e-6) & (found.effective <= 50.0 + 1e-6)).all()


def test_a_trained_model_can_be_compared(model: Model, source: tuple[str, Reading]) -> None:
    """Alone and on the frames that it held out: finite figures, IWAE above ELBO."""
    found = compare(source[0], models={"mine": model}, reading=source[1], plan=ComparisonPlan(draws=20, frames=40))
    figures = found.figures["backends"]["mine"]
    assert (found.best, found.figures["held_out"]) == ("mine", 40)
    names = ("elbo", "iwae", "elbo_se", "iwae_se", "rmsd", "pca_rmsd", "effective_draws")
    assert np.isfinite([figures[name] for name in names]).all()
    assert figures["iwae"] > figures["elbo"]


def test_saved_and_loaded_it_is_the_same_model(model: Model, frames: Floats, tmp_path: Path) -> None:
    """T6: what it embeds and generates is bit-identical, and so is the tree that it rebuilds by."""
    model.save(tmp_path / "model.h5")
    loaded = Model.load(tmp_path / "model.h5", device="cpu")
    assert loaded.config == model.config and loaded.figures == model.figures
    np.testing.assert_array_equal(loaded.encode(frames).latent, model.encode(frames).latent)
    a, b = (m.generate(50, seed=3) for m in (loaded, model))
    np.testing.assert_array_equal(a.positions, b.positions)
    np.testing.assert_array_equal(a.latent, b.latent)
    np.testing.assert_array_equal(a.valid, b.valid)
    references = [m.pipeline.vae.state_dict()["features.references"].numpy() for m in (loaded, model)]
    np.testing.assert_array_equal(*references)


def test_seeds_decide_what_is_generated(model: Model) -> None:
    """Equal seeds agree bit by bit, others do not."""
    a, b, c = (model.generate(20, seed=seed).positions for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1


def test_features_of_two_kinds_do_not_compare(source: tuple[str, Reading]) -> None:
    """Their ELBOs are densities of different things: refused, with the names of both."""
    configs = {kind: TrainConfig(features=kind, epochs=2, hidden=(8,)) for kind in ("internal", "cartesian")}
    with pytest.raises(ModelError, match="'cartesian' and 'internal' do not compare: their features"):
        compare(source[0], configs, reading=source[1], plan=ComparisonPlan(draws=10, frames=20), device="cpu")
