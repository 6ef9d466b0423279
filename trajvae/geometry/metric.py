"""Riemannian metrics on a latent space: of the squared speed v^T G(z) v of a point z that moves with velocity v.

References
----------
G. Arvanitidis, L. K. Hansen, S. Hauberg, ICLR 2018 (arXiv:1710.11379), eq. 6: the pullback metric.
C. Chadebec, C. Mantoux, S. Allassonniere, arXiv:2010.11518, eq. 9: the metric from centroids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]


class Metric(Protocol):
    """Anything that measures speeds."""

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """Squared speeds of points z (B, ambient) with velocities v (B, ambient), shape (B,)."""


class Pullback:
    """The metric J^T J that a map brings back from its target: lengths are those of the mapped curve.

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
        """See `Metric`."""
        moved: Any = torch.func.jvp(self.decode, (z,), (v,))
        speed: Tensor = moved[1]
        return speed.square().sum(dim=-1)

    def tensor(self, z: Tensor) -> Tensor:
        """G(z), (B, ambient) to (B, ambient, ambient)."""
        jacobian: Tensor = torch.func.vmap(torch.func.jacfwd(lambda x: self.decode(x[None])[0]))(z)
        return jacobian.transpose(-1, -2) @ jacobian


class KernelDensity:
    """How many of given points lie near: the sum of exp(-d^2 / width^2) over them.

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
        """Points (B, ambient) to (B,)."""
        return torch.exp(-(self.distance(z, self.points.to(z)) / self.width).square()).sum(dim=-1)


class Dense:
    """A metric made longer where points are sparse: divided by q + floor, with q = 1 - exp(-density).

    A geodesic of a pullback metric takes short cuts off the data, where a decoder knows nothing.

    Parameters
    ----------
    metric : Metric
    density : callable
        z (B, ambient) to (B,), about 1 or more where there are data.
    floor : float
    """

    def __init__(self, metric: Metric, density: Map, floor: float = 0.03) -> None:
        self.metric, self.density, self.floor = metric, density, floor

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """See `Metric`."""
        return self.metric.square(z, v) / (self.floor - torch.expm1(-self.density(z)))


class CentroidMetric(nn.Module):
    """The metric whose inverse is the sum over centroids of L_i L_i^T exp(-|z - c_i|^2 / T^2), plus lambda I.

    Parameters
    ----------
    centroids : Tensor, shape (N, d)
    factors : Tensor, shape (N, d, d)
        The L_i; of posteriors with standard deviations s_i, diag(s_i): then G is the posterior precision at a centroid.
    temperature : float
        T.
    regularisation : float
        Lambda: G is I / lambda far from all centroids.

    Notes
    -----
    Time and memory are linear in N.
    """

    centroids: Tensor
    products: Tensor

    def __init__(self, centroids: Tensor, factors: Tensor, temperature: float, regularisation: float) -> None:
        super().__init__()
        self.temperature, self.regularisation = temperature, regularisation
        self.register_buffer("centroids", centroids)
        self.register_buffer("products", (factors @ factors.transpose(-1, -2)).flatten(1))

    @property
    def dim(self) -> int:
        """d."""
        return self.centroids.shape[1]

    def _weights(self, z: Tensor) -> Tensor:
        # |z - c|^2 by its expansion would lose the digits of near points
        square = (z[:, None] - self.centroids.to(z)).square().sum(dim=-1)
        return torch.exp(-square / self.temperature**2)

    def inverse(self, z: Tensor) -> Tensor:
        """G^-1, (B, d) to (B, d, d)."""
        eye = torch.eye(self.dim, dtype=z.dtype, device=z.device)
        return (self._weights(z) @ self.products.to(z)).view(-1, self.dim, self.dim) + self.regularisation * eye

    def factor(self, z: Tensor) -> Tensor:
        """The Cholesky factor of G^-1, (B, d) to (B, d, d)."""
        factor: Tensor = torch.linalg.cholesky(self.inverse(z))
        return factor

    def log_det(self, z: Tensor) -> Tensor:
        """log det G, (B, d) to (B,)."""
        diagonal: Tensor = self.factor(z).diagonal(dim1=-1, dim2=-2)
        return -2.0 * diagonal.log().sum(dim=-1)

    def tensor(self, z: Tensor) -> Tensor:
        """G, (B, d) to (B, d, d)."""
        inverse: Tensor = torch.cholesky_inverse(self.factor(z))
        return inverse

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """See `Metric`."""
        whitened: Tensor = torch.linalg.solve_triangular(self.factor(z), v[..., None], upper=False)
        return whitened.square().sum(dim=(-1, -2))

    def gradients(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """Closed-form gradients with respect to z of log det G and of p^T G^-1 p, both (B, d).

        The derivative of G^-1 along z is the sum of -2 (z - c_i) / T^2 w_i L_i L_i^T, and that of log det G is minus
        the trace of its product with G.
        """
        offset = z[:, None] - self.centroids.to(z)
        weights = torch.exp(-offset.square().sum(dim=-1) / self.temperature**2)
        slope = -2.0 / self.temperature**2 * weights[..., None] * offset
        products = self.products.to(z)
        trace = self.tensor(z).flatten(1) @ products.T
        kinetic = (momentum[:, :, None] * momentum[:, None]).flatten(1) @ products.T
        return -(trace[..., None] * slope).sum(dim=1), (kinetic[..., None] * slope).sum(dim=1)


def spacing(points: Tensor, distance: Distance = torch.cdist) -> float:
    """Median distance of a point (N, ambient) to its nearest other."""
    between = distance(points, points)
    between.fill_diagonal_(torch.inf)
    return float(between.min(dim=1).values.median())
