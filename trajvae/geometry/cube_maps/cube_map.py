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

from trajvae.geometry.compact import Compact, inside

WIDTH, DEPTH = 64, 3
_LEAST = 1e-24  # of a softening: singular maps have a finite logarithm and gradient
_PLACES, _STEPS, _AROUND = 100, 1000, 0.4


class CubeMap(Protocol):
    """Describe a map of the unit cube on to a manifold."""

    def points(self, u: Tensor) -> Tensor:
        """Map hidden numbers (B, dim) in the unit cube to points (B, ambient)."""

    def log_density_ratio(self, u: Tensor) -> Tensor:
        """Return log p_f - log p_M (B,): the log density of the map's points over the uniform one."""


def jacobian(embedding: CubeMap, u: Tensor) -> Tensor:
    """Return dz/du of a map of the cube at u (B, dim), (B, ambient, dim)."""
    return coordinate_major(embedding.points, inside(u))


def coordinate_major(points: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Return Jacobians (B, outputs, inputs) by forward-mode differentiation; they are differentiable in turn."""
    directions = torch.eye(at.shape[-1]).to(at)
    return torch.stack([torch.func.jvp(points, (at,), (d.expand_as(at),))[1] for d in directions], dim=-1)


def log_stretch(jacobians: Tensor, softening: float = 0.0) -> Tensor:
    """Return 1/2 log det J^T J of Jacobians (B, ambient, dim), (B,).

    Found by QR of J in float64: J^T J would square the condition number and lose a thin direction to rounding.
    A softening, in units of the mean of the diagonal and of one, is added to the diagonal: it keeps gradients finite
    where a map that is still learning is singular.
    """
    j = jacobians.double()
    dim = j.shape[-1]
    size = 1.0 + j.square().sum(dim=-2).mean(dim=-1)
    rest = (max(softening, _LEAST) * size).sqrt()[:, None, None] * torch.eye(dim).to(j)
    j = torch.cat([j, rest], dim=-2)  # its Gram matrix is J^T J with the softening on the diagonal
    stretched = j.square().sum(dim=-2).sqrt() if dim == 1 else torch.linalg.qr(j).R.diagonal(dim1=-1, dim2=-2)
    return stretched.abs().log().sum(dim=-1).to(jacobians.dtype)


@torch.no_grad()
def smoothest(embedding: CubeMap, dim: int, generator: torch.Generator) -> Tensor:
    """Return the point (dim,) of the cube about which a map is most even.

    A learned map may tear: cross part of the manifold in next to no part of the cube, where no test of its law sees it.
    Of some places the one is taken about which the density varies least in the worst of many steps.
    """
    places = torch.randn(_PLACES, 1, dim, generator=generator) * 0.7
    around = places + _AROUND * torch.randn(_PLACES, _STEPS, dim, generator=generator)
    u = torch.special.ndtr(around)
    steep = log_stretch(jacobian(embedding, u.flatten(0, 1)), 1e-6).view(_PLACES, _STEPS)
    rough = (steep - steep.median(dim=1, keepdim=True).values).abs().max(dim=1).values
    best: Tensor = torch.special.ndtr(places[rough.argmin(), 0])
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
    """Map the cube by a network that is lifted on to the manifold.

    Its weights are buffers, since a model is trained on top of it.

    The network sees the cube's numbers as standard normal ones, for which its faces are far away.

    Parameters
    ----------
    manifold : Compact
        Where its volume is not known, `excess` is zero.
    """

    def __init__(self, manifold: Compact) -> None:
        super().__init__()
        self.manifold = manifold
        widths = [manifold.dim, *[WIDTH] * DEPTH, manifold.raw_dim]
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            self.register_buffer(f"weight{i}", torch.zeros(b, a))
            self.register_buffer(f"bias{i}", torch.zeros(b))

    def take(self, other: LearnedMap) -> None:
        """Copy another map's weights."""
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
        """Return log Vol - 1/2 log det J^T J, (B,): the density of the cube is one."""
        if self.manifold.log_volume is None:
            return torch.zeros_like(u[:, 0])
        return (self.manifold.log_volume - log_stretch(jacobian(self, u.double()))).to(u)


def network(h: Tensor, weights: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Apply a network with tanh layers to numbers (B, inputs)."""
    for i, (weight, bias) in enumerate(weights):
        h = torch.nn.functional.linear(h, weight, bias)
        h = h.tanh() if i + 1 < len(weights) else h
    return h
