"""Riemannian metrics on a latent space: v^T G(z) v is the squared speed of a point z that moves with velocity v.

References
----------
G. Arvanitidis, L. K. Hansen, S. Hauberg, ICLR 2018 (arXiv:1710.11379), eq. 6: the pullback metric.
C. Chadebec, C. Mantoux, S. Allassonniere, arXiv:2010.11518, eq. 9: the metric from centroids.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trajvae.errors import TrajvaeError
from trajvae.torch_types import (
    FORWARD_MODE,
    AutogradContext,
    AutogradFunction,
    Gradients,
    LinAlgError,
    directional_derivative,
)

_CENTROIDS_AT_ONCE = 1024  # whose weights fit into the processor's cache
_NO_METRIC = "the metric is not positive definite: weights are damaged, or a training has diverged"
Map = Callable[[Tensor], Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]


class Metric(Protocol):
    """Measure the speed of a moving point."""

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """Return squared speeds (B,) of points z (B, ambient) with velocities v (B, ambient)."""


class Pullback:
    """Measure speeds by J^T J, the metric that a map pulls back from its target: lengths are those of mapped curves.

    Parameters
    ----------
    decode : callable
        z (B, ambient) to points (B, M) of a Euclidean space, such as all coordinates of a molecule in Å.

    Notes
    -----
    The speed is the length of J v, one forward-mode product; J itself is formed by `tensor` alone.
    """

    def __init__(self, decode: Map) -> None:
        self.decode = decode

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """Return squared speeds (B,) of the mapped points, for velocities v (B, ambient) at z (B, ambient)."""
        return directional_derivative(self.decode, z, v)[1].square().sum(dim=-1)

    def tensor(self, z: Tensor) -> Tensor:
        """Return G(z) of points (B, ambient), (B, ambient, ambient)."""
        with FORWARD_MODE:
            jacobian: Tensor = torch.func.vmap(torch.func.jacfwd(lambda x: self.decode(x[None])[0]))(z)
        return jacobian.transpose(-1, -2) @ jacobian


class KernelDensity:
    """Count the given points nearby: the sum of exp(-d^2 / width^2) over them.

    Parameters
    ----------
    points : Tensor, shape (N, ambient)
    width : float
    distance : callable
        All distances between rows of (A, ambient) and (B, ambient), shape (A, B).
    """

    def __init__(self, points: Tensor, width: float, distance: Distance = torch.cdist) -> None:
        self.points, self.width, self.distance = points, width, distance

    def __call__(self, z: Tensor) -> Tensor:
        """Return the sums (B,) at points z (B, ambient)."""
        return torch.exp(-(self.distance(z, self.points.to(z)) / self.width).square()).sum(dim=-1)


class DensityWeighted:
    """Lengthen paths where points are sparse: divide squared speeds by q + floor, with q = 1 - exp(-density).

    Geodesics of a pullback metric alone take short cuts through regions without data, where a decoder is arbitrary.

    Parameters
    ----------
    metric : Metric
    density : callable
        Maps z (B, ambient) to (B,), about 1 or more where there are data.
    floor : float
        Limits how much paths are lengthened.
    """

    def __init__(self, metric: Metric, density: Map, floor: float = 0.03) -> None:
        self.metric, self.density, self.floor = metric, density, floor

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """Return squared speeds (B,) of the given metric, divided by q + floor."""
        return self.metric.square(z, v) / (self.floor - torch.expm1(-self.density(z)))


def _weights(z: Tensor, centroids: Tensor, square_width: float) -> Tensor:
    """Return exp(-|z - c|^2 / T^2), (B, N), with the square expanded: precise in float64 for near points, too."""
    norms = z.square().sum(dim=1, keepdim=True) + centroids.square().sum(dim=1)
    return torch.addmm(norms, z, centroids.T, beta=-1.0 / square_width, alpha=2.0 / square_width).exp_()


class _KernelSums(AutogradFunction):
    """Compute the sum over centroids of terms times exp(-|z - c_i|^2 / T^2), as one node of the graph."""

    @staticmethod
    def forward(ctx: AutogradContext, z: Tensor, centroids: Tensor, terms: Tensor, square_width: float) -> Tensor:
        """Map z (B, d), centroids (N, d) and terms (N, M) to sums (B, M)."""
        if any(ctx.needs_input_grad):
            weights = _weights(z, centroids, square_width)
            ctx.save_for_backward(z, centroids, terms, weights)
            ctx.square_width = square_width
            return weights @ terms
        sums = z.new_zeros(len(z), terms.shape[1])
        for block, block_terms in zip(
            torch.split(centroids, _CENTROIDS_AT_ONCE), torch.split(terms, _CENTROIDS_AT_ONCE), strict=True
        ):
            sums.addmm_(_weights(z, block, square_width), block_terms)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, gradient: Tensor) -> Gradients:
        """Return the gradients of points, centroids and terms, by matrix products."""
        z, centroids, terms, weights = ctx.saved_tensors
        slope = (gradient @ terms.T).mul_(weights).mul_(2.0 / ctx.square_width)
        to_z = slope @ centroids - slope.sum(dim=1, keepdim=True) * z
        to_centroids = slope.T @ z - slope.sum(dim=0)[:, None] * centroids if ctx.needs_input_grad[1] else None
        return to_z, to_centroids, weights.T @ gradient if ctx.needs_input_grad[2] else None, None


class Expansion(NamedTuple):
    """Hold an inverse metric and its derivatives at a point.

    Attributes
    ----------
    inverse : Tensor, shape (B, d, d)
        G^-1.
    slope : Tensor, shape (B, d, d, d)
        Derivatives of G^-1; [:, k] is the one by coordinate k.
    """

    inverse: Tensor
    slope: Tensor


def factor_of(inverse: Tensor) -> Tensor:
    """Return the Cholesky factor of an inverse metric, (B, d, d).

    Raises
    ------
    TrajvaeError
        The inverse metric is not positive definite.
    """
    try:
        factor: Tensor = torch.linalg.cholesky(inverse)
    except LinAlgError as error:
        raise TrajvaeError(_NO_METRIC) from error
    return factor


class CentroidMetric:
    """Define a metric by its inverse: the sum over centroids of L_i L_i^T exp(-|z - c_i|^2 / T^2), plus lambda I.

    Parameters
    ----------
    centroids : Tensor, shape (N, d)
    factors : Tensor, shape (N, d, d)
        The L_i; of posteriors with standard deviations s_i, diag(s_i): then G is the posterior precision at a centroid.
    temperature : float or Tensor
        T.
    regularisation : float or Tensor
        Lambda: G is I / lambda far from all centroids.

    Raises
    ------
    TrajvaeError
        T is zero or not finite.

    Notes
    -----
    Everything is computed in float64 and returned in the precision of z, by matrix products with the centroids'
    moments: time and memory are linear in N. Gradients reach the centroids and the factors.
    """

    def __init__(
        self, centroids: Tensor, factors: Tensor, temperature: float | Tensor, regularisation: float | Tensor
    ) -> None:
        self.dim = centroids.shape[1]
        self.centroids, factors = centroids.double(), factors.double()
        self.products = (factors @ factors.transpose(-1, -2)).flatten(1)
        self.square_width = float(temperature) ** 2
        if not 0.0 < self.square_width < math.inf:
            raise TrajvaeError(_NO_METRIC)
        self.floor = float(regularisation) * torch.eye(self.dim, dtype=torch.float64, device=centroids.device)

    @functools.cached_property
    def _moments(self) -> Tensor:
        """The products, and the products times each coordinate of their centroid, (N, d^2 + d^3)."""
        first = self.centroids[:, :, None] * self.products[:, None]
        return torch.cat([self.products, first.flatten(1)], dim=1)

    def _sums(self, z: Tensor, terms: Tensor) -> Tensor:
        """Return the sums of terms times the weights of their centroids."""
        sums: Tensor = _KernelSums.apply(z.double(), self.centroids, terms, self.square_width)
        return sums

    def inverse(self, z: Tensor) -> Tensor:
        """Return G^-1 at points z (B, d), (B, d, d)."""
        return self._inverse(z).to(z)

    def _inverse(self, z: Tensor) -> Tensor:
        """Return G^-1 in float64."""
        return self._sums(z, self.products).view(-1, self.dim, self.dim) + self.floor

    def _factor(self, z: Tensor) -> Tensor:
        """Return the Cholesky factor of G^-1 in float64."""
        return factor_of(self._inverse(z))

    def expansion(self, z: Tensor) -> Expansion:
        """Return G^-1 and its derivatives, which are sums of -2 (z - c_i)_k / T^2 w_i L_i L_i^T with weights w_i."""
        d, place = self.dim, z.double()
        sums = self._sums(z, self._moments)
        whole, first = sums[:, : d * d].view(-1, 1, d, d), sums[:, d * d :].view(-1, d, d, d)
        slope = (2.0 / self.square_width) * (first - place[:, :, None, None] * whole)
        return Expansion((whole[:, 0] + self.floor).to(z), slope.to(z))

    def factor(self, z: Tensor) -> Tensor:
        """Return the Cholesky factor of G^-1 at points z (B, d), (B, d, d)."""
        return self._factor(z).to(z)

    def log_det(self, z: Tensor) -> Tensor:
        """Return log det G at points z (B, d), (B,)."""
        return -2.0 * self._factor(z).diagonal(dim1=-1, dim2=-2).log().sum(dim=-1).to(z)

    def tensor(self, z: Tensor) -> Tensor:
        """Return G at points z (B, d), (B, d, d)."""
        inverse: Tensor = torch.cholesky_inverse(self._factor(z))
        return inverse.to(z)

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """Return squared speeds (B,) v^T G(z) v of points z (B, d) with velocities v (B, d)."""
        whitened: Tensor = torch.linalg.solve_triangular(self._factor(z), v.double()[..., None], upper=False)
        return whitened.square().sum(dim=(-1, -2)).to(z)

    def gradients(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients by z of log det G and of p^T G^-1 p in closed form, both (B, d).

        The gradient of log det G is minus the trace of G times the derivative of G^-1.
        """
        slope = self.expansion(z).slope
        trace = torch.einsum("bij,bkij->bk", self.tensor(z), slope)
        return -trace, torch.einsum("bkij,bi,bj->bk", slope, momentum, momentum)


def spacing(points: Tensor, distance: Distance = torch.cdist) -> float:
    """Return the median distance of points (N, ambient) to their nearest neighbours."""
    between = distance(points, points)
    between.fill_diagonal_(torch.inf)
    return float(between.min(dim=1).values.median())
