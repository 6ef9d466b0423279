"""Conformations at given latent points: which they are, of flat and of curved spaces, and what is refused."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from trajvae import Model, TrainConfig
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.geometry.manifolds import EuclideanSpace
from trajvae.outputs.drawing.given_points import points_on, read_points


@pytest.fixture(scope="module")
def sphere(ring_frames):
    """A short training with points on a sphere."""
    config = TrainConfig(backend="hyperspherical", latent_dim=2, epochs=2, hidden=(8,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # an array has no topology
        return Model.train(ring_frames, config, device="cpu")


@pytest.fixture(scope="module")
def ring_frames():
    """Six atoms on a wobbling ring, 60 frames."""
    random = np.random.default_rng(0)
    turn = 2.0 * np.pi * np.arange(6) / 6
    ring = 1.5 * np.stack([np.cos(turn), np.sin(turn), np.zeros(6)], axis=1)
    return (ring + 0.2 * random.normal(size=(60, 6, 3))).astype(np.float32)


def test_each_point_has_as_many_conformations_as_are_wanted(tiny_model):
    """In the order of the points; the figures count all, and a batch's border changes nothing."""
    points = np.array([[0.5, -1.2], [0.0, 0.3], [-1.0, 0.1]])
    made = tiny_model.generate(7, at=points, seed=3)
    assert made.figures.n == 21 and made.figures.sampler == "given"
    np.testing.assert_allclose(made.latent, np.repeat(points, 7, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(made.positions, tiny_model.generate(7, at=points, seed=3).positions)
    one = tiny_model.generate(4, at=points[1], mean=True, geometry="none")
    np.testing.assert_allclose(one.positions, np.repeat(tiny_model.decode(points[1:2]), 4, axis=0), atol=1e-5)


def test_draws_scatter_about_the_mean_at_the_point(tiny_model):
    """The mean of 4000 draws is the decoded mean, within five standard errors."""
    z = tiny_model.record.latent[:1]
    drawn = tiny_model.generate(4000, at=z, redraws=0, geometry="none").positions
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - tiny_model.decode(z)[0]) < 5.0 * error + 1e-4).all()


def test_points_of_a_sphere_may_be_rounded(sphere):
    """Three digits are put on the sphere again; a point inside it is refused, with the nearest that is on it."""
    z = sphere.record.latent[:2]
    made = sphere.generate(3, at=np.round(z, 3))
    np.testing.assert_allclose(np.linalg.norm(made.latent, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(made.latent[::3], z, atol=2e-3)
    with pytest.raises(OptionError, match=r"latent point 1, .* is not on the latent space; the nearest of it is"):
        sphere.generate(3, at=np.array([z[0], 0.5 * z[1]]))


@pytest.mark.parametrize("points", [[0.1], [[0.1, 0.2, 0.3]], np.empty((0, 2)), [[np.nan, 0.0]], np.zeros((1, 1, 2))])
def test_other_shapes_are_refused(points):
    """The message says how many coordinates a point has."""
    with pytest.raises(OptionError, match="a latent point of this model has 2 finite coordinates, got shape"):
        points_on(EuclideanSpace(2), np.asarray(points))


def test_points_exclude_a_sampler_and_valid_only(tiny_model):
    """Either would draw other points, or another number at each."""
    for other in ({"sampler": "prior"}, {"valid_only": True}):
        with pytest.raises(OptionError, match="exclude a sampler, and valid_only"):
            tiny_model.generate(3, at=np.zeros((1, 2)), **other)


def test_texts_and_files_are_read(tmp_path):
    """Coordinates, tables of text with commas or spaces, and arrays; anything else is refused by name."""
    (tmp_path / "points.txt").write_text("# x y\n0.5 1\n-1,2\n")
    np.save(tmp_path / "points.npy", np.array([[3.0, 4.0]]))
    found = read_points(["-0.5,1e-3", str(tmp_path / "points.txt"), str(tmp_path / "points.npy")])
    np.testing.assert_array_equal(found, [[-0.5, 1e-3], [0.5, 1.0], [-1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(OptionError, match=r"such as 0.5,-1.2, or is in a file; got 'nothing.txt'"):
        read_points(["nothing.txt"])
    with pytest.raises(OptionError, match=r"one number of coordinates, got \[1, 2\]"):
        read_points(["1", "1,2"])
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    (tmp_path / "words.txt").write_text("a b\n")
    for name in ("objects.npy", "words.txt"):
        with pytest.raises(ReadError, match=f"{name}' holds no table of latent points"):
            read_points([str(tmp_path / name)])


def test_the_command_line_draws_windows(tiny_model, tmp_path):
    """Five conformations at each of two points, one negative; the JSON counts all."""
    tiny_model.save(tmp_path / "model.h5")
    command = ["generate", "-n", "5", "--at", "-0.5,0.2", "--at", "1,0", "--json", "-o", "windows.h5md"]
    done = subprocess.run(
        [sys.executable, "-m", "trajvae_cli", *command], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 10 and json.loads(done.stdout)["sampler"] == "given"
    wrong = subprocess.run(
        [sys.executable, "-m", "trajvae_cli", "generate", "--at", "1,2,3", "-o", "other.h5md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert wrong.returncode == 2 and "has 2 finite coordinates" in wrong.stderr.splitlines()[-1]
    assert not (tmp_path / "other.h5md").exists()
