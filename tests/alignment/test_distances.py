"""Distances between all frames of two sets, compared with superposition frame by frame and with mdtraj."""

from __future__ import annotations

from pathlib import Path

import mdtraj
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from trajvae.alignment.align import pairwise_rmsd
from trajvae.alignment.distances import rmsd_matrix
from trajvae.typing import Floats

PRECISION = 1e-6  # of the frames' size, as its docstring promises


def _frames(n: int, n_atoms: int = 9, dimension: int = 3, seed: int = 0) -> Floats:
    return 3.0 * np.random.default_rng(seed).normal(size=(n, n_atoms, dimension)) + 5.0


def _one_by_one(a: Floats, b: Floats) -> Floats:
    """Return the same distances, from the singular values of one pair at a time."""
    ones = np.ones(a.shape[1])
    return np.stack([pairwise_rmsd(np.repeat(x[None], len(b), axis=0), b, ones) for x in a])


def _turned(x: Floats, seed: int = 0) -> Floats:
    """Each frame turned properly and shifted, by another amount."""
    random = np.random.default_rng(seed)
    if x.shape[2] == 3:
        turns = Rotation.random(len(x), random_state=seed).as_matrix()
    else:
        angle = random.uniform(0, 2 * np.pi, len(x))
        turns = np.moveaxis(np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]), 2, 0)
    return x @ turns + random.normal(0, 10, (len(x), 1, x.shape[2]))


def _size(x: Floats) -> float:
    return float(np.sqrt(np.square(x - x.mean(axis=1, keepdims=True)).sum(axis=2).mean()))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("n_atoms", [4, 9, 60])
def test_every_pair_is_superposed(n_atoms: int, dimension: int) -> None:
    """A table of A rows and B columns, each the optimal RMSD of that pair."""
    a, b = _frames(7, n_atoms, dimension), _frames(11, n_atoms, dimension, seed=1)
    found = rmsd_matrix(a, b)
    assert found.shape == (7, 11)
    np.testing.assert_allclose(found, _one_by_one(a, b), atol=PRECISION * _size(a))
    np.testing.assert_allclose(rmsd_matrix(b, a), found.T, atol=PRECISION * _size(a))


def test_mdtraj_measures_the_same(examples: Path) -> None:
    """Beside mdtraj.rmsd on frames of alanine dipeptide, which that has in nm and float32."""
    frames = mdtraj.load(str(examples / "alanine_dipeptide.xtc"), top=str(examples / "alanine_dipeptide.pdb"))[::400]
    x = 10.0 * frames.xyz
    twin = np.stack([10.0 * mdtraj.rmsd(frames, frames, frame=k) for k in range(len(x))])
    found = rmsd_matrix(x, x)
    assert found.dtype == np.float64 and np.median(found) > 0.5
    np.testing.assert_allclose(found, twin, atol=2e-3)
    np.testing.assert_allclose(found, _one_by_one(x.astype(float), x.astype(float)), atol=PRECISION * _size(x))


@pytest.mark.parametrize("dimension", [2, 3])
def test_turned_and_shifted_frames_are_at_no_distance(dimension: int) -> None:
    """Zero on the diagonal, and everywhere what it was before frames were turned, each by itself."""
    a, b = _frames(6, dimension=dimension), _frames(5, dimension=dimension, seed=1)
    assert rmsd_matrix(a, _turned(a)).diagonal().max() < PRECISION * _size(a)
    assert rmsd_matrix(a, a).diagonal().max() < PRECISION * _size(a)
    np.testing.assert_allclose(rmsd_matrix(_turned(a, 1), _turned(b, 2)), rmsd_matrix(a, b), atol=1e-6)


