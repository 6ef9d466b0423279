"""Nearest conformations with given bonded terms: Gauss-Newton steps for many conformations at once.

Minimises, for each conformation y, the sum of ((q_k(x) - q*_k) / s_k)^2 over bonded terms k, |x - y|^2 / a^2, and
((w - d) / s_w)^2 over pairs of atoms nearer than a wall. Each step solves the normal equations by conjugate gradients
with a diagonal preconditioner; no row of the Jacobian has more than four atoms, and nothing dense is built.

References
----------
J. Nocedal and S. Wright, Numerical Optimization, 2nd ed. (Springer, 2006), sec. 10.3 and 7.1: Gauss-Newton steps,
solved inexactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from trajvae.local_geometry.bonded import BondedTerms, wrapped
from trajvae.local_geometry.walls import Walls

ANCHOR = 0.3  # Å; standard deviation of an atom's place about where it was drawn
STEPS, ITERATIONS = 5, 20  # of Gauss-Newton in a round, and of conjugate gradients in each
ROUNDS = 4  # at most
_FAR = 3.0  # of a term's width: deviations above which a conformation gets another round
_LONGEST = 0.5  # Å that an atom is moved by in a step, at most


class Rows(Protocol):
    """Apply some rows of the Jacobian J of weighted residuals."""

    def times(self, v: Tensor) -> Tensor:
        """Return J v, (N, D, B) to (K, B), or to (M,) of rows that are one conformation's each."""

    def add_transposed(self, u: Tensor, out: Tensor) -> None:
        """Add J^T u to (N, D, B)."""

    def add_squares(self, out: Tensor) -> None:
        """Add the diagonal of J^T J to (N, D, B)."""


class _TermRows:
    """The Jacobian of weighted residuals at one place, by the atoms that each row depends on."""

    def __init__(self, atoms: Tensor, derivative: Tensor) -> None:
        self.atoms, self.derivative = atoms.flatten(), derivative
        self.shape = derivative.shape

    def times(self, v: Tensor) -> Tensor:
        """Return J v, (N, D, B) to (K, B)."""
        return (self.derivative * v.index_select(0, self.atoms).view(self.shape)).sum(dim=(1, 2))

    def add_transposed(self, u: Tensor, out: Tensor) -> None:
        """Add J^T u, (K, B), to (N, D, B)."""
        spread = (self.derivative * u[:, None, None]).view(-1, *out.shape[1:])
        out.index_add_(0, self.atoms, spread)

    def add_squares(self, out: Tensor) -> None:
        """Add the diagonal of J^T J to (N, D, B)."""
        out.index_add_(0, self.atoms, self.derivative.square().view(-1, *out.shape[1:]))


def solve(
    terms: BondedTerms, targets: Tensor, width: Tensor, drawn: Tensor, walls: Walls | None, rounds: int = ROUNDS
) -> Tensor:
    """Return the conformations nearest to drawn ones whose bonded terms have given values.

    Every conformation gets a round of five steps. Those that are still far from what they should be, as draws of chains
    that unfold are, get further ones.

    Parameters
    ----------
    terms : BondedTerms
    targets : Tensor, shape (K, B)
        Values q* of the terms in Å or radians.
    width : Tensor, shape (K, 1)
        Deviations s that terms may have from their targets.
    drawn : Tensor, shape (N, D, B)
        In Å.
    walls : Walls, optional
        Pairs of atoms that must not be near each other.
    rounds : int
        At most.

    Returns
    -------
    Tensor, shape (N, D, B)
    """
    x = _round_of_steps(terms, targets, width, drawn, walls, drawn)
    for _ in range(rounds - 1):
        left = _unsettled(terms, targets, width, x, walls).nonzero()[:, 0]
        if not len(left):
            break
        some = targets[:, left], width, drawn[..., left], walls, x[..., left]
        x[..., left] = _round_of_steps(terms, *some)
    return x


