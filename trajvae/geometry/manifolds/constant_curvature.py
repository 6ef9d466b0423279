"""Spaces of constant curvature in one model: sphere, Euclidean space and hyperboloid, continuous in the curvature.

A point is (c, s): s of `dim` coordinates in units of length, and c without unit, with c^2 + K |s|^2 = 1. The origin is
(1, 0). For K > 0, (c, sqrt(K) s) is the unit vector of the sphere of radius 1/sqrt(K); for K < 0, (c, sqrt(-K) s) is
the point of the unit hyperboloid; for K = 0, c = 1 and s are Cartesian coordinates. A tangent vector at (c, s) is
(b, u) with c b = s.u, the derivative of (c, s) being (-K b, u), and the metric is u.u' + K b b'. Nothing in this form
is singular as K goes to zero, from either side.

References
----------
M. Skopek, O. Ganea, G. Becigneul, ICLR 2020 (arXiv:1911.08411), appendix A: the maps in the usual coordinates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError
from trajvae.geometry import maps
from trajvae.geometry.manifolds import chord_distances
from trajvae.geometry.manifolds.base import Manifold
from trajvae.geometry.manifolds.chord_distances import safe_root, split_point
from trajvae.geometry.trigonometry import cosine_and_sine, sine_ratio


class Transported(NamedTuple):
    """Hold the point that a tangent vector v leads to, and the volume factor there.

    Attributes
    ----------
    point : Tensor, shape (..., dim + 1)
    log_sine : Tensor, shape (...)
        Log of the generalised sine of |v| over |v|, of which the exponential map's volume is a power.
    square : Tensor, shape (...)
        |v|^2.
    """

    point: Tensor
    log_sine: Tensor
    square: Tensor


def _keep_sign_of(space: ConstantCurvature, _: object) -> None:
    """Store the sign of a curvature that was loaded; a function of the module, so that spaces can be pickled."""
    space._keep_sign()


class ConstantCurvature(nn.Module, Manifold):
    """Describe the simply connected space of one dimension and one curvature.

    Parameters
    ----------
    dim : int
    curvature : float
        K, in inverse squared units of length. The tensor `curvature` is the only place where it is stored.
    learnable : bool
        Whether K is a parameter.

    Notes
    -----
    Everything is computed in float64 and returned in the precision of the arguments.
    """

    curvature: Tensor

    def __init__(self, dim: int, curvature: float, *, learnable: bool = False) -> None:
        super().__init__()
        if dim < 1 or not math.isfinite(curvature):
            raise OptionError(f"a space needs a dimension of 1 or more and a finite curvature, got {dim}, {curvature}")
        self.dim, self.ambient_dim = dim, dim + 1
        value = torch.tensor(float(curvature), dtype=torch.float64)
        if learnable:
            self.curvature = nn.Parameter(value)
        else:
            self.register_buffer("curvature", value)
        self.register_load_state_dict_post_hook(_keep_sign_of)  # type: ignore[no-untyped-call]
        self._keep_sign()

    def _keep_sign(self) -> None:
        """Store the sign of the curvature."""
        self._sign = self._read_sign()

    def _read_sign(self) -> int:
        """Return the sign of the curvature, which waits for the device."""
        curvature = self.curvature.item()
        return (curvature > 0.0) - (curvature < 0.0)

    @property
    def sign(self) -> int:
        """Sign of the curvature: 1, 0 or -1.

        On a GPU it is the sign when the curvature was last set or loaded, since reading it would wait for the device.
        """
        return self._read_sign() if self.curvature.is_cpu else self._sign

    def origin(self) -> Tensor:
        """Return the point (1, 0), (dim + 1,)."""
        return torch.nn.functional.pad(torch.ones(1, dtype=torch.float64), (0, self.dim))

    def from_tangent(self, v: Tensor) -> Tensor:
        """Return the exponential map at the origin, (..., dim) to (..., dim + 1)."""
        return maps.from_origin(v.double(), self.curvature, self.sign).to(v)

    def tangent(self, z: Tensor) -> Tensor:
        """Return the logarithm at the origin, (..., dim + 1) to (..., dim); not unique at a sphere's antipode."""
        c, s = split_point(z.double())
        antipode = (c < 0) & (s == 0).all(dim=-1, keepdim=True)
        if bool(antipode.any()):
            s = torch.where(antipode, 1e-100 * torch.eye(self.dim, dtype=s.dtype, device=s.device)[0], s)
        return (self.stretch0(torch.cat([c, s], dim=-1))[0].unsqueeze(-1) * s).to(z)

    def stretch0(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance from the origin over |s|, and |s|^2, both (...)."""
        return maps.stretch(z.double(), self.curvature, self.sign)

    def transport0(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tangent vector (b, u) at z that parallel transport of v (..., dim) from the origin gives."""
        c, s = split_point(z.double())
        u = v.double()
        along = (s * u).sum(dim=-1, keepdim=True)
        return along.to(v), (u - self.curvature * along * s * self._share(c, s)).to(v)

    def _share(self, c: Tensor, s: Tensor) -> Tensor:
        """Return 1 / (1 + c); see `maps.share`."""
        return maps.share(c, self.curvature * s.square().sum(dim=-1, keepdim=True), self.sign)

    def exp(self, z: Tensor, b: Tensor, u: Tensor) -> Tensor:
        """Return the exponential map at z of the tangent vector (b, u)."""
        point, b, u = z.double(), b.double(), u.double()
        cosine, sine = cosine_and_sine(self.curvature * self.norm(b, u).square())
        return (cosine * point + sine * torch.cat([-self.curvature * b, u], dim=-1)).to(z)

    def exp_transported(self, z: Tensor, v: Tensor) -> Transported:
        """Return the exponential map at z of the vector v (..., dim), transported to z from the origin."""
        end, log_sine, square = maps.exp_transported(z.double(), v.double(), self.curvature, self.sign)
        return Transported(end.to(z), log_sine, square)

    def log_transported(self, z: Tensor, target: Tensor) -> Tensor:
        """Return the vector at the origin that, transported to z, leads to the target: `exp_transported` takes it."""
        first, second = self._exact(z.double()), self._exact(target.double())
        (c, s), (d, t) = split_point(first), split_point(second)
        cosine = 1.0 - 0.5 * self.curvature * self._chord(first, second).unsqueeze(-1)
        sine = sine_ratio(self.curvature * self.distance(first, second).square().unsqueeze(-1))
        return ((t - s * (cosine + d) * self._share(c, s)) / sine).to(target)

    def log(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tangent vector at a that `exp` carries to b, both points (..., dim + 1).

        Not unique where b is the antipode of a on a sphere.
        """
        first, second = self._exact(a.double()), self._exact(b.double())
        (c, s), (d, t) = split_point(first), split_point(second)
        q = self._chord(first, second).unsqueeze(-1)
        beta = c * (s * t).sum(dim=-1, keepdim=True) - d * s.square().sum(dim=-1, keepdim=True)
        u = (t - s) + 0.5 * self.curvature * q * s
        length = self.distance(first, second).unsqueeze(-1)
        ratio = 1.0 / sine_ratio(self.curvature * length.square())
        return (ratio * beta).to(a), (ratio * u).to(a)

    def transport(self, a: Tensor, b: Tensor, beta: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the parallel transport of the tangent vector (beta, u) at a to b along their geodesic."""
        (c, s), (d, t) = split_point(self._exact(a.double())), split_point(self._exact(b.double()))
        beta, v = beta.double(), u.double()
        cosine_ab = c * d + self.curvature * (s * t).sum(dim=-1, keepdim=True)
        along = ((t * v).sum(dim=-1, keepdim=True) - beta * d) / (1.0 + cosine_ab)
        return (beta + along * (c + d)).to(u), (v - self.curvature * along * (s + t)).to(u)

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return points of the geodesic from a to b, both (dim + 1,), at times t (T,) in (0, 1), (T, dim + 1).

        Weights are sines of the two parts of the distance, by which both ends are met exactly however far out they are;
        not unique between antipodes of a sphere.
        """
        first, second = self._exact(a.double()), self._exact(b.double())
        length, times = self.distance(first, second), t.double()[:, None]
        square = self.curvature * length.square()
        if float(square.detach()) > (math.pi - 1e-7) ** 2:
            return self._half_circle(first, length, times).to(a)
        whole = sine_ratio(square)
        weights = [x * sine_ratio(x.square() * square) / whole for x in (1.0 - times, times)]
        return self.project(weights[0] * first + weights[1] * second).to(a)

    def _half_circle(self, a: Tensor, length: Tensor, times: Tensor) -> Tensor:
        """Return points of a geodesic from a to its antipode, in the direction of the axis least aligned with a."""
        b, u = self.gradient(a, torch.eye(self.dim + 1, dtype=a.dtype, device=a.device)[a.abs().argmin()])
        size = times * length / self.norm(b, u)
        return self.exp(a.expand(len(times), -1), size * b, size * u)

    def norm(self, b: Tensor, u: Tensor) -> Tensor:
        """Return the length of a tangent vector, (..., 1)."""
        square = u.square().sum(dim=-1, keepdim=True) + self.curvature.to(u) * b.square()
        return safe_root(square)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return geodesic distances (...) of points of equal shape (..., dim + 1), accurate near and far."""
        return chord_distances.distance(self._exact(a.double()), self._exact(b.double()), self.curvature).to(a)

    def chords(self, z: Tensor) -> Tensor:
        """Return coordinates (..., m) whose Euclidean distances are at most the geodesic ones, and near short ones.

        Those of a sphere are ambient coordinates, those of a hyperboloid the logarithm at the origin, since its
        exponential map only stretches.
        """
        c, s = split_point(z.double())
        if self.sign > 0:
            s = torch.cat([c / self.curvature.sqrt(), s], dim=-1)
        return (s if self.sign >= 0 else self.tangent(z.double())).to(z)

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return distances (A, B) between all rows of a (A, dim + 1) and b (B, dim + 1), in memory of that size."""
        return chord_distances.pairwise_distance(self._exact(a.double()), self._exact(b.double()), self.curvature).to(a)

    def _exact(self, z: Tensor) -> Tensor:
        return chord_distances.exact_point(z, self.curvature, self.sign)

    def _chord(self, a: Tensor, b: Tensor) -> Tensor:
        return chord_distances.squared_chord(a, b, self.curvature)

    def gradient(self, z: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Riemannian gradient at z, a tangent vector, of the gradient g in the coordinates (c, s)."""
        (c, s), (h, v) = split_point(z.double()), split_point(g.double())
        along = (s * v).sum(dim=-1, keepdim=True) + c * h
        return (c * along - h).to(g), (v - self.curvature * along * s).to(g)

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Move points in the direction of the Riemannian gradient of a step in coordinates, at most by its length."""
        b, u = self.gradient(z.double(), step.double())
        length = self.norm(b, u)
        limit = torch.linalg.vector_norm(step.double(), dim=-1, keepdim=True)
        share = torch.where(length > limit, limit / length.clamp(min=1e-300), torch.ones_like(length))
        return self.project(self.exp(z.double(), share * b, share * u)).to(z)

    def project(self, z: Tensor) -> Tensor:
        """Return the point on the manifold with the same s (hyperboloid, plane) or direction (sphere)."""
        if self.sign > 0:  # without `maps.on_sphere`, which has no forward-mode derivative
            c, s = split_point(z.double())
            square = c.square() + self.curvature * s.square().sum(dim=-1, keepdim=True)
            return (torch.cat([c, s], dim=-1) / square.clamp(min=1e-300).sqrt()).to(z)
        return self._exact(z.double()).to(z)

    def geometry(self) -> str:
        curvature = float(self.curvature.detach())
        return f"{'h' if curvature < 0.0 else 's' if curvature > 0.0 else 'e'}{self.dim}:{abs(curvature)}"
