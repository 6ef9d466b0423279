"""Sums over the windings of a geodesic around a sphere.

Tangent vectors that point in one direction and differ in length by a whole circumference end at one point: a density on
the sphere is the sum over all of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trajvae.errors import TrajvaeError
from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients

_STANDARD_DEVIATIONS = 8.0  # within which windings are summed
_NEGLIGIBLE = 40.0  # nats by which the log density of a winding is lower than that of none
_MOST_WINDINGS = 1e5
SHORTEST_SQUARE = 1e-20  # squared length below which a tangent vector has no direction


def sum_over_windings(
    energy: Tensor, square: Tensor, curvature: Tensor, power: int, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the log of the sum of exp(-f^2 energy) |f|^power over windings, each of which lengthens a vector by f.

    Parameters
    ----------
    energy, square : Tensor, shape (...)
        Energy and squared length of the vector without windings.
    curvature : Tensor, shape ()
    power : int
    most : int
        Number of windings to each side.

    Returns
    -------
    tuple of Tensor, shape (...)
        The value; minus its derivative by the energy; and a sum w that gives the other derivatives: by the squared
        length -w / (2 square), by the curvature -w / (2 curvature).
    """
    windings = torch.arange(-most, most + 1, dtype=energy.dtype, device=energy.device)
    length = 2.0 * math.pi * (curvature * square).rsqrt()
    added = windings.view(-1, *(1,) * energy.ndim) * length
    factor = 1.0 + added
    factor_square = factor * factor
    terms = -energy * factor_square
    if power:
        terms += (0.5 * power) * factor_square.clamp_(min=1e-300).log()
    largest = terms.amax(dim=0).clamp_(min=-1e300)
    weights = torch.sub(terms, largest).exp_()
    total = weights.sum(dim=0)
    weights /= total
    slope = factor * (power / factor_square - 2.0 * energy) if power else -2.0 * energy * factor
    by_energy, by_factor = (weights * factor_square).sum(dim=0), (weights * added).mul_(slope).sum(dim=0)
    return total.log_().add_(largest), by_energy, by_factor


class _SumOverWindings(AutogradFunction):
    """Compute `sum_over_windings` as one node of the graph."""

    @staticmethod
    def forward(
        ctx: AutogradContext, energy: Tensor, square: Tensor, curvature: Tensor, power: int, most: int
    ) -> Tensor:
        """Compute the values, and keep the weighted sums that give the derivatives."""
        value, by_energy, by_factor = sum_over_windings(energy, square, curvature, power, most)
        ctx.save_for_backward(square, curvature, by_energy, by_factor)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Apply the chain rule: the energy enters with f^2, length and curvature with f."""
        square, curvature, by_energy, by_factor = ctx.saved_tensors
        bent = -0.5 * gradient * by_factor
        return -gradient * by_energy, bent / square, bent.sum() / curvature, None, None


def n_windings(curvature: Tensor, power: int, energy: Tensor, square: Tensor, largest: float) -> int:
    """Return the number of windings to sum on each side; 0 where the first is negligible for all vectors.

    Parameters
    ----------
    curvature : Tensor, shape ()
    power : int
        See `sum_over_windings`.
    energy, square : Tensor, shape (...)
    largest : float
        The largest standard deviation.

    Raises
    ------
    TrajvaeError
        There are too many windings to sum.
    """
    circumference = 2.0 * math.pi / math.sqrt(curvature.item())
    nearest = energy * ((1.0 - circumference * square.rsqrt()).square_() - 1.0)
    if nearest.min().item() > _NEGLIGIBLE:
        return 0
    number = (_STANDARD_DEVIATIONS + math.sqrt(power)) * largest / circumference
    if not number < _MOST_WINDINGS:
        raise TrajvaeError(
            f"a normal distribution of scale {largest:.3g} on a sphere goes round it too often to sum: weights are "
            "damaged, or a training has diverged"
        )
    return 1 + math.ceil(number)


def log_sum_over_windings(curvature: Tensor, power: int, energy: Tensor, square: Tensor, scale: Tensor) -> Tensor:
    """Return the log of the sum of exp(-energy) times the volume factor over all windings around a sphere, (...).

    A winding lengthens a tangent vector by a factor f: the energy becomes f^2 times as high, and the volume factor
    f^power times as large.

    Parameters
    ----------
    curvature : Tensor, shape ()
    power : int
        Dimension of the sphere less one.
    energy, square : Tensor, shape (...)
        Energy and squared length of the vector without windings.
    scale : Tensor, shape (..., dim)
        Standard deviations, of which the largest determines the number of windings.
    """
    at_centre, largest = square < SHORTEST_SQUARE, scale.detach().max().item()
    if bool(at_centre.any()):  # taken as points just beside the centre, which have a direction to wind in
        slope = energy / torch.where(square > 0, square, torch.inf)
        energy = torch.where(at_centre, SHORTEST_SQUARE * slope.clamp(min=0.5 / largest**2), energy)
    length = square.clamp(min=SHORTEST_SQUARE)
    with torch.no_grad():
        most = n_windings(curvature, power, energy, length, largest)
    if not most:
        return -energy
    out: Tensor = _SumOverWindings.apply(energy, length, curvature, power, most)
    return out
