"""Sums over the turns of a sphere: tangent vectors that differ by a whole turn end at one point."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trajvae.errors import TrajvaeError

_REACH = 8.0  # standard deviations to which turns of a sphere are summed
_NEGLIGIBLE = 40.0  # nats
_MOST_TURNS = 1e5
SHORT = 1e-20  # squared length below which a tangent vector has no direction


def sum_over_windings(
    energy: Tensor, square: Tensor, curvature: Tensor, power: int, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the log of the sum of exp(-f^2 energy) |f|^power over turns, f lengthening the vector.

    Returns
    -------
    tuple of Tensor, shape (...)
        The value, minus its derivative by the energy, and the weighted sum that those by length and curvature are made
        of: by the square of length -1/2 of it over that square, by the curvature -1/2 of it over the curvature.
    """
    turns = torch.arange(-most, most + 1, dtype=energy.dtype, device=energy.device)
    length = 2.0 * math.pi * (curvature * square).rsqrt()
    added = turns.view(-1, *(1,) * energy.ndim) * length
    factor = 1.0 + added
    factor_square = factor * factor
    terms = -energy * factor_square
    if power:
        terms += (0.5 * power) * factor_square.clamp_(min=1e-300).log()
    most_of_all = terms.amax(dim=0).clamp_(min=-1e300)
    weights = torch.sub(terms, most_of_all).exp_()
    total = weights.sum(dim=0)
    weights /= total
    slope = factor * (power / factor_square - 2.0 * energy) if power else -2.0 * energy * factor
    by_energy, by_factor = (weights * factor_square).sum(dim=0), (weights * added).mul_(slope).sum(dim=0)
    return total.log_().add_(most_of_all), by_energy, by_factor


class _Turns(Function):
    """`summed` as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, energy: Tensor, square: Tensor, curvature: Tensor, power: int, most: int) -> Tensor:
        """Values, and the weighted sums over turns that the derivatives are."""
        value, by_energy, by_factor = sum_over_windings(energy, square, curvature, power, most)
        ctx.save_for_backward(square, curvature, by_energy, by_factor)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Energy enters by the factors' squares; length and curvature by the factors."""
        square, curvature, by_energy, by_factor = ctx.saved_tensors
        bent = -0.5 * gradient * by_factor
        return -gradient * by_energy, bent / square, bent.sum() / curvature, None, None


def n_windings(curvature: Tensor, power: int, energy: Tensor, square: Tensor, largest: float) -> int:
    """Return how many turns to either side matter; 0 where the nearest is negligible for all."""
    turn = 2.0 * math.pi / math.sqrt(curvature.item())
    nearest = energy * ((1.0 - turn * square.rsqrt()).square_() - 1.0)
    if nearest.min().item() > _NEGLIGIBLE:
        return 0
    turns = (_REACH + math.sqrt(power)) * largest / turn
    if not turns < _MOST_TURNS:
        raise TrajvaeError(
            f"a normal distribution of scale {largest:.3g} on a sphere goes round it too often to sum: weights are "
            "damaged, or a training has diverged"
        )
    return 1 + math.ceil(turns)


def fold(curvature: Tensor, power: int, energy: Tensor, square: Tensor, scale: Tensor) -> Tensor:
    """Return the log of the sum over a sphere's turns of exp(-energy) times the volume factor, of shape (...).

    The tangent vectors that end where one of squared length `square` does are that one, made longer by whole turns:
    by a factor f, with energy f^2 times as high and a volume f^power times as large, power being dim - 1.
    """
    at_centre, largest = square < SHORT, scale.detach().max().item()
    if bool(at_centre.any()):  # as if a little beside it, where the direction of turns is known
        slope = energy / torch.where(square > 0, square, torch.inf)
        energy = torch.where(at_centre, SHORT * slope.clamp(min=0.5 / largest**2), energy)
    length = square.clamp(min=SHORT)
    with torch.no_grad():
        most = n_windings(curvature, power, energy, length, largest)
    if not most:
        return -energy
    out: Tensor = _Turns.apply(energy, length, curvature, power, most)  # type: ignore[no-untyped-call]
    return out
