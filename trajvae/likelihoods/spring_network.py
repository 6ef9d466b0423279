"""A network of springs between the atoms of a molecule: a covariance that few frames suffice to learn.

Atoms one, two and three bonds apart, and atoms that are near one another in the mean structure, are joined by springs.
To first order a displacement r changes the length of spring k by g_k . r, where g_k is the gradient of the distance. So
the network is a normal distribution of precision P = sum_k a_c g_k g_k^T / v_k + a_0: v_k is the variance of the length
of spring k, and the strengths a_c, one of each class of springs, and a_0, which holds every atom weakly in its place,
are those of largest likelihood.

References
----------
A. R. Atilgan et al., Biophys. J. 80, 505 (2001): anisotropic networks of springs between near atoms.
A. P. Dempster, Biometrics 28, 157 (1972): the likelihood of a precision that is linear in its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.features import Features
from trajvae.molecule.bond_graph import adjacency
from trajvae.typing import Float64, Int64

SHELLS = (4.5, 6.0, 8.0)  # Å; distances of contacts, each up to the next a class
_WIDE_SHELLS = (10.0, 12.0)  # where atoms are few, as in a chain of C-alphas
_FEW_CONTACTS = 5.0  # an atom, below which contacts reach further
_CLASS_FRAMES = 10.0  # frames that the variance of a class counts for in the variance of one of its springs
_ITERATIONS = 200
_ENOUGH = 1e-5  # nats a feature; change of the likelihood at which the search for strengths ends
_USUAL = (1.0, 0.7, 0.5, 0.2, 0.03)  # strengths that the search begins with, by class


@dataclass(frozen=True, eq=False)
class BondedStructure:
    """Hold the bonds and a typical structure of a molecule.

    Attributes
    ----------
    bonds : ndarray of int64, shape (B, 2)
    reference : ndarray, shape (N, D)
        A typical structure in Å, aligned as the frames are.
    """

    bonds: Int64
    reference: Float64


class SpringNetwork:
    """Hold the springs of a molecule.

    Parameters
    ----------
    structure : BondedStructure

    Attributes
    ----------
    pairs : ndarray of int64, shape (K, 2)
        Atoms that a spring joins.
    kinds : ndarray of int64, shape (K,)
        Number of a spring's class: 0, 1, 2 for atoms one, two and three bonds apart, then one for each shell.
    n_kinds : int
        Number of classes, C.
    directions : ndarray, shape (K, D)
        Unit vectors along the springs.
    """

    def __init__(self, structure: BondedStructure) -> None:
        x = structure.reference
        kind, distance = _classes(structure.bonds, x)
        found = np.argwhere(np.triu(kind >= 0, 1))
        kinds = kind[found[:, 0], found[:, 1]]
        order = np.argsort(kinds, kind="stable")
        known, numbers = np.unique(kinds[order], return_inverse=True)
        self.pairs: Int64 = found[order].astype(np.int64)
        self.kinds: Int64 = numbers.astype(np.int64)
        self.n_kinds = len(known)
        i, j = self.pairs.T
        self.directions: Float64 = (x[i] - x[j]) / distance[i, j][:, None]

    def lengths(self, moment: Tensor, features: Features) -> Tensor:
        """Return mean squares of the springs' changes of length, (K,) in Å^2.

        Parameters
        ----------
        moment : Tensor, shape (F, F)
            Mean outer product of residuals of targets.
        features : Features
            Whose positions are linear in the targets.
        """
        n, dimension = self._shape(features)
        half = features.positions(moment).flatten(1)
        square = features.positions(half.T.contiguous()).view(n, dimension, n, dimension)
        i, j = (torch.from_numpy(atoms).to(moment.device) for atoms in self.pairs.T)
        block = square[i, :, i] + square[j, :, j] - square[i, :, j] - square[j, :, i]
        along = torch.from_numpy(self.directions).to(moment)
        return torch.einsum("kd,kde,ke->k", along, block, along).clamp(min=0.0)

    def lengths_of(self, residual: Tensor, features: Features) -> Tensor:
        """Return mean squares of the springs' changes of length, (K,) in Å^2, of residuals (B, F) of targets."""
        moved = features.positions(residual)
        i, j = (torch.from_numpy(atoms).to(residual.device) for atoms in self.pairs.T)
        along = torch.from_numpy(self.directions).to(residual)
        return ((moved[:, i] - moved[:, j]) * along).sum(dim=-1).square().mean(dim=0)

    def shared(self, lengths: Tensor, n_frames: int) -> Tensor:
        """Return variances of the springs, (K,): mean squares (K,), drawn to the mean of their class by few frames."""
        kinds = torch.from_numpy(self.kinds).to(lengths.device)
        number = torch.bincount(kinds, minlength=self.n_kinds)
        shared = torch.zeros(self.n_kinds).to(lengths).index_add(0, kinds, lengths) / number
        return (n_frames * lengths + _CLASS_FRAMES * shared[kinds]) / (n_frames + _CLASS_FRAMES)

    def stiffnesses(self, variances: Tensor, features: Features) -> list[Tensor]:
        """Return sum_k g_k g_k^T / v_k over the springs of each class, matrices (F, F) of targets, for v (K,)."""
        n, dimension = self._shape(features)
        along = torch.from_numpy(self.directions).to(variances)
        out = []
        for kind in range(self.n_kinds):
            some = np.flatnonzero(self.kinds == kind)
            i, j = (torch.from_numpy(atoms[some]).to(variances.device) for atoms in self.pairs.T)
            block = along[some, :, None] * along[some, None, :] / variances[some, None, None]
            square = torch.zeros(n, n, dimension, dimension).to(variances)
            for a, b, sign in ((i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)):
                square.index_put_((a, b), sign * block, accumulate=True)
            rows = square.permute(0, 2, 1, 3).reshape(n * dimension, n, dimension)
            half = features.targets(rows).T.reshape(-1, n, dimension)
            matrix = features.targets(half)
            out.append(0.5 * (matrix + matrix.T))
        return out

    def _shape(self, features: Features) -> tuple[int, int]:
        """Return the numbers of atoms and of dimensions."""
        blank = features.positions(torch.zeros(1, features.size, dtype=torch.float64, device=_device(features)))
        return blank.shape[1], blank.shape[2]


