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

import torch
from torch import Tensor

from trajvae.local_geometry.bonded import BondedTerms, wrapped
from trajvae.local_geometry.walls import Walls

ANCHOR = 0.3  # Å; standard deviation of an atom's place about where it was drawn
STEPS, ITERATIONS = 5, 20  # of Gauss-Newton, and of conjugate gradients in each
_LONGEST = 0.5  # Å that an atom is moved by in a step, at most


class _Rows:
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
    terms: BondedTerms, targets: Tensor, width: Tensor, drawn: Tensor, walls: Walls | None, steps: int = STEPS
) -> Tensor:
    """Return the conformations nearest to drawn ones whose bonded terms have given values.

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
    steps : int

    Returns
    -------
    Tensor, shape (N, D, B)
    """
    x, periodic = drawn, len(terms.bonds) + len(terms.angles)
    near = walls.near(drawn) if walls is not None else None
    for _ in range(steps):
        values, gradients = terms.linearised(x)
        off = values - targets
        off[periodic:] = wrapped(off[periodic:])
        off = off / width
        rows, first = [], 0
        pull = (x - drawn) / ANCHOR**2
        for part in gradients:
            some = slice(first, first + len(part.atoms))
            row = _Rows(part.atoms, part.derivative / width[some, None, None])
            row.add_transposed(off[some], pull)
            rows.append(row)
            first = some.stop
        contacts = walls.linearised(x, near) if walls is not None and near is not None else None
        diagonal = torch.full_like(x, 1.0 / ANCHOR**2)
        for row in rows:
            row.add_squares(diagonal)
        if contacts is not None:
            contacts.add_transposed(contacts.residual, pull)
            contacts.add_squares(diagonal)

        def normal(v: Tensor) -> Tensor:
            out = v / ANCHOR**2
            for row in rows:  # noqa: B023
                row.add_transposed(row.times(v), out)
            if contacts is not None:  # noqa: B023
                contacts.add_transposed(contacts.times(v), out)  # noqa: B023
            return out

        move = conjugate_gradients(normal, -pull, diagonal, ITERATIONS)
        length = move.square().sum(dim=1, keepdim=True).sqrt()
        x = x + move * (_LONGEST / length.clamp(min=_LONGEST))
    return x


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
