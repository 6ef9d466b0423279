"""Bonds, angles and torsions of many conformations at once, with their derivatives.

Arrays have the conformations last, (N, D, B): then all numbers of one coordinate are contiguous, and taking the atoms
of all terms, or adding to them, moves whole rows.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.molecule.bond_graph import neighbour_lists
from trajvae.molecule.observables import angles_of
from trajvae.typing import Int64

_TINY = 1e-12


class Gradients(NamedTuple):
    """Hold the derivatives of some terms with respect to the atoms that each depends on.

    Attributes
    ----------
    atoms : Tensor, shape (K, a)
    derivative : Tensor, shape (K, a, D, B)
    """

    atoms: Tensor
    derivative: Tensor


@dataclass(frozen=True, eq=False)
class BondedTerms:
    """Name the atoms of bonded terms.

    Attributes
    ----------
    bonds (K, 2), angles (K, 3), torsions (K, 4) : ndarray of int64
        Torsions are proper ones, of atoms in a row, and then improper ones, of three neighbours of an atom and this
        atom. In two dimensions there are none.
    """

    bonds: Int64
    angles: Int64
    torsions: Int64

    @classmethod
    def of(cls, bonds: Int64, n_atoms: int, dimension: int) -> BondedTerms:
        """Return the bonds (K, 2) of a molecule with their angles, and in three dimensions with their torsions."""
        torsions = _torsions(bonds, n_atoms) if dimension == 3 else np.empty((0, 4), dtype=np.int64)
        return cls(bonds, angles_of(bonds, n_atoms), torsions)

    def __len__(self) -> int:
        return len(self.bonds) + len(self.angles) + len(self.torsions)

    def values(self, x: Tensor) -> Tensor:
        """Return bond lengths in Å, angles and torsions in radians, (N, D, B) to (K, B)."""
        return torch.cat([_lengths(x, self.bonds), _bends(x, self.angles), _twists(x, self.torsions)])

    def linearised(self, x: Tensor) -> tuple[Tensor, list[Gradients]]:
        """Return the values (K, B), and the derivatives of bonds, of angles and of torsions, in this order."""
        parts = []
        for atoms, measure in ((self.bonds, _bond), (self.angles, _angle), (self.torsions, _torsion)):
            if len(atoms):
                index = torch.from_numpy(atoms).to(x.device)
                parts.append((index, *measure(x, index)))
        values = torch.cat([value for _, value, _ in parts])
        return values, [Gradients(index, derivative) for index, _, derivative in parts]


def _torsions(bonds: Int64, n_atoms: int) -> Int64:
    """Return proper torsions, one for each pair of atoms at the two ends of a bond, and an improper one a centre."""
    neighbours = neighbour_lists(bonds, n_atoms)
    found = [
        (i, j, k, m)
        for j, k in bonds.tolist()
        for i, m in itertools.product(neighbours[j], neighbours[k])
        if i != k and m != j and i != m
    ]
    for centre, around in enumerate(neighbours):
        # of four neighbours two threes are taken: the second holds the atom that the first leaves out
        threes = [around[:3]] * (len(around) >= 3) + [around[1:4]] * (len(around) >= 4)
        found += [(i, j, k, centre) for i, j, k in threes]
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def _apart(x: Tensor, to: Tensor, start: Tensor) -> Tensor:
    """Return vectors between atoms, (K, D, B)."""
    return x.index_select(0, to) - x.index_select(0, start)


def _index(x: Tensor, atoms: Int64) -> list[Tensor]:
    return list(torch.from_numpy(atoms).to(x.device).unbind(1))


def _lengths(x: Tensor, bonds: Int64) -> Tensor:
    i, j = _index(x, bonds)
    return _apart(x, i, j).square().sum(dim=1).sqrt()


def _bends(x: Tensor, angles: Int64) -> Tensor:
    i, j, k = _index(x, angles)
    a, b = _apart(x, i, j), _apart(x, k, j)
    cosine = (a * b).sum(dim=1) / (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt().clamp(min=_TINY)
    return torch.acos(cosine.clamp(-1.0, 1.0))


def _twists(x: Tensor, torsions: Int64) -> Tensor:
    if not len(torsions):
        return x.new_empty(0, x.shape[2])
    i, j, k, m = _index(x, torsions)
    return _twist(_apart(x, j, i), _apart(x, k, j), _apart(x, m, k))


def _twist(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the torsion of three vectors in a row (K, 3, B), with the sign of the IUPAC."""
    n1, n2 = _cross(a, b), _cross(b, c)
    along = b.square().sum(dim=1).sqrt() * (a * n2).sum(dim=1)
    return torch.atan2(along, (n1 * n2).sum(dim=1))


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Return cross products of vectors (K, 3, B)."""
    (ax, ay, az), (bx, by, bz) = a.unbind(1), b.unbind(1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], dim=1)


def _bond(x: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Return bond lengths and their derivatives."""
    along = _apart(x, atoms[:, 0], atoms[:, 1])
    length = along.square().sum(dim=1).sqrt()
    unit = along / length.clamp(min=_TINY)[:, None]
    return length, torch.stack([unit, -unit], dim=1)


def _angle(x: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Return angles and their derivatives; those of three atoms in line are bounded."""
    a, b = _apart(x, atoms[:, 0], atoms[:, 1]), _apart(x, atoms[:, 2], atoms[:, 1])
    la, lb = (v.square().sum(dim=1).sqrt().clamp(min=_TINY) for v in (a, b))
    ua, ub = a / la[:, None], b / lb[:, None]
    cosine = (ua * ub).sum(dim=1).clamp(-1.0, 1.0)
    sine = (1.0 - cosine.square()).clamp(min=1e-4).sqrt()
    first = (cosine[:, None] * ua - ub) / (la * sine)[:, None]
    third = (cosine[:, None] * ub - ua) / (lb * sine)[:, None]
    return torch.acos(cosine), torch.stack([first, -first - third, third], dim=1)


def _torsion(x: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Return torsions and their derivatives; those of three atoms in line are bounded.

    References
    ----------
    A. Blondel, M. Karplus, J. Comput. Chem. 17, 1132 (1996): derivatives without a singularity at 0 and 180 degrees.
    """
    i, j, k, m = atoms.unbind(1)
    f, g, h = _apart(x, i, j), _apart(x, j, k), _apart(x, m, k)
    a, b = _cross(f, g), _cross(h, g)
    size = g.square().sum(dim=1).sqrt().clamp(min=_TINY)
    a = a / a.square().sum(dim=1).clamp(min=1e-3)[:, None]
    b = b / b.square().sum(dim=1).clamp(min=1e-3)[:, None]
    first, last = -size[:, None] * a, size[:, None] * b
    inner = ((f * g).sum(dim=1) / size)[:, None] * a - ((h * g).sum(dim=1) / size)[:, None] * b
    return _twist(-f, -g, h), torch.stack([first, -first + inner, -last - inner, last], dim=1)


def wrapped(difference: Tensor) -> Tensor:
    """Return differences of angles in radians, from -pi to pi."""
    return torch.remainder(difference + math.pi, 2.0 * math.pi) - math.pi
