"""The correlation of an angle with the two bonds that enclose it: that of the simulation, not that of the draws.

Bonds and angles whose distributions are right one by one may still be correlated as the draws are. An end atom that
turns about a bond, for example, is drawn on both sides of its arc: where the angle is wide its bond is short, and the
distance between the two outer atoms, which grows with either, hardly varies at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.local_geometry.bonded import BondedTerms
from trajvae.typing import Float64, Int64

_RIDGE = 1e-3  # added to the variance of a standardised bond: two bonds may vary as one
_LEAST_LEFT = 0.05  # share of an angle's variance that bonds are taken to leave, at least
_TINY = 1e-6  # Å or radians: smaller deviations are rounding


@dataclass(frozen=True, eq=False)
class AngleCoupling:
    """Hold a linear function for each angle: of the angle itself and of the two bonds that enclose it.

    Attributes
    ----------
    n_bonds : int
        Of the molecule.
    bonds : ndarray of int64, shape (A, 2)
        Which of them enclose each angle.
    coefficients : ndarray, shape (A, 4)
        Constant in radians, factor of the angle, and factors of both bonds in radians per Å.
    """

    n_bonds: int
    bonds: Int64
    coefficients: Float64

    @classmethod
    def of(cls, terms: BondedTerms, coefficients: Float64 | None = None) -> AngleCoupling:
        """Return the functions with these coefficients (A, 4); without them, those that leave angles as they are."""
        same = np.tile([0.0, 1.0, 0.0, 0.0], (len(terms.angles), 1))
        return cls(len(terms.bonds), _enclosing_bonds(terms), same if coefficients is None else coefficients)

    @classmethod
    def fit(cls, terms: BondedTerms, drawn: Float64, simulated: Float64) -> AngleCoupling:
        """Return the functions after which drawn angles regress on their bonds as simulated ones do.

        Parameters
        ----------
        terms : BondedTerms
        drawn, simulated : ndarray, shape (S, K) and (T, K)
            Values of all terms, each of which is distributed alike in both.
        """
        bonds = _enclosing_bonds(terms)
        ours, theirs = (_regress(values, len(terms.bonds), bonds) for values in (drawn, simulated))
        factor = theirs.left / ours.left
        slopes = theirs.slopes - factor[:, None] * ours.slopes
        constant = theirs.angle - factor * ours.angle - (slopes * theirs.bonds).sum(axis=1)
        return cls.of(terms, np.column_stack([constant, factor, slopes]))

    def apply(self, values: Tensor) -> Tensor:
        """Return the values (K, B) of bonds, angles and torsions, in this order, with the functions for angles."""
        constant, factor, first, second = torch.from_numpy(self.coefficients).to(values).T[:, :, None]
        i, j = torch.from_numpy(self.bonds).to(values.device).T
        start, stop = self.n_bonds, self.n_bonds + len(self.bonds)
        angles = constant + factor * values[start:stop] + first * values[i] + second * values[j]
        return torch.cat([values[:start], angles, values[stop:]])


class _Regression(NamedTuple):
    """Hold regressions of angles on two bonds each.

    Attributes
    ----------
    angle, left : ndarray, shape (A,)
        Means, and standard deviations of what the regression leaves, in radians.
    bonds, slopes : ndarray, shape (A, 2)
        Means in Å, and radians per Å.
    """

    angle: Float64
    left: Float64
    bonds: Float64
    slopes: Float64


def _regress(values: Float64, n_bonds: int, bonds: Int64) -> _Regression:
    """Return the regressions of angles on their bonds (A, 2) over the values (T, K) of all terms."""
    mean, deviation = values.mean(axis=0), values.std(axis=0).clip(_TINY)
    standard = (values - mean) / deviation
    i, j = bonds.T
    angles = np.arange(n_bonds, n_bonds + len(bonds))

    def correlation(a: Int64, b: Int64) -> Float64:
        """Return the correlations of pairs of terms."""
        return np.asarray(np.einsum("tk,tk->k", standard[:, a], standard[:, b]) / len(values))

    one = np.full(len(bonds), 1.0 + _RIDGE)
    both = correlation(i, j)
    gram = np.stack([np.stack([one, both], axis=1), np.stack([both, one], axis=1)], axis=1)
    with_angle = np.stack([correlation(i, angles), correlation(j, angles)], axis=1)
    slopes = np.linalg.solve(gram, with_angle[:, :, None])[:, :, 0]
    left = np.sqrt((1.0 - (slopes * with_angle).sum(axis=1)).clip(_LEAST_LEFT))
    turn = deviation[angles]
    return _Regression(mean[angles], left * turn, mean[bonds], slopes * turn[:, None] / deviation[bonds])


def _enclosing_bonds(terms: BondedTerms) -> Int64:
    """Return which bonds enclose each angle, (A, 2)."""
    number = {frozenset(pair): row for row, pair in enumerate(terms.bonds.tolist())}
    found = [(number[frozenset((i, j))], number[frozenset((j, k))]) for i, j, k in terms.angles.tolist()]
    return np.array(found, dtype=np.int64).reshape(-1, 2)
