"""Cells and nearest images, beside a search through all images."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from MDAnalysis.lib.mdamath import triclinic_vectors

from trajvae.errors import TrajvaeWarning
from trajvae.periodic.lattice import Cells, box_vectors, obtuse_superbase, possible_cells
from trajvae.readers.plausibility import is_box, usable_boxes

SHAPES = {
    "cubic": (60.0, 60.0, 60.0, 90.0, 90.0, 90.0),
    "orthorhombic": (30.0, 45.0, 80.0, 90.0, 90.0, 90.0),
    "octahedron": (60.0, 60.0, 60.0, 70.53, 109.47, 70.53),
    "dodecahedron": (60.0, 60.0, 60.0, 60.0, 60.0, 90.0),
    "triclinic": (40.0, 55.0, 33.0, 75.0, 100.0, 115.0),
    "skewed": (40.0, 40.0, 60.0, 55.0, 65.0, 50.0),
}
IMAGES = np.array(list(itertools.product(range(-3, 4), repeat=3)), dtype=np.float64)


def shortest(x, vectors):
    """Length of the shortest image of vectors (P, 3), by a search through 7 x 7 x 7 of them."""
    return np.linalg.norm(x[:, None] + IMAGES @ vectors, axis=2).min(axis=1)


def nearest_lengths(box, x):
    """Length of what `Cells` finds, for vectors (P, 3) in one box."""
    cells, frame = Cells.from_boxes(np.array([box]), 1), np.zeros(len(x), dtype=np.int64)
    images = cells.nearest(x, frame)
    np.testing.assert_array_equal(images, np.rint(images))
    return np.linalg.norm(x + cells.shift(images, frame), axis=1)


@pytest.mark.parametrize("name", SHAPES)
def test_the_nearest_image_is_that_of_a_search(name):
    """Vectors up to 1.5 cells long, in every shape of cell."""
    rng = np.random.default_rng(0)
    vectors = box_vectors(np.array([SHAPES[name]]))[0]
    x = rng.uniform(-1.0, 1.0, (500, 3)) @ vectors
    np.testing.assert_allclose(nearest_lengths(SHAPES[name], x), shortest(x, vectors), atol=1e-9)


def test_the_nearest_image_is_right_in_random_cells():
    """Cells of any angles that can meet; the search runs in a reduced basis, where seven images a direction suffice."""
    rng, seen = np.random.default_rng(1), 0
    while seen < 100:
        box = np.r_[rng.uniform(20.0, 60.0, 3), rng.uniform(25.0, 155.0, 3)]
        if not possible_cells(box[None])[0]:
            continue
        vectors = box_vectors(box[None])
        x = rng.uniform(-1.0, 1.0, (60, 3)) @ vectors[0]
        basis = (obtuse_superbase(vectors) @ vectors)[0, :3]
        inside = x - np.floor(x @ np.linalg.inv(basis)) @ basis
        np.testing.assert_allclose(nearest_lengths(box, x), shortest(inside, basis), atol=1e-9)
        seen += 1


def test_frames_with_cells_of_their_own():
    """Cells that differ from frame to frame, and a frame without one, which has no images."""
    boxes = np.array([SHAPES["octahedron"], SHAPES["skewed"], np.zeros(6), SHAPES["cubic"]])
    cells = Cells.from_boxes(boxes, 4)
    rng = np.random.default_rng(2)
    x, frame = rng.uniform(-60.0, 60.0, (400, 3)), np.repeat(np.arange(4), 100)
    got = np.linalg.norm(x + cells.shift(cells.nearest(x, frame), frame), axis=1)
    for t in (0, 1, 3):
        np.testing.assert_allclose(got[frame == t], shortest(x[frame == t], cells.vectors[t]), atol=1e-9)
    assert not cells.nearest(x, frame)[frame == 2].any()


@pytest.mark.parametrize("name", SHAPES)
def test_vectors_that_are_not_far_have_no_nearer_image(name):
    """The quick test leaves nothing out."""
    cells = Cells.from_boxes(np.array([SHAPES[name]] * 2), 2)
    x = np.random.default_rng(3).uniform(-40.0, 40.0, (2, 300, 3))
    frame, place = cells.may_be_shortened(x.copy())
    far = np.zeros((2, 300), dtype=bool)
    far[frame, place] = True
    images = cells.nearest(x.reshape(-1, 3), np.repeat([0, 1], 300)).reshape(2, 300, 3)
    assert images.any() and not images[~far].any()


def test_half_a_cell_is_no_reason_to_move():
    """Two images equally near: the vector as it stands."""
    for name in ("cubic", "octahedron"):
        half = 0.5 * box_vectors(np.array([SHAPES[name]]))[0]
        assert not Cells.from_boxes(np.array([SHAPES[name]]), 1).nearest(half, np.zeros(3, dtype=np.int64)).any()


def test_reduced_bases_are_obtuse_and_span_the_lattice():
    """No two vectors with a positive product, and coefficients of determinant one."""
    vectors = box_vectors(np.array(list(SHAPES.values())))
    whole = obtuse_superbase(vectors)
    base = whole @ vectors
    products = base @ np.swapaxes(base, 1, 2)
    assert (products[:, ~np.eye(4, dtype=bool)] <= 1e-5).all()
    np.testing.assert_allclose(np.abs(np.linalg.det(whole[:, :3])), 1.0)
    np.testing.assert_allclose(base.sum(axis=1), 0.0, atol=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_vectors_are_those_of_mdanalysis(name):
    """The same convention: the first vector along x, the second in the xy plane."""
    got = box_vectors(np.array([SHAPES[name]]))[0]
    np.testing.assert_allclose(got, triclinic_vectors(SHAPES[name]), atol=1e-4)


IMPOSSIBLE = [
    (10.0, 170.0, 90.0),
    (90.0, 90.0, 179.5),
    (60.0, 60.0, 119.99),
    (120.0, 120.0, 120.0),
    (90.0, 180.0, 90.0),
]


@pytest.mark.parametrize("angles", IMPOSSIBLE)
def test_impossible_cells_are_not_used_and_one_line_says_so(angles):
    """Angles that cannot meet, and cells that are all but flat."""
    box = np.array([50.0, 50.0, 50.0, *angles])
    assert not possible_cells(box[None])[0] and not is_box(box, 100)
    with pytest.warns(TrajvaeWarning, match=r"frame 7 of 'run.xtc'.*no cell") as caught:
        got = usable_boxes(box[None], 100, np.array([7]), "run.xtc")
    assert not got.any() and "\n" not in str(caught[0].message) and len(caught) == 1


@pytest.mark.parametrize("name", SHAPES)
def test_real_cells_are_used(name):
    """No warning, and the box as it is."""
    box = np.array([SHAPES[name]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(usable_boxes(box, 1000, np.array([0]), "run.xtc"), box)
