"""Bonded terms: values beside other code, derivatives beside finite differences."""

from __future__ import annotations

import math

import MDAnalysis as mda
import numpy as np
import pytest
import torch

from trajvae.local_geometry.bonded import BondedTerms, wrapped
from trajvae.local_geometry.least_squares import _TermRows

from helpers import normal_numbers

CHAIN = np.stack([np.arange(5), np.arange(1, 6)], axis=1)
BRANCHED = np.array([[0, 1], [1, 2], [1, 3], [3, 4], [4, 5], [4, 6], [4, 7]])


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("bonds", [CHAIN, BRANCHED])
def test_derivatives_are_those_of_finite_differences(bonds, dimension: int) -> None:
    """In every direction at once, by a random one."""
    n, step = int(bonds.max()) + 1, 1e-5
    terms = BondedTerms.of(bonds, n, dimension)
    x, way = 2.0 * normal_numbers(n, dimension, 20), normal_numbers(n, dimension, 20, seed=1)
    values, gradients = terms.linearised(x)
    found = torch.cat([_TermRows(g.atoms, g.derivative).times(way) for g in gradients])
    expected = wrapped(terms.values(x + step * way) - terms.values(x - step * way)) / (2.0 * step)
    torch.testing.assert_close(values, terms.values(x))
    usual = torch.ones_like(values, dtype=torch.bool)  # derivatives of nearly straight angles are bounded
    angles = slice(len(bonds), len(bonds) + len(terms.angles))
    usual[angles] = (values[angles] > 0.1) & (values[angles] < math.pi - 0.1)
    off = (found - expected).abs() / expected.abs().clamp(min=1.0)
    assert float(usual.double().mean()) > 0.9 and float(off[usual].max()) < 1e-6


def test_values_are_those_of_mdanalysis() -> None:
    """Bond lengths, angles, and torsions with their sign."""
    terms = BondedTerms.of(BRANCHED, 8, 3)
    x = 2.0 * normal_numbers(8, 3, 7)
    frames, values = x.permute(2, 0, 1).numpy(), terms.values(x).numpy()
    for frame, row in zip(frames, values.T, strict=True):
        points = [frame[atoms] for atoms in (terms.bonds, terms.angles, terms.torsions)]
        expected = [
            mda.lib.distances.calc_bonds(*points[0].transpose(1, 0, 2)),
            mda.lib.distances.calc_angles(*points[1].transpose(1, 0, 2)),
            mda.lib.distances.calc_dihedrals(*points[2].transpose(1, 0, 2)),
        ]
        np.testing.assert_allclose(row, np.concatenate(expected), atol=1e-6)


def test_every_chiral_centre_is_in_a_term_that_its_mirror_image_changes() -> None:
    """Of four neighbours, any three and the centre: signs tell the two forms apart."""
    terms = BondedTerms.of(BRANCHED, 8, 3)
    x = 2.0 * normal_numbers(8, 3, 4)
    mirrored = x * torch.tensor([1.0, 1.0, -1.0])[:, None]
    impropers = [k for k, atoms in enumerate(terms.torsions) if atoms[3] == 4 and set(atoms[:3]) <= {3, 5, 6, 7}]
    first = len(terms.bonds) + len(terms.angles)
    assert len(impropers) == 2
    for k in impropers:
        torch.testing.assert_close(terms.values(mirrored)[first + k], -terms.values(x)[first + k])


def test_atoms_in_line_or_at_one_place_have_finite_derivatives() -> None:
    """Draws from a normal distribution can be anywhere."""
    line = torch.arange(6, dtype=torch.float64)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])[:, None]
    for x in (line, torch.zeros(6, 3, 1, dtype=torch.float64)):
        values, gradients = BondedTerms.of(CHAIN, 6, 3).linearised(x)
        assert bool(values.isfinite().all()) and all(bool(g.derivative.isfinite().all()) for g in gradients)


def test_differences_of_angles_take_the_short_way() -> None:
    """From -180 to 180 degrees."""
    found = wrapped(torch.tensor([6.0, -6.0, 1.0, 0.0]))
    torch.testing.assert_close(found, torch.tensor([6.0 - 2 * math.pi, 2 * math.pi - 6.0, 1.0, 0.0]))
