"""The generalised leapfrog: a symplectic integrator for Hamiltonians whose metric changes from place to place.

H(z, rho) = -log p(z) + 1/2 log det G(z) + 1/2 rho^T G^-1(z) rho. Half a step of the momentum and half of the position
are implicit. Both are solved by Newton's method with closed Jacobians; gradients go through the solution itself, by one
more Newton step whose matrix is held fixed, and not through the iterations.

References
----------
B. Leimkuhler and S. Reich, Simulating Hamiltonian Dynamics, Cambridge 2004, sec. 4.2.
M. Girolami and B. Calderhead, J. R. Stat. Soc. B 73, 123 (2011), eq. 16 to 18.
C. Chadebec, C. Mantoux, S. Allassonniere, arXiv:2010.11518, sec. 3.2: in a variational autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trajvae.geometry.metric import Expansion, factor_of

Density = Callable[[Tensor], Tensor]
Rows = Tensor | slice
Equation = Callable[[Tensor, Rows], tuple[Tensor, Tensor]]
TOLERANCE = 1e-9
_TOGETHER, _MOST = 1, 4  # Newton steps after the first: of all rows at once, and of rows that need more


class Expanded(Protocol):
    """Describe a metric that knows its inverse to first order."""

    def inverse(self, z: Tensor) -> Tensor:
        """Return G^-1 at z (B, d), (B, d, d)."""

    def expansion(self, z: Tensor) -> Expansion:
        """Return G^-1 (B, d, d) and its derivatives (B, d, d, d) at z (B, d)."""


class MetricAt(NamedTuple):
    """Hold the metric and the density at a position.

    Attributes
    ----------
    z : Tensor, shape (B, d)
    log_density : Tensor, shape (B,)
        log p(z).
    inverse, slope : Tensor
        The inverse metric and its derivatives.
    push : Tensor, shape (B, d)
        The gradient of -log p + 1/2 log det G: minus the force at rest.
    """

    z: Tensor
    log_density: Tensor
    inverse: Tensor
    slope: Tensor
    push: Tensor

    def factor(self) -> Tensor:
        """Return the Cholesky factor of G^-1, (B, d, d)."""
        return factor_of(self.inverse)

    def log_det(self) -> Tensor:
        """Return log det G, (B,)."""
        return -2.0 * self.factor().diagonal(dim1=-1, dim2=-2).log().sum(dim=-1)

    def kinetic(self, momentum: Tensor) -> Tensor:
        """Return the kinetic energy 1/2 rho^T G^-1 rho, (B,)."""
        return 0.5 * (_times(self.inverse, momentum) * momentum).sum(dim=-1)

    def momentum(self, noise: Tensor) -> Tensor:
        """Return momenta of N(0, G) made of standard normal noise, (B, d)."""
        made: Tensor = torch.linalg.solve_triangular(self.factor().mT, noise[..., None], upper=True)
        return made.squeeze(-1)


class State(NamedTuple):
    """Hold a position with a momentum, and the record of the steps that led there.

    Attributes
    ----------
    place : MetricAt
    momentum : Tensor, shape (B, d)
    origin : Tensor, shape (B, d)
        Where it began.
    kept : Tensor of bool, shape (B,)
        Whether both implicit equations were solved in every step so far. Others are back at their origin: a step that
        did not converge is no bijection. Their momenta are zero.
    residual : Tensor, shape (B,)
        The largest one left by the equations, over the size of the unknowns; of kept ones.
    """

    place: MetricAt
    momentum: Tensor
    origin: Tensor
    kept: Tensor
    residual: Tensor


class Hamiltonian:
    """Describe a density on a Riemannian space by a potential and a kinetic energy.

    Parameters
    ----------
    log_density : callable
        z (B, d) to log p(z) (B,), up to a constant.
    metric : Expanded
    """

    def __init__(self, log_density: Density, metric: Expanded) -> None:
        self.log_density, self.metric = log_density, metric

    def at(self, z: Tensor) -> MetricAt:
        """Return what a step needs of a position; differentiable where gradients are on."""
        value, gradient = self._log_density(z)
        inverse, slope = self.metric.expansion(z)
        trace = _times(slope.flatten(-2), torch.linalg.inv(inverse).flatten(1))
        return MetricAt(z, value, inverse, slope, -gradient - 0.5 * trace)

    def energy(self, place: MetricAt, momentum: Tensor) -> Tensor:
        """Return the Hamiltonian H, (B,)."""
        return place.kinetic(momentum) + 0.5 * place.log_det() - place.log_density

    def _log_density(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Value and gradient, also where gradients or even their bookkeeping are switched off."""
        if torch.is_grad_enabled():
            z = z if z.requires_grad else z.detach().requires_grad_()
            value = self.log_density(z)
            (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
            return value, gradient
        with torch.inference_mode(False), torch.enable_grad():
            z = z.clone().requires_grad_()
            value = self.log_density(z)
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), gradient


def start(place: MetricAt, momentum: Tensor) -> State:
    """Return a state before its first step."""
    clean = torch.zeros_like(place.log_density)
    return State(place, momentum, place.z, torch.ones_like(clean, dtype=torch.bool), clean)


