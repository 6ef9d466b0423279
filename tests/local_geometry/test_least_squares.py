"""Gauss-Newton steps and conjugate gradients, beside dense linear algebra and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
import torch

from trajvae.local_geometry import least_squares
from trajvae.local_geometry.bonded import BondedTerms, wrapped
from trajvae.local_geometry.least_squares import ANCHOR, _NormalEquations, conjugate_gradients, solve
from trajvae.local_geometry.walls import Walls

from helpers import normal_numbers

BONDS = np.array([[0, 1], [1, 2], [2, 3], [2, 4]])


def problem(samples: int) -> tuple[BondedTerms, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A branched molecule, targets near its values, deviations, and drawn conformations."""
    terms = BondedTerms.of(BONDS, 5, 3)
    middle = torch.tensor(
        [[0, 0, 0], [1.5, 0, 0], [2.0, 1.4, 0], [3.4, 1.4, 0.4], [1.4, 2.4, 1.0]], dtype=torch.float64
    )
    drawn = middle[..., None] + 0.1 * normal_numbers(5, 3, samples)
    targets = terms.values(middle[..., None]).expand(-1, samples)
    return terms, targets, torch.full((len(terms), 1), 0.02, dtype=torch.float64), drawn


def test_conjugate_gradients_solve_dense_systems() -> None:
    """One system for each conformation."""
    a = normal_numbers(4, 6, 6)
    matrices = a @ a.mT + 0.5 * torch.eye(6, dtype=torch.float64)
    right = normal_numbers(2, 3, 4, seed=1)
    diagonal = matrices.diagonal(dim1=1, dim2=2).T.reshape(2, 3, 4)
    found = conjugate_gradients(
        lambda v: torch.einsum("bij,jb->ib", matrices, v.reshape(6, 4)).reshape(2, 3, 4), right, diagonal, 40
    )
    expected = torch.linalg.solve(matrices, right.reshape(6, 4).T).T.reshape(2, 3, 4)
    torch.testing.assert_close(found, expected)


def test_normal_equations_are_those_of_the_dense_jacobian() -> None:
    """Product, gradient and diagonal, by automatic differentiation."""
    terms, targets, width, drawn = problem(1)
    x = drawn + 0.05 * normal_numbers(5, 3, 1, seed=2)
    system = _NormalEquations(terms, targets, width, drawn, x)

    def residuals(flat: torch.Tensor) -> torch.Tensor:
        off = wrapped(terms.values(flat.reshape(5, 3, 1)) - targets)[:, 0] / width[:, 0]
        return torch.cat([off, (flat - drawn.flatten()) / ANCHOR])

    jacobian = torch.autograd.functional.jacobian(residuals, x.flatten())
    normal = jacobian.T @ jacobian
    v = normal_numbers(15, seed=3)
    torch.testing.assert_close(system.product(v.reshape(5, 3, 1)).flatten(), normal @ v)
    torch.testing.assert_close(system.gradient.flatten(), jacobian.T @ residuals(x.flatten()))
    torch.testing.assert_close(system.diagonal.flatten(), normal.diagonal())


def test_many_steps_reach_the_minimum_that_scipy_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same sum of squares."""
    terms, targets, width, drawn = problem(3)
    monkeypatch.setattr(least_squares, "_FAR", -1.0)  # rounds until the end
    found = solve(terms, targets, width, drawn, None, rounds=6)
    for k in range(3):

        def residuals(flat, k: int = k):
            x = torch.from_numpy(flat).reshape(5, 3, 1)
            off = wrapped(terms.values(x) - targets[:, k : k + 1])[:, 0] / width[:, 0]
            return torch.cat([off, (x - drawn[..., k : k + 1]).flatten() / ANCHOR]).numpy()

        best = scipy.optimize.least_squares(residuals, drawn[..., k].flatten().numpy(), xtol=1e-12, ftol=1e-12)
        np.testing.assert_allclose(found[..., k].flatten().numpy(), best.x, atol=1e-5)


def test_walls_part_atoms_that_are_too_near() -> None:
    """Two atoms of one molecule, four bonds apart; a conformation without such a contact stays as it is."""
    bonds = np.stack([np.arange(4), np.arange(1, 5)], axis=1)
    terms = BondedTerms(bonds[:0], np.empty((0, 3), dtype=np.int64), np.empty((0, 4), dtype=np.int64))
    terms = BondedTerms(bonds, terms.angles, terms.torsions)
    ring = torch.tensor([[0, 0, 0], [1.5, 0, 0], [2.2, 1.3, 0], [1.2, 2.4, 0], [0.1, 1.2, 0]], dtype=torch.float64)
    drawn = torch.stack([ring, 2.0 * ring], dim=2)
    limits = np.zeros((5, 5))
    limits[0, 4] = 2.0
    walls = Walls(5, lambda pairs: limits[pairs[:, 0], pairs[:, 1]], 2.0)
    found = solve(terms, terms.values(drawn), torch.full((4, 1), 0.02, dtype=torch.float64), drawn, walls)
    apart = (found[0] - found[4]).norm(dim=0)
    assert float(apart[0]) > 1.99 and float((terms.values(found) - terms.values(drawn))[:, 0].abs().max()) < 0.1
    torch.testing.assert_close(found[..., 1], drawn[..., 1])


def test_conformations_that_are_far_off_get_further_rounds() -> None:
    """One of two draws is torn apart: one round leaves its bonds long, more of them do not; the other is untouched."""
    terms, targets, width, drawn = problem(2)
    drawn[..., 1] += 4.0 * normal_numbers(5, 3, seed=4)
    once, often = (solve(terms, targets, width, drawn, None, rounds=n) for n in (1, 4))
    off = [((terms.values(x) - targets) / width)[: len(BONDS)].abs().amax(dim=0) for x in (once, often)]
    torch.testing.assert_close(once[..., 0], often[..., 0])
    assert float(off[1][1]) < 0.5 * float(off[0][1])