def _device(features: Features) -> torch.device:
    return next(features.buffers()).device


def _classes(bonds: Int64, x: Float64) -> tuple[Int64, Float64]:
    """Return the class of every pair of atoms, -1 where no spring joins them, and their distances in Å, both (N, N)."""
    n = len(x)
    distance = scipy.spatial.distance.cdist(x, x)
    graph = adjacency(bonds, n).toarray() if len(bonds) else np.zeros((n, n))
    one = (graph + graph.T) > 0
    two = (one.astype(float) @ one) > 0
    three = (two.astype(float) @ one) > 0
    kind = np.full((n, n), -1, dtype=np.int64)
    near = np.triu(distance <= SHELLS[-1], 1) & ~(one | two | three)
    shells = SHELLS + _WIDE_SHELLS if near.sum() < _FEW_CONTACTS * n else SHELLS
    for number in reversed(range(len(shells))):
        kind[distance <= shells[number]] = 3 + number
    for number, apart in ((2, three), (1, two), (0, one)):
        kind[apart] = number
    kind[distance < 1e-6] = -1  # without a direction, as an atom has to itself
    return kind, distance


def fit_strengths(
    stiffnesses: list[Tensor], energies: Tensor, start: Tensor | None = None, enough: float = _ENOUGH
) -> Tensor:
    """Return the strengths (C,) of largest likelihood: the maximum of log det P - sum_c a_c e_c, P = sum_c a_c H_c.

    Parameters
    ----------
    stiffnesses : list of C Tensor, each of shape (F, F)
        Matrices H_c, symmetric without negative eigenvalues; their sum is positive definite.
    energies : Tensor, shape (C,)
        Means of r H_c r over residuals r, e_c, above 0.
    start : Tensor, optional, shape (C,)
        Strengths to begin with.
    enough : float
        Twice the change of the likelihood in a step, in nats a feature, at which the search ends.

    Notes
    -----
    The function is concave in the strengths; the search, by a quasi-Newton method, is in their logarithms.
    """
    size, number = len(stiffnesses[0]), len(stiffnesses)
    if start is None:
        start = torch.tensor([_USUAL[min(kind, len(_USUAL) - 1)] for kind in range(number)]).to(energies)
        start[-1] *= size / energies[-1]  # the only one with a unit
    start = start * (size / (start * energies).sum())  # of the right size, whatever their ratios

    def _loss(logarithms: Float64) -> tuple[float, Float64]:
        strengths = torch.from_numpy(np.exp(logarithms)).to(energies)
        factor = torch.linalg.cholesky(precision_of(stiffnesses, strengths))
        inverse = torch.cholesky_inverse(factor)
        expected = torch.stack([(part * inverse).sum() for part in stiffnesses])
        value = (strengths * energies).sum() - 2.0 * factor.diagonal().log().sum()
        return float(value) / size, (strengths * (energies - expected) / size).cpu().numpy()

    begin = start.log().cpu().numpy()
    bounds = [(b - 12.0, b + 12.0) for b in begin]  # lest a class that is not needed make the matrix singular
    found = scipy.optimize.minimize(
        _loss,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _ITERATIONS, "ftol": enough},
    )
    strengths = torch.from_numpy(np.exp(found.x)).to(energies)
    return strengths * (size / (strengths * energies).sum())  # their common size has a closed form


def precision_of(stiffnesses: list[Tensor], strengths: Tensor) -> Tensor:
    """Return sum_c a_c H_c, (F, F)."""
    out = strengths[0] * stiffnesses[0]
    for strength, part in zip(strengths[1:], stiffnesses[1:], strict=True):
        out = out.addcmul(part, strength)
    return out