def step(hamiltonian: Hamiltonian, state: State, size: Tensor) -> State:
    """Return the state after one generalised leapfrog step.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    state : State
    size : Tensor, shape () or (d,)
        The time step, in one for all or one for each coordinate; both leave volumes as they are.
    """
    place, half = state.place, 0.5 * size
    momentum, first = _half_momentum(place, state.momentum, half)
    z, second = _position(hamiltonian.metric, place, momentum, half)
    kept = state.kept & first.solved & second.solved
    there = hamiltonian.at(torch.where(kept[:, None], z, state.origin))
    momentum = momentum - half * (there.push + 0.5 * _bent(there.slope, momentum)[1])
    worst = torch.maximum(state.residual, torch.maximum(first.residual, second.residual))
    momentum = torch.where(kept[:, None], momentum, 0.0)  # of cut rows it would grow without bound
    return State(there, momentum, state.origin, kept, torch.where(kept, worst, state.residual))


class _Solved(NamedTuple):
    x: Tensor
    matrix: Tensor
    solved: Tensor
    residual: Tensor


def _bent(slope: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of G^-1 times rho, (B, d, d), and the gradient of rho^T G^-1 rho, (B, d)."""
    d = momentum.shape[1]
    turned = _times(slope.view(-1, d * d, d), momentum).view(-1, d, d)
    return turned, _times(turned, momentum)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.bmm(matrix, vector.unsqueeze(-1)).squeeze(-1)


def _half_momentum(place: MetricAt, momentum: Tensor, half: Tensor) -> tuple[Tensor, _Solved]:
    """rho' = rho - half (push + 1/2 grad rho'^T G^-1 rho')."""
    base = momentum - half * place.push
    eye = torch.eye(base.shape[1], dtype=base.dtype, device=base.device)
    size = half.expand(len(eye))[:, None]

    def equation(x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """What is left, and its Jacobian."""
        turned, gradient = _bent(place.slope[rows], x)
        return x - base[rows] + 0.5 * half * gradient, eye + size * turned

    found = _newton(equation, momentum, equation)
    return _differentiable(found, lambda x: x - base + 0.5 * half * _bent(place.slope, x)[1]), found


def _position(metric: Expanded, place: MetricAt, momentum: Tensor, half: Tensor) -> tuple[Tensor, _Solved]:
    """z' = z + half (G^-1(z) + G^-1(z')) rho'."""
    begun = place.z + half * _times(place.inverse, momentum)
    eye = torch.eye(begun.shape[1], dtype=begun.dtype, device=begun.device)
    size = half.expand(len(eye))[:, None]

    def equation(x: Tensor, rows: Rows, known: Expansion | None = None) -> tuple[Tensor, Tensor]:
        """What is left, and its Jacobian."""
        inverse, slope = known or metric.expansion(x)
        turned = _bent(slope, momentum[rows])[0]
        return x - begun[rows] - half * _times(inverse, momentum[rows]), eye - size * turned.mT

    def first(x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """The same at z, where the metric is known."""
        return equation(x, rows, Expansion(place.inverse, place.slope))

    found = _newton(equation, place.z, first)
    return _differentiable(found, lambda x: x - begun - half * _times(metric.inverse(x), momentum)), found


@torch.no_grad()
def _newton(equation: Equation, begin: Tensor, first: Equation) -> _Solved:
    """Solve by rows; a root beyond a fold, where the determinant has changed its sign, is none.

    Parameters
    ----------
    equation : callable
        Unknowns (R, d) of the given rows to values (R, d) and Jacobians (R, d, d).
    begin : Tensor, shape (B, d)
    first : callable
        The same at `begin`.
    """
    size, everyone = 1.0 + begin.abs().amax(dim=-1), slice(None)
    value, matrix = first(begin, everyone)
    x = begin - torch.linalg.solve_ex(matrix, value)[0]
    for _ in range(_TOGETHER):
        value, matrix = equation(x, everyone)
        x = x - torch.linalg.solve_ex(matrix, value)[0]
    value, matrix = equation(x, everyone)
    residual = value.abs().amax(dim=-1) / size
    for _ in range(_MOST - _TOGETHER):
        rows = (residual > TOLERANCE).nonzero().squeeze(-1)
        if not len(rows):
            break
        x[rows] = x[rows] - torch.linalg.solve_ex(matrix[rows], value[rows])[0]
        value[rows], matrix[rows] = equation(x[rows], rows)
        residual[rows] = value[rows].abs().amax(dim=-1) / size[rows]
    inverse, singular = torch.linalg.inv_ex(matrix)
    solved = (residual <= TOLERANCE) & (singular == 0) & (torch.linalg.det(matrix) > 0)
    keep = solved[:, None]
    inverse = torch.where(keep[..., None], inverse, 0.0)
    return _Solved(torch.where(keep, x, begin), inverse, solved, torch.where(solved, residual, 0.0))


def _differentiable(found: _Solved, left: Callable[[Tensor], Tensor]) -> Tensor:
    """The solution with its implicit derivative to all that is in what the equation leaves; others stand still."""
    if not torch.is_grad_enabled():
        return found.x
    value = left(found.x)
    return found.x - _times(found.matrix, value - value.detach())