def _round_of_steps(
    terms: BondedTerms, targets: Tensor, width: Tensor, drawn: Tensor, walls: Walls | None, x: Tensor
) -> Tensor:
    """Return the places (N, D, B) after five Gauss-Newton steps from x."""
    near = None if walls is None else walls.near(x)
    met = None if near is None else torch.zeros(len(near.atoms), x.shape[2], dtype=torch.bool, device=x.device)
    for _ in range(STEPS):
        system = _NormalEquations(terms, targets, width, drawn, x)
        contacts = walls.linearised(x, near, met) if walls is not None and near is not None else None
        if contacts is not None:
            system.add(contacts, contacts.residual)
        # one number an atom: the steps, which are not solved to the end, turn with the molecule
        diagonal = system.diagonal.mean(dim=1, keepdim=True).expand_as(x)
        move = conjugate_gradients(system.product, -system.gradient, diagonal, ITERATIONS)
        length = move.square().sum(dim=1, keepdim=True).sqrt()
        x = x + move * (_LONGEST / length.clamp(min=_LONGEST))
    return x


def _unsettled(terms: BondedTerms, targets: Tensor, width: Tensor, x: Tensor, walls: Walls | None) -> Tensor:
    """Return which conformations (N, D, B) have a bond or an angle far from its target, or a contact, (B,)."""
    stiff = len(terms.bonds) + len(terms.angles)
    out = ((terms.values(x) - targets) / width)[:stiff].abs().amax(dim=0) > _FAR
    contacts = walls.linearised(x, walls.near(x)) if walls is not None else None
    if contacts is not None:
        out[contacts.sample] = True
    return out


class _NormalEquations:
    """The matrix J^T J and the gradient J^T r of all residuals at x, by what each row adds to them.

    Attributes
    ----------
    gradient, diagonal : Tensor, shape (N, D, B)
    """

    def __init__(self, terms: BondedTerms, targets: Tensor, width: Tensor, drawn: Tensor, x: Tensor) -> None:
        values, gradients = terms.linearised(x)
        stiff = len(terms.bonds) + len(terms.angles)
        off = values - targets
        off = torch.cat([off[:stiff], wrapped(off[stiff:])]) / width
        self.rows: list[Rows] = []
        self.gradient = (x - drawn) / ANCHOR**2
        self.diagonal = torch.full_like(x, 1.0 / ANCHOR**2)
        sizes = [len(g.atoms) for g in gradients]
        for part, residual, s in zip(gradients, torch.split(off, sizes), torch.split(width, sizes), strict=True):
            self.add(_TermRows(part.atoms, part.derivative / s[:, None, None]), residual)

    def add(self, rows: Rows, residual: Tensor) -> None:
        """Add some rows of the Jacobian with their residuals."""
        self.rows.append(rows)
        rows.add_transposed(residual, self.gradient)
        rows.add_squares(self.diagonal)

    def product(self, v: Tensor) -> Tensor:
        """Return (J^T J + 1 / a^2) v, (N, D, B) to (N, D, B)."""
        out = v / ANCHOR**2
        for rows in self.rows:
            rows.add_transposed(rows.times(v), out)
        return out


def conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, diagonal: Tensor, n: int) -> Tensor:
    """Return solutions of symmetric positive systems, one for each column of the last axis, after n iterations.

    Parameters
    ----------
    product : callable
        The matrices' product with (N, D, B).
    right, diagonal : Tensor, shape (N, D, B)
        Right-hand sides, and the matrices' diagonals, by which they are preconditioned.
    n : int

    References
    ----------
    M. Hestenes and E. Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952).
    """
    inverse = diagonal.reciprocal()
    x, r = torch.zeros_like(right), right.clone()
    z = inverse * r
    p, gain = z.clone(), (r * z).sum(dim=(0, 1))
    for _ in range(n):
        q = product(p)
        share = gain / (p * q).sum(dim=(0, 1)).clamp(min=1e-30)
        x += share * p
        r -= share * q
        torch.mul(inverse, r, out=z)
        before, gain = gain, (r * z).sum(dim=(0, 1))
        p = torch.addcmul(z, p, gain / before.clamp(min=1e-30))
    return x
