"""Internal coordinates of other molecules, and every likelihood and model of torsions by its name."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import MDAnalysis as mda
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from trajvae import Model, TrainConfig, choices
from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.likelihoods import likelihood_names
from trajvae.molecule.bonded_terms import bond_angles, bond_lengths
from trajvae.molecule.validity import REASONS
from trajvae.outputs.optimize import Search
from trajvae.readers import Reading
from trajvae.typing import Floats, Int64

INTERNAL = TrainConfig(features="internal", epochs=5, hidden=(32,))
SEARCH = Search(starts=8, steps=10, noise=16, draws=128, keep=4)
LOOPS = "not name H* and (resid 10:12 or resid 60:61)"  # two pieces of a protein with nothing between them
KINDS = [
    *(("internal", *names) for names in itertools.product(likelihood_names("internal"), choices.TORSIONS)),
    *(("cartesian", name, "autoregressive") for name in ("lowrank", "conditional")),
]
pytestmark = pytest.mark.filterwarnings("ignore:no topology", "ignore:DCDReader currently makes independent")


def _config(**options: Any) -> TrainConfig:
    return TrainConfig(**{**vars(INTERNAL), **options})


@pytest.fixture(scope="module")
def peptide(examples: Path) -> tuple[str, Reading]:
    """Alanine dipeptide, 400 frames."""
    return str(examples / "alanine_dipeptide.xtc"), Reading(examples / "alanine_dipeptide.pdb", stop=8000, step=20)


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def kind(request: pytest.FixtureRequest, peptide: tuple[str, Reading]) -> Model:
    """A model of the dipeptide with one likelihood and one model of torsions."""
    features, likelihood, torsions = request.param
    config = _config(features=features, likelihood=likelihood, torsions=torsions)
    return Model.train(peptide[0], config, reading=peptide[1], device="cpu")


@pytest.fixture(scope="module")
def plane(chain: Floats) -> Model:
    """The bead chain of the plane."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # an array has no topology
        return Model.train(chain.copy(), INTERNAL, device="cpu")


@pytest.fixture(scope="module")
def alphas(adk: tuple[Path, Path]) -> Model:
    """The 214 C-alpha atoms of adenylate kinase, 98 frames: a chain without bonds of its own."""
    return Model.train(str(adk[1]), _config(select="name CA"), reading=Reading(adk[0]), device="cpu")


@pytest.fixture(scope="module")
def loops(adk: tuple[Path, Path]) -> Model:
    """Heavy atoms of two pieces of the protein."""
    return Model.train(str(adk[1]), _config(select=LOOPS), reading=Reading(adk[0]), device="cpu")


def _fragments(model: Model) -> Int64:
    """The number of each atom's fragment."""
    bonds, n = model.topology.bonds, model.topology.n_atoms
    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def test_every_likelihood_trains(kind: Model) -> None:
    """With the likelihood that was asked for, finite figures and 3 N - 6 features in both kinds."""
    figures, config = kind.figures, kind.config
    assert figures["likelihood"] == config.likelihood
    assert figures["feature_kind"] == config.features
    assert figures["features"] == 24
    assert np.isfinite([figures[k] for k in ("elbo", "rmsd", "mutual_information")]).all()


def test_every_likelihood_generates(kind: Model) -> None:
    """Finite and different conformations: most valid in internal coordinates, some in cartesian ones."""
    drawn = kind.generate(200, seed=1)
    assert np.isfinite(drawn.positions).all()
    assert drawn.positions.std(axis=0).min() > 0.01
    assert drawn.valid.sum() > (180 if kind.config.features == "internal" else 10)
    np.testing.assert_array_equal(drawn.positions, kind.generate(200, seed=1).positions)


def test_every_likelihood_is_saved(kind: Model, tmp_path: Path) -> None:
    """Networks of the likelihood and its covariance come back: conformations are bit-identical."""
    kind.save(tmp_path / "model.h5")
    loaded = Model.load(tmp_path / "model.h5", device="cpu")
    np.testing.assert_array_equal(loaded.generate(30, seed=2).positions, kind.generate(30, seed=2).positions)


def test_every_likelihood_is_optimised(kind: Model) -> None:
    """Gradients of draws reach the latent: a finite way, an optimum below most frames."""
    found = kind.optimize("rg", search=SEARCH)
    assert np.isfinite(np.asarray(found.extra["path"]["latent"].value)).all()
    assert found.figures["optimum"] < np.median(kind.record.observables["rg"])


@pytest.mark.parametrize(("name", "wanted"), [("lowrank", "isotropic, full, conditional"), ("foo", "isotropic, full")])
def test_other_likelihoods_are_refused(peptide: tuple[str, Reading], name: str, wanted: str) -> None:
    """The message lists those that internal coordinates have."""
    with pytest.raises(OptionError, match=f"no likelihood '{name}' of internal features; there are {wanted}"):
        Model.train(peptide[0], _config(likelihood=name), reading=peptide[1], device="cpu")


