"""Contacts between molecules, through the boundary or not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trajvae.periodic.contacts import contact_strength, find_contacts
from trajvae.periodic.lattice import Cells

BOXES = [
    (30.0, 34.0, 40.0, 90.0, 90.0, 90.0),
    (36.0, 36.0, 36.0, 70.53, 109.47, 70.53),
    (0.0, 0.0, 0.0, 90.0, 90.0, 90.0),
]


@pytest.mark.parametrize("box", BOXES)
def test_contacts_are_those_of_a_search_through_all_images(box):
    """Strength of every pair of molecules and image, beside all pairs of atoms in 5 x 5 x 5 cells."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.0, 24.0, (6, 1, 3))
    x = (centres + rng.normal(size=(6, 5, 3))).reshape(-1, 3)
    cells, molecule = Cells.from_boxes(np.array([box]), 1), np.repeat(np.arange(6), 5)
    found = find_contacts([x], cells, molecule)
    expected = {}
    steps = itertools.product(range(-2, 3), repeat=3) if box[0] else [(0, 0, 0)]
    for image in steps:
        distance = np.linalg.norm(x[None] + np.array(image) @ cells.vectors[0] - x[:, None], axis=2)
        for a, b in itertools.combinations(range(6), 2):
            near = distance[5 * a : 5 * a + 5, 5 * b : 5 * b + 5]
            if (near <= 12.0).any():
                expected[a, b, *image] = contact_strength(near[near <= 12.0]).sum()
    rows = np.column_stack([found.pair, found.image]).astype(int).tolist()
    assert set(map(tuple, rows)) == set(expected) and len(rows) == len(expected) > 0
    np.testing.assert_allclose(found.strength, [expected[tuple(row)] for row in rows])


def test_single_atoms_touch_molecules_and_not_each_other():
    """An ion beside a molecule is in contact with it; two ions side by side are not."""
    x = np.array([[5.0, 5.0, 5.0], [6.5, 5.0, 5.0], [9.0, 5.0, 5.0], [9.0, 7.0, 5.0]])
    cells = Cells.from_boxes(np.array([[40.0, 40.0, 40.0, 90.0, 90.0, 90.0]]), 1)
    found = find_contacts([x], cells, np.array([0, 0, 1, 2]))
    assert sorted(map(tuple, found.pair.tolist())) == [(0, 1), (0, 2)]
    assert found.atoms[found.pair[:, 1] == 1].tolist() == [[1, 2]]