@pytest.mark.parametrize("dimension", [2, 3])
def test_mirror_images_are_not_superposed(dimension: int) -> None:
    """A mirrored frame is another molecule; its distance is that of the best proper rotation."""
    a = _frames(6, dimension=dimension)
    mirrored = a * ([-1.0] + [1.0] * (dimension - 1))
    found = rmsd_matrix(a, mirrored)
    assert found.diagonal().min() > 0.3
    np.testing.assert_allclose(found, _one_by_one(a, mirrored), atol=PRECISION * _size(a))


def test_a_known_distance() -> None:
    """A unit square and one of half the side: RMSD is that of corners at (1 - 1/2) / sqrt 2 from their centre."""
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[None]
    assert rmsd_matrix(square, 0.5 * square)[0, 0] == pytest.approx(0.5 / np.sqrt(2.0))
    in_space = np.concatenate([square, np.zeros((1, 4, 1))], axis=2)
    assert rmsd_matrix(in_space, 0.5 * in_space)[0, 0] == pytest.approx(0.5 / np.sqrt(2.0))


THIN = {"flat": (1.0, 1.0, 0.0), "nearly flat": (1.0, 1.0, 1e-4), "straight": (1.0, 0.0, 0.0)}
THIN |= {"nearly straight": (1.0, 1e-4, 1e-4), "flat rod": (1.0, 0.03, 0.0)}
THIN |= {f"rod of {t}": (1.0, t, 0.6 * t) for t in (0.3, 0.1, 0.03, 0.01, 0.003)}


@pytest.mark.parametrize("shape", THIN.values(), ids=THIN.keys())
def test_flat_and_straight_molecules(shape: tuple[float, float, float]) -> None:
    """Planar frames are at distance zero from themselves, and at the distance of the twin from others."""
    a, b = _frames(6) * shape, _frames(5, seed=1) * shape
    np.testing.assert_allclose(rmsd_matrix(a, _turned(b)), _one_by_one(a, b), atol=PRECISION * _size(a))
    assert rmsd_matrix(a, _turned(a)).diagonal().max() < PRECISION * _size(a)


@pytest.mark.parametrize("n_atoms", [1, 2, 3])
def test_few_atoms(n_atoms: int) -> None:
    """One atom is always superposed; two differ by their distance, (r - s) / 2; three lie in a plane."""
    a, b = _frames(6, n_atoms), _frames(5, n_atoms, seed=1)
    found = rmsd_matrix(a, b)
    np.testing.assert_allclose(found, _one_by_one(a, b), atol=PRECISION * _size(a) + 1e-9)
    if n_atoms == 2:
        r, s = (np.linalg.norm(x[:, 0] - x[:, 1], axis=1) for x in (a, b))
        np.testing.assert_allclose(found, np.abs(r[:, None] - s) / 2.0, atol=PRECISION * _size(a))


@pytest.mark.parametrize("stretch", [(1, 1, 1), (1, 1, 2), (1, 2, 2)], ids=["cube", "long", "slab"])
def test_symmetric_bodies(stretch: tuple[int, int, int]) -> None:
    """Equal singular values are no trouble: a cube, a long one and a slab are themselves, and a cube twice its size."""
    corners = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, 8).T[None] * stretch
    assert rmsd_matrix(corners, _turned(corners))[0, 0] == pytest.approx(0.0, abs=1e-6 * _size(corners))
    assert rmsd_matrix(corners, 2.0 * corners)[0, 0] == pytest.approx(_size(corners), rel=1e-6)


def test_a_point_is_at_its_radius() -> None:
    """Atoms that all stand at one point are a gyration radius away from a body, and at no distance from a point."""
    point, body = np.full((1, 9, 3), 2.0), _frames(1)
    assert rmsd_matrix(point, body)[0, 0] == pytest.approx(_size(body))
    assert rmsd_matrix(point, point)[0, 0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_units_do_not_matter(scale: float) -> None:
    """Distances grow with the frames."""
    a, b = _frames(4), _frames(5, seed=1)
    np.testing.assert_allclose(rmsd_matrix(scale * a, scale * b), scale * rmsd_matrix(a, b), rtol=1e-9)