def test_a_chain_in_the_plane_has_its_features(plane: Model) -> None:
    """2 N - 3 of them: bonds, and signed angles of which most turn."""
    features = plane.pipeline.vae.features
    assert plane.figures["features"] == features.size == 2 * 12 - 3
    assert features.n_linear >= 11 and features.shape.n_angular >= 5


def test_a_chain_in_the_plane_generates(plane: Model, tmp_path: Path) -> None:
    """Most draws are valid, bonds are within the allowed range, and files have z = 0."""
    drawn = plane.generate(200, seed=1)
    assert drawn.positions.shape == (200, 12, 2)
    assert drawn.valid.sum() > 150
    lengths, validity = bond_lengths(drawn.positions, plane.record.validity.bonds), plane.record.validity
    assert (lengths > validity.bond_low).mean() > 0.99 and (lengths < validity.bond_high).mean() > 0.99
    drawn.save(tmp_path / "plane.h5md")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(str(tmp_path / "plane.pdb"), str(tmp_path / "plane.h5md"))
        read = np.stack([ts.positions.copy() for ts in universe.trajectory])
    np.testing.assert_allclose(read[..., :2], drawn.positions, atol=1e-4)
    assert not read[..., 2].any()


def test_a_chain_in_the_plane_has_all_outputs(plane: Model, chain: Floats) -> None:
    """Latents do not see how float64 frames lie in the plane; an optimum and a path are chains."""
    exact = chain.astype(np.float64)
    turn = np.array([[np.cos(2.0), -np.sin(2.0)], [np.sin(2.0), np.cos(2.0)]])
    moved = plane.encode(exact @ turn.T + np.array([9.0, -4.0]))
    assert np.abs(moved.latent - plane.encode(exact).latent).max() < 1e-8
    found = plane.optimize("rg", search=SEARCH)
    assert found.figures["valid"] and found.figures["in_support"]
    assert found.figures["optimum"] < np.median(plane.record.observables["rg"])
    way = plane.path(0, 300, frames=6, descent=GeodesicOptions(steps=3))
    assert np.isfinite([v for v in way.figures.values() if isinstance(v, float)]).all()
    lengths = bond_lengths(way.positions, plane.record.validity.bonds)
    assert ((lengths > plane.record.validity.bond_low) & (lengths < plane.record.validity.bond_high)).all()


def test_c_alpha_chains_generate(alphas: Model) -> None:
    """Virtual bonds and angles are the simulation's in nearly every draw, whatever the long levers do to contacts."""
    assert (alphas.figures["features"], len(alphas.topology.bonds)) == (3 * 214 - 6, 0)
    drawn, validity = alphas.generate(50, seed=1), alphas.record.validity
    assert drawn.positions.shape == (50, 214, 3) and np.isfinite(drawn.positions).all()
    lengths, bends = bond_lengths(drawn.positions, validity.bonds), bond_angles(drawn.positions, validity.angles)
    assert ((lengths > validity.bond_low) & (lengths < validity.bond_high)).all(axis=1).mean() > 0.9
    assert ((bends > validity.angle_low) & (bends < validity.angle_high)).all(axis=1).mean() > 0.9
    reasons = np.asarray(drawn.observables["invalid_reason"].value)
    assert (np.isin(reasons, [0, REASONS.index("contact")])).mean() > 0.9


def test_c_alpha_chains_encode_and_decode(alphas: Model, adk: tuple[Path, Path]) -> None:
    """Finite latents, one a frame; the decoded mean is a chain of the same virtual bonds."""
    found = alphas.encode(str(adk[1]), Reading(adk[0]))
    assert found.latent.shape == (98, 2) and np.isfinite(found.latent).all()
    lengths = bond_lengths(alphas.decode(found.latent), alphas.record.validity.bonds)
    np.testing.assert_allclose(lengths, 3.8, atol=1.3)


def test_fragments_keep_apart_and_whole(loops: Model) -> None:
    """Two fragments, no bond between them: most draws are valid, and the gap is about that of the simulation."""
    label = _fragments(loops)
    assert label.max() == 1
    assert loops.figures["features"] == 3 * len(label) - 6
    drawn = loops.generate(100, seed=1)
    assert drawn.valid.sum() > 80
    gaps = [
        np.array([cdist(x[label == 0], x[label == 1]).min() for x in positions])
        for positions in (drawn.positions[drawn.valid], loops.record.sample)
    ]
    assert gaps[1].min() > 15.0  # Å: far apart indeed
    assert np.median(gaps[0]) == pytest.approx(np.median(gaps[1]), abs=1.0)
    assert np.ptp(gaps[0]) < 3.0 * np.ptp(gaps[1])


def test_fragments_have_all_outputs(loops: Model) -> None:
    """An optimum and a path with bonds in range."""
    found = loops.optimize("rg", search=SEARCH)
    way = loops.path(0, 97, frames=6, descent=GeodesicOptions(steps=3))
    assert found.figures["valid"] and way.figures["valid"] == 6
    assert np.isfinite([v for v in way.figures.values() if isinstance(v, float)]).all()
    for positions in (found.positions, way.positions):
        lengths = bond_lengths(positions, loops.record.validity.bonds)
        assert ((lengths > loops.record.validity.bond_low) & (lengths < loops.record.validity.bond_high)).all()
