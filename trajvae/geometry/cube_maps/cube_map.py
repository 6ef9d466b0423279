"""Maps of the unit cube on to a compact manifold: exact, or learned by a Wasserstein autoencoder.

References
----------
E. Golikov, M. Kretov, arXiv:1812.02769: the embedding-reparameterisation.
I. Tolstikhin et al., arXiv:1711.01558: Wasserstein autoencoders.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from trajvae.geometry.manifolds.compact import Compact, inside
from trajvae.torch_types import directional_derivative

WIDTH, DEPTH = 64, 3  # of the network of a learned map
_LEAST_SOFTENING = 1e-24  # with which singular maps have a finite logarithm and gradient
# candidates for the smoothest point, points around each, and their standard deviation from it
_CANDIDATES, _POINTS_AROUND, _WIDTH_AROUND = 100, 1000, 0.4


class CubeMap(Protocol):
    """Describe a map of the unit cube on to a manifold."""

    def points(self, u: Tensor) -> Tensor:
        """Map hidden numbers (B, dim) in the unit cube to points (B, ambient)."""

    def log_density_ratio(self, u: Tensor) -> Tensor:
        """Return log p_f - log p_M (B,): the log density of the map's points over the uniform one."""


def jacobian(embedding: CubeMap, u: Tensor) -> Tensor:
    """Return dz/du of a map of the cube at u (B, dim), (B, ambient, dim)."""
    return jacobians(embedding.points, inside(u))


def jacobians(points: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Return Jacobians (B, outputs, inputs) by forward-mode differentiation; they can be differentiated again."""
    directions = torch.eye(at.shape[-1]).to(at)
    return torch.stack([directional_derivative(points, at, d.expand_as(at))[1] for d in directions], dim=-1)


def log_stretch(jacobians: Tensor, softening: float = 0.0) -> Tensor:
    """Return 1/2 log det J^T J of Jacobians (B, ambient, dim), (B,).

    It is computed by a QR decomposition of J in float64: J^T J would square the condition number.
    The softening, times one plus the mean of the diagonal, is added to the diagonal of J^T J: it keeps gradients finite
    where a map that still learns is singular.
    """
    j = jacobians.double()
    dim = j.shape[-1]
    size = 1.0 + j.square().sum(dim=-2).mean(dim=-1)
    softened = (max(softening, _LEAST_SOFTENING) * size).sqrt()[:, None, None] * torch.eye(dim).to(j)
    j = torch.cat([j, softened], dim=-2)  # its Gram matrix is J^T J plus the softening on the diagonal
    stretched = j.square().sum(dim=-2).sqrt() if dim == 1 else torch.linalg.qr(j).R.diagonal(dim1=-1, dim2=-2)
    return stretched.abs().log().sum(dim=-1).to(jacobians.dtype)


@torch.no_grad()
def smoothest(embedding: CubeMap, dim: int, generator: torch.Generator) -> Tensor:
    """Return the point (dim,) of the cube around which the density of a map varies least.

    A learned map may be torn: it crosses part of the manifold within a tiny part of the cube, which tests of the
    distribution do not find. Of 100 candidates the one is returned with the smallest deviation of the log density from
    its median, in the worst of 1000 points around.
    """
    candidates = torch.randn(_CANDIDATES, 1, dim, generator=generator) * 0.7
    around = candidates + _WIDTH_AROUND * torch.randn(_CANDIDATES, _POINTS_AROUND, dim, generator=generator)
    u = torch.special.ndtr(around)
    stretch = log_stretch(jacobian(embedding, u.flatten(0, 1)), 1e-6).view(_CANDIDATES, _POINTS_AROUND)
    deviation = (stretch - stretch.median(dim=1, keepdim=True).values).abs().max(dim=1).values
    best: Tensor = torch.special.ndtr(candidates[deviation.argmin(), 0])
    return best


class ExactMap(nn.Module):
    """Map the cube by the manifold's own map, which carries the uniform distribution exactly."""

    def __init__(self, manifold: Compact) -> None:
        super().__init__()
        self.manifold = manifold

    def points(self, u: Tensor) -> Tensor:
        """Map hidden numbers (B, dim) in the unit cube to points (B, ambient)."""
        return self.manifold.from_uniform(u)

    def log_density_ratio(self, u: Tensor) -> Tensor:
        """Return zeros (B,): the map's points are uniform."""
        return torch.zeros_like(u[:, 0])


class LearnedMap(nn.Module):
    """Map the cube by a network and the manifold's `lift`.

    The weights are buffers, since a model that uses the map does not train them. The inputs of the network are normal
    quantiles of the cube's numbers, for which the faces of the cube are far away.

    Parameters
    ----------
    manifold : Compact
        If its volume is not known, `log_density_ratio` is zero.
    """

    def __init__(self, manifold: Compact) -> None:
        super().__init__()
        self.manifold = manifold
        widths = [manifold.dim, *[WIDTH] * DEPTH, manifold.raw_dim]
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            self.register_buffer(f"weight{i}", torch.zeros(b, a))
            self.register_buffer(f"bias{i}", torch.zeros(b))

    def take(self, other: LearnedMap) -> None:
        """Copy the weights of another map."""
        for name, buffer in other.named_buffers():
            self.get_buffer(name).copy_(buffer)

    def load(self, layers: list[nn.Linear]) -> None:
        """Copy the weights of a trained network."""
        with torch.no_grad():
            for i, layer in enumerate(layers):
                self.get_buffer(f"weight{i}").copy_(layer.weight)
                self.get_buffer(f"bias{i}").copy_(layer.bias)

    def points(self, u: Tensor) -> Tensor:
        """Map hidden numbers (B, dim) in the unit cube to points (B, ambient)."""
        weights = [(self.get_buffer(f"weight{i}").to(u), self.get_buffer(f"bias{i}").to(u)) for i in range(DEPTH + 1)]
        return self.manifold.lift(network(torch.special.ndtri(inside(u)), weights))

    def log_density_ratio(self, u: Tensor) -> Tensor:
        """Return log Vol - 1/2 log det J^T J, (B,), since the density in the cube is one."""
        if self.manifold.log_volume is None:
            return torch.zeros_like(u[:, 0])
        return (self.manifold.log_volume - log_stretch(jacobian(self, u.double()))).to(u)


def network(h: Tensor, weights: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Apply a network with tanh layers to numbers (B, inputs)."""
    for i, (weight, bias) in enumerate(weights):
        h = torch.nn.functional.linear(h, weight, bias)
        h = h.tanh() if i + 1 < len(weights) else h
    return h
