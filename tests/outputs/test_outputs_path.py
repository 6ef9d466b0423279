"""Geodesic paths between two conformations."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import mdtraj
import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.outputs.path import METRICS, nearest
from trajvae.outputs.path_crossings import crossings_along
from trajvae.typing import AnyArray

QUICK = GeodesicOptions(steps=60)
pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture(scope="module")
def model(chain: AnyArray) -> Model:
    """Trained a little on the chain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arrays have no topology
        return Model.train(chain, TrainConfig(epochs=40, hidden=(32,)), device="cpu")


@pytest.mark.parametrize("metric", METRICS)
def test_path_leads_from_one_frame_to_the_other(model: Model, metric: str) -> None:
    """Its ends are the decoded frames; it is not longer than the straight line in its own metric."""
    found = model.path(3, 250, metric=metric, frames=20, descent=QUICK, geometry="none")
    f = found.figures
    assert found.positions.shape == (20, 12, 2) and found.latent.shape == (20, 2)
    np.testing.assert_allclose(found.latent[[0, -1]], model.record.latent[[3, 250]], atol=1e-5)
    np.testing.assert_allclose(found.positions[[0, -1]], model.decode(model.record.latent[[3, 250]]), atol=1e-4)
    assert 0.0 < f["length"] <= f["straight_length"] * (1 + 1e-6)
    assert f["metric"] == metric and f["valid"] == found.valid.sum()


def test_pullback_lengths_are_the_atoms_way(model: Model) -> None:
    """Length over sqrt N is the way in Å of RMSD; chords between many decoded points come near it from below."""
    found = model.path(3, 250, metric="pullback", frames=400, descent=QUICK, geometry="none")
    f = found.figures
    assert f["length"] / 12**0.5 == pytest.approx(f["length_angstrom"], rel=1e-4)
    chords = np.linalg.norm(np.diff(found.positions, axis=0), axis=(1, 2))
    assert chords.sum() == pytest.approx(f["length"], rel=2e-3)
    assert chords.max() / chords.min() < 1.1  # constant speed
    assert f["straight_length_angstrom"] >= f["length_angstrom"] * (1 - 1e-6)


def test_density_keeps_to_the_simulation(model: Model) -> None:
    """Points of its paths are nearer to training latents than those of straight lines, in the mean over four pairs."""
    known = model.record.latent

    def away(metric: str, start: int, end: int) -> float:
        points = model.path(start, end, metric=metric, frames=40, descent=QUICK).latent
        return float(np.linalg.norm(points[:, None] - known, axis=-1).min(axis=1).mean())

    pairs = ((3, 250), (17, 330), (60, 120), (200, 390))
    density, flat = (np.mean([away(metric, *pair) for pair in pairs]) for metric in ("density", "flat"))
    assert density < flat


def test_nearest_frames_are_those_of_least_rmsd(model: Model, chain: AnyArray) -> None:
    """A turned simulated frame is its own nearest, at an RMSD of zero; frame numbers count all frames."""
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    index, rmsd = nearest(chain[[5, 77]].astype(float) @ turn, chain)
    assert index.tolist() == [5, 77]
    np.testing.assert_allclose(rmsd, 0.0, atol=1e-5)
    found = model.path(3, 250, frames=5, descent=QUICK)
    frames, least = (found.observables[k].value for k in ("nearest_frame", "nearest_rmsd"))
    again, other = nearest(found.positions, chain)
    np.testing.assert_array_equal(frames, again)
    np.testing.assert_allclose(least, other, rtol=1e-4)
    assert found.figures["nearest_rmsd"] == pytest.approx(float(least.mean()))


def test_numbers_count_the_source_that_is_given(model: Model, chain: AnyArray) -> None:
    """Frame 0 of a source that starts at frame 100 is frame 100."""
    late = model.path(0, 50, source=chain[100:200], frames=4, descent=QUICK)
    np.testing.assert_allclose(late.latent[[0, -1]], model.record.latent[[100, 150]], atol=1e-4)
    assert late.observables["nearest_frame"].value.max() < 100


def test_structures_are_ends_too(model: Model, chain: AnyArray, tmp_path: Path) -> None:
    """A file's first frame, by its path."""
    np.save(tmp_path / "a.npy", chain[3:4])
    found = model.path(tmp_path / "a.npy", "250", frames=4, descent=QUICK)
    np.testing.assert_allclose(found.latent[[0, -1]], model.record.latent[[3, 250]], atol=1e-4)


def test_written_paths_open_elsewhere(model: Model, tmp_path: Path) -> None:
    """mdtraj reads the conformations; speeds and neighbours stand beside them."""
    model.path(3, 250, frames=7, descent=QUICK).save(tmp_path / "path.h5md")
    assert mdtraj.load_hdf5(str(tmp_path / "path.h5md")).n_frames == 7
    with h5py.File(tmp_path / "path.h5md") as file:
        names = set(file["observables"])
        assert names >= {"latent", "valid", "speed", "energy", "nearest_frame", "nearest_rmsd", "rg"}
        speed, energy = (file[f"observables/{k}/value"][()] for k in ("speed", "energy"))
    np.testing.assert_allclose(energy, 0.5 * speed**2)


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "hyperspherical"},
        {"backend": "product", "signature": "h2,s1"},
    ],
)
def test_curved_latent_spaces(chain: AnyArray, options: dict[str, Any]) -> None:
    """Paths stay on the manifold; the learned metric says that it is for flat ones."""
    curved = Model.train(chain, TrainConfig(epochs=5, hidden=(32,), **options), device="cpu")
    found = curved.path(3, 250, frames=10, descent=QUICK)
    assert found.figures["length"] <= found.figures["straight_length"] * (1 + 1e-6)
    latent = curved.pipeline.vae.latent
    z = torch.from_numpy(found.latent)
    torch.testing.assert_close(latent.manifold.project(z), z, rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="learned"):
        curved.path(3, 250, metric="learned")
    flat = curved.path(3, 250, metric="flat", frames=10)
    ends = torch.from_numpy(curved.record.latent[[3, 250]])
    assert flat.figures["length"] == pytest.approx(
        float(latent.manifold.pairwise_distance(ends[:1], ends[1:])[0, 0].detach()), rel=1e-4
    )


def test_wrong_ends_and_options_are_named(model: Model) -> None:
    """Frames that are not there, one frame, no such metric, no such file."""
    for start, options, named in (
        (400, {}, "399"),
        (-1, {}, "399"),
        (0, {"frames": 1}, "got 1"),
        (0, {"metric": "round"}, "density"),
        (0, {"curve": "bezier"}, "spline"),
    ):
        with pytest.raises(OptionError, match=named):
            model.path(start, 5, descent=QUICK, **options)
    with pytest.raises(ReadError, match=r"nowhere\.pdb"):
        model.path("nowhere.pdb", 5)


def test_crossings_of_bonds_are_counted_and_warned_of() -> None:
    """A strand that passes through another between two conformations, by the step it happens in; none in a plane."""
    strands = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 1], [0, 1, 1]], dtype=float)
    way = np.stack([strands, strands, strands * [1, 1, -1]])
    bonds = np.array([[0, 1], [2, 3]])
    with pytest.warns(TrajvaeWarning, match=r"1 pairs of bonds .* from conformation 1 to 2"):
        assert crossings_along(way, bonds) == 1
    assert crossings_along(way[:2], bonds) == 0 and crossings_along(way[..., :2], bonds) is None
