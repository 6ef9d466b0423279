"""Angles and their bonds are correlated as simulated: closed forms, arcs, bonds that do not vary."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae.local_geometry import LocalGeometry
from trajvae.local_geometry.angle_coupling import AngleCoupling
from trajvae.local_geometry.bonded import BondedTerms

BENT = BondedTerms.of(np.array([[0, 1], [1, 2]]), 3, 3)
MEAN, DEVIATION = np.array([1.3, 1.5, 2.1]), np.array([0.03, 0.04, 0.08])


def normal(first: float, second: float, n: int, seed: int):
    """Two bonds and their angle (n, 3), whose correlations with the bonds are given."""
    covariance = np.array([[1.0, 0.0, first], [0.0, 1.0, second], [first, second, 1.0]])
    rng = np.random.default_rng(seed)
    return MEAN + DEVIATION * rng.multivariate_normal(np.zeros(3), covariance, n)


def mapped(coupling: AngleCoupling, values):
    """Values (n, K) as the coupling maps them."""
    return coupling.apply(torch.from_numpy(values.T)).T.numpy()


@pytest.mark.parametrize("drawn", [(-0.85, 0.0), (0.4, -0.6)])
def test_normal_terms_get_the_simulated_covariance(drawn) -> None:
    """The closed form: a linear map of normal numbers is normal, with the other's mean and covariance."""
    coupling = AngleCoupling.fit(BENT, normal(*drawn, 20_000, 0), normal(0.3, -0.1, 20_000, 1))
    found = mapped(coupling, normal(*drawn, 20_000, 2))
    np.testing.assert_allclose(found.mean(axis=0), MEAN, atol=5 * DEVIATION[2] / 20_000**0.5)
    np.testing.assert_allclose(found.std(axis=0) / DEVIATION, 1.0, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(found.T)[2, :2], (0.3, -0.1), atol=0.03)


def test_coefficients_are_the_closed_form() -> None:
    """Uncorrelated bonds: the factor is the ratio of what is left, slopes the difference of regressions."""
    coupling = AngleCoupling.fit(BENT, normal(-0.8, 0.0, 200_000, 3), normal(0.0, 0.0, 200_000, 4))
    factor = 1.0 / (1.0 - 0.8**2) ** 0.5
    slope = factor * 0.8 * DEVIATION[2] / DEVIATION[0]
    expected = [MEAN[2] - factor * MEAN[2] - slope * MEAN[0], factor, slope, 0.0]
    np.testing.assert_allclose(coupling.coefficients[0], expected, rtol=0.02, atol=0.02)


def test_equal_samples_change_nothing() -> None:
    """And no coefficients leave angles as they are, bit for bit."""
    values = normal(0.5, -0.2, 500, 5)
    np.testing.assert_allclose(mapped(AngleCoupling.fit(BENT, values, values), values), values, atol=1e-12)
    np.testing.assert_array_equal(mapped(AngleCoupling.of(BENT), values), values)


def test_bonds_that_do_not_vary_or_vary_as_one_are_harmless() -> None:
    """Constraints of a simulation: rounding of a bond is not taken for its length."""
    rigid, free = normal(0.0, 0.0, 1000, 6), normal(0.7, 0.0, 1000, 7)
    rigid[:, :2] = MEAN[:2] + 1e-9 * rigid[:, :2]
    found = mapped(AngleCoupling.fit(BENT, rigid, rigid), rigid)
    np.testing.assert_allclose(found, rigid, atol=1e-6)
    free[:, 1] = MEAN[1] + (free[:, 0] - MEAN[0])
    np.testing.assert_allclose(mapped(AngleCoupling.fit(BENT, free, free), free), free, atol=1e-9)


def test_an_end_atom_drawn_beside_its_arc_gets_the_simulated_distance_from_the_next_but_one() -> None:
    """A normal distribution across an arc: the distance of the outer atoms varied half as much before."""
    rng = np.random.default_rng(8)

    def bent(angle, first, second):
        """Atoms (n, 3, 3) in a plane: the second at the origin, the third along x."""
        x = np.zeros((len(angle), 3, 3))
        x[:, 2, 0] = second
        x[:, 0, 0], x[:, 0, 1] = first * np.cos(angle), first * np.sin(angle)
        return x

    n = 4000
    bonds = [MEAN[k] + DEVIATION[k] * rng.normal(size=n) for k in (0, 1)]
    simulated = bent(MEAN[2] + DEVIATION[2] * rng.normal(size=n), *bonds)
    drawn = simulated.copy()
    across = np.array([0.46, 0.89, 0.0])  # to the line between the outer atoms: their distance stays
    drawn[:, 0] = simulated[:, 0].mean(axis=0) + 0.2 * rng.normal(size=(n, 1)) * across + 0.04 * rng.normal(size=(n, 3))
    geometry = LocalGeometry.fit(BENT.bonds, simulated, drawn, None)
    distance = [np.linalg.norm(x[:, 0] - x[:, 2], axis=1).std() for x in (simulated, geometry.restore(drawn))]
    assert distance[1] / distance[0] == pytest.approx(1.0, abs=0.12)
