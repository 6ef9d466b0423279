"""The generalised leapfrog: a symplectic integrator for Hamiltonians whose metric depends on the position.

H(z, rho) = -log p(z) + 1/2 log det G(z) + 1/2 rho^T G^-1(z) rho. The first half step of the momentum and the second
half of the position's step are implicit. Both equations are solved by Newton's method with Jacobians in closed form.
Gradients do not go through the iterations: they come from one more Newton step whose matrix is constant.

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
_STEPS_OF_ALL, _MOST_STEPS = 1, 4  # Newton steps after the first: of all rows, and of rows that need more


class Expanded(Protocol):
    """Describe a metric whose inverse and its derivatives are known."""

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
        The gradient of -log p + 1/2 log det G: minus the force at zero momentum.
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
        """Return draws of the momentum from N(0, G), computed from standard normal noise, (B, d)."""
        momentum: Tensor = torch.linalg.solve_triangular(self.factor().mT, noise[..., None], upper=True)
        return momentum.squeeze(-1)


class State(NamedTuple):
    """Hold a position with a momentum, and how well the steps to it were solved.

    Attributes
    ----------
    place : MetricAt
        The position, with the metric and the density there.
    momentum : Tensor, shape (B, d)
    origin : Tensor, shape (B, d)
        Position before the first step.
    kept : Tensor of bool, shape (B,)
        Whether both implicit equations were solved in every step so far. Other rows are back at their origin with zero
        momentum, since a step that did not converge is not a bijection.
    residual : Tensor, shape (B,)
        The largest residual of the equations over the size of the unknowns; 0 of rows that are not kept.
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
        """Return the metric and the density at a position, differentiable if gradients are enabled."""
        value, gradient = self._log_density(z)
        inverse, slope = self.metric.expansion(z)
        trace = _times(slope.flatten(-2), torch.linalg.inv(inverse).flatten(1))
        return MetricAt(z, value, inverse, slope, -gradient - 0.5 * trace)

    def energy(self, place: MetricAt, momentum: Tensor) -> Tensor:
        """Return the Hamiltonian H, (B,)."""
        return place.kinetic(momentum) + 0.5 * place.log_det() - place.log_density

    def _log_density(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p and its gradient, also in inference mode and if gradients are disabled."""
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
        The time step, one for all coordinates or one for each; both conserve volumes.
    """
    place, half = state.place, 0.5 * size
    momentum, first = _half_momentum(place, state.momentum, half)
    z, second = _position(hamiltonian.metric, place, momentum, half)
    kept = state.kept & first.solved & second.solved
    there = hamiltonian.at(torch.where(kept[:, None], z, state.origin))
    momentum = momentum - half * (there.push + 0.5 * _gradients(there.slope, momentum)[1])
    worst = torch.maximum(state.residual, torch.maximum(first.residual, second.residual))
    momentum = torch.where(kept[:, None], momentum, 0.0)  # of rows that are not kept it would grow without bound
    return State(there, momentum, state.origin, kept, torch.where(kept, worst, state.residual))


class _Solution(NamedTuple):
    """Hold solutions, inverse Jacobians, whether the equations were solved, and their residuals."""

    x: Tensor
    matrix: Tensor
    solved: Tensor
    residual: Tensor


def _gradients(slope: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of G^-1 times rho, (B, d, d), and the gradient of rho^T G^-1 rho, (B, d)."""
    d = momentum.shape[1]
    turned = _times(slope.view(-1, d * d, d), momentum).view(-1, d, d)
    return turned, _times(turned, momentum)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return products of matrices and vectors."""
    return torch.bmm(matrix, vector.unsqueeze(-1)).squeeze(-1)


def _half_momentum(place: MetricAt, momentum: Tensor, half: Tensor) -> tuple[Tensor, _Solution]:
    """Solve rho' = rho - half (push + 1/2 grad rho'^T G^-1 rho') for the momentum rho'."""
    base = momentum - half * place.push
    eye = torch.eye(base.shape[1], dtype=base.dtype, device=base.device)
    size = half.expand(len(eye))[:, None]

    def equation(x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the residual of the equation, and its Jacobian."""
        turned, gradient = _gradients(place.slope[rows], x)
        return x - base[rows] + 0.5 * half * gradient, eye + size * turned

    solution = _newton(equation, momentum, equation)
    return _differentiable(solution, lambda x: x - base + 0.5 * half * _gradients(place.slope, x)[1]), solution


def _position(metric: Expanded, place: MetricAt, momentum: Tensor, half: Tensor) -> tuple[Tensor, _Solution]:
    """Solve z' = z + half (G^-1(z) + G^-1(z')) rho' for the position z'."""
    base = place.z + half * _times(place.inverse, momentum)
    eye = torch.eye(base.shape[1], dtype=base.dtype, device=base.device)
    size = half.expand(len(eye))[:, None]

    def equation(x: Tensor, rows: Rows, expansion: Expansion | None = None) -> tuple[Tensor, Tensor]:
        """Return the residual of the equation, and its Jacobian."""
        inverse, slope = expansion or metric.expansion(x)
        turned = _gradients(slope, momentum[rows])[0]
        return x - base[rows] - half * _times(inverse, momentum[rows]), eye - size * turned.mT

    def first(x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the same at z, where the metric was computed before."""
        return equation(x, rows, Expansion(place.inverse, place.slope))

    solution = _newton(equation, place.z, first)
    return _differentiable(solution, lambda x: x - base - half * _times(metric.inverse(x), momentum)), solution


@torch.no_grad()
def _newton(equation: Equation, begin: Tensor, first: Equation) -> _Solution:
    """Solve an equation for each row by Newton's method.

    Rows with a Jacobian of negative determinant count as not solved: their roots belong to another branch.

    Parameters
    ----------
    equation : callable
        Maps unknowns (R, d) of the given rows to values (R, d) and Jacobians (R, d, d).
    begin : Tensor, shape (B, d)
        First guess.
    first : callable
        The equation at `begin`.
    """
    size, everyone = 1.0 + begin.abs().amax(dim=-1), slice(None)
    value, matrix = first(begin, everyone)
    x = begin - torch.linalg.solve_ex(matrix, value)[0]
    for _ in range(_STEPS_OF_ALL):
        value, matrix = equation(x, everyone)
        x = x - torch.linalg.solve_ex(matrix, value)[0]
    value, matrix = equation(x, everyone)
    residual = value.abs().amax(dim=-1) / size
    for _ in range(_MOST_STEPS - _STEPS_OF_ALL):
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
    return _Solution(torch.where(keep, x, begin), inverse, solved, torch.where(solved, residual, 0.0))


def _differentiable(solution: _Solution, residual: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a solution with its implicit derivative by all tensors in the residual; rows not solved are constant."""
    if not torch.is_grad_enabled():
        return solution.x
    value = residual(solution.x)
    return solution.x - _times(solution.matrix, value - value.detach())
