"""Between positions and bonds, angles and torsions; batched over frames, vectorised over atoms of equal depth.

References
----------
J. Parsons et al., J. Comput. Chem. 26, 1063 (2005): each atom in the frame of its references.
C.-E. Chang, M. J. Potter, M. K. Gilson, J. Phys. Chem. B 107, 1048 (2003), eq. 7: the Jacobian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.features.tree import generations
from trajvae.typing import Int64

Vector = tuple[Tensor, Tensor, Tensor]


class Coordinates(NamedTuple):
    """Hold internal coordinates of frames.

    Attributes
    ----------
    bonds : Tensor, shape (B, N - 1)
        Å.
    angles : Tensor, shape (B, N - 2)
        Radians, in [0, pi]; in two dimensions signed, in (-pi, pi].
    torsions : Tensor, shape (B, N - 3)
        Radians, in (-pi, pi], IUPAC sign; none in two dimensions.
    """

    bonds: Tensor
    angles: Tensor
    torsions: Tensor


class RebuildPlan:
    """Sort references (N, D) by the kind of coordinate that needs them, and into generations."""

    def __init__(self, references: Int64) -> None:
        self.dimension = references.shape[1]
        order = generations(references)
        rows = np.concatenate(order)
        has = references >= 0
        self.bonded, self.angled = rows[has[rows, 0]], rows[has[rows, 1]]
        self.turned = rows[has[rows, 2]] if self.dimension == 3 else rows[:0]
        self.references = references
        columns = [np.full(len(references), -1, dtype=np.int64) for _ in range(3)]
        for column, atoms in zip(columns, (self.bonded, self.angled, self.turned), strict=True):
            column[atoms] = np.arange(len(atoms))
        self.steps = [
            [(int(a), [int(r) for r in references[a]], [int(c[a]) for c in columns]) for a in generation]
            for generation in order
        ]

    @property
    def complete(self) -> bool:
        """Whether one root exists, and every other atom has as many different references as it can have."""
        n, ordered = len(self.references), np.sort(self.references, axis=1)
        counts = [len(self.bonded), len(self.angled), len(self.turned)][: self.dimension]
        same = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any()
        return counts == [n - 1, n - 2, n - 3][: self.dimension] and not same and bool((self.references >= -1).all())


def _difference(x: Tensor, i: Int64, j: Int64) -> Tensor:
    return x[:, i] - x[:, j]


def measure(x: Tensor, plan: RebuildPlan) -> Coordinates:
    """Return internal coordinates of positions (B, N, D) in Å, in the order of placement."""
    r = plan.references
    bonds = torch.linalg.vector_norm(_difference(x, plan.bonded, r[plan.bonded, 0]), dim=-1)
    u = _difference(x, plan.angled, r[plan.angled, 0])
    v = _difference(x, r[plan.angled, 1], r[plan.angled, 0])
    dot = (u * v).sum(dim=-1)
    if plan.dimension == 2:
        return Coordinates(bonds, torch.atan2(v[..., 0] * u[..., 1] - v[..., 1] * u[..., 0], dot), bonds[:, :0])
    angles = torch.atan2(torch.linalg.vector_norm(torch.linalg.cross(u, v), dim=-1), dot)
    first, second, third = r[plan.turned].T
    a, b, c = _difference(x, second, third), _difference(x, first, second), _difference(x, plan.turned, first)
    n1, n2 = torch.linalg.cross(a, b), torch.linalg.cross(b, c)
    along = torch.linalg.vector_norm(b, dim=-1) * (a * n2).sum(dim=-1)
    return Coordinates(bonds, angles, torch.atan2(along, (n1 * n2).sum(dim=-1)))


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _unit(a: Vector) -> Vector:
    size = torch.rsqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    return (a[0] * size, a[1] * size, a[2] * size)


def _minus(a: Sequence[Tensor], b: Sequence[Tensor]) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def rebuild(coordinates: Coordinates, plan: RebuildPlan) -> Tensor:
    """Return positions (B, N, D) in Å of internal coordinates; the root at the origin, its first child along x.

    Components are kept apart, frames innermost, so that every operation runs over contiguous memory.
    """
    rows = [t.T.contiguous() for t in coordinates]
    directed = (rows[0], rows[1].cos(), rows[1].sin(), rows[2].cos(), rows[2].sin())
    placed: dict[int, Sequence[Tensor]] = {}
    for generation in plan.steps:
        whole = [step for step in generation if step[2][plan.dimension - 1] >= 0]
        for step in generation:
            if step[2][plan.dimension - 1] < 0:
                placed[step[0]] = _early(step, directed, placed, plan.dimension)
        if whole:
            _place(whole, directed, placed, plan.dimension)
    flat = [component for atom in range(len(placed)) for component in placed[atom]]
    return torch.stack(flat, dim=-1).view(-1, len(placed), plan.dimension)


Step = tuple[int, list[int], list[int]]


def _early(step: Step, directed: Sequence[Tensor], placed: dict[int, Sequence[Tensor]], dimension: int) -> Vector:
    """The first atoms: at the origin, along x, and, in space, in the plane of x and y."""
    _, references, columns = step
    bonds, cosine, sine = directed[:3]
    zero = torch.zeros(bonds.shape[1], dtype=bonds.dtype, device=bonds.device)
    if columns[0] < 0:
        return (zero, zero, zero)[:dimension]  # type: ignore[return-value]
    if columns[1] < 0:
        return (bonds[columns[0]], zero, zero)[:dimension]  # type: ignore[return-value]
    first, second = placed[references[0]], placed[references[1]]
    sign = torch.sign(second[0] - first[0])
    along = bonds[columns[0]] * cosine[columns[1]]
    return (first[0] + sign * along, first[1] + bonds[columns[0]] * sine[columns[1]], zero)


def _gather(placed: dict[int, Sequence[Tensor]], atoms: list[int]) -> Vector:
    if len(atoms) == 1:
        return tuple(placed[atoms[0]])  # type: ignore[return-value]
    return tuple(torch.stack(parts) for parts in zip(*(placed[a] for a in atoms), strict=True))  # type: ignore[return-value]


def _place(steps: list[Step], directed: Sequence[Tensor], placed: dict[int, Sequence[Tensor]], dimension: int) -> None:
    """Place atoms whose references are all placed."""
    one = len(steps) == 1
    pick = [s[2] for s in steps]
    bonds, cosine, sine = (
        d[pick[0][k]] if one else d[[p[k] for p in pick]] for d, k in zip(directed[:3], (0, 1, 1), strict=True)
    )
    first, second = (_gather(placed, [s[1][k] for s in steps]) for k in (0, 1))
    if dimension == 2:
        u0, u1 = second[0] - first[0], second[1] - first[1]
        size = bonds * torch.rsqrt(u0 * u0 + u1 * u1)
        new: Sequence[Tensor] = (
            first[0] + size * (cosine * u0 - sine * u1),
            first[1] + size * (sine * u0 + cosine * u1),
        )
    else:
        third = _gather(placed, [s[1][2] for s in steps])
        turn_cos, turn_sin = (d[pick[0][2]] if one else d[[p[2] for p in pick]] for d in directed[3:])
        along = _unit(_minus(first, second))
        normal = _unit(_cross(_minus(second, third), along))
        middle = _cross(normal, along)
        away = bonds * sine
        p, q, r = -bonds * cosine, away * turn_cos, away * turn_sin
        new = tuple(f + p * a + q * m + r * n for f, a, m, n in zip(first, along, middle, normal, strict=True))
    for row, step in enumerate(steps):
        placed[step[0]] = new if one else tuple(component[row] for component in new)


def log_volume(coordinates: Coordinates, dimension: int) -> Tensor:
    """Return the log volume of all positions per internal coordinate, translation and rotation, (B,).

    In space the sum of 2 ln b over all bonds and of ln sin a over all angles; in the plane that of ln b.
    """
    bonds = coordinates.bonds.log().sum(dim=-1)
    if dimension == 2:
        return bonds
    return 2.0 * bonds + coordinates.angles.sin().abs().clamp(min=1e-12).log().sum(dim=-1)
