"""The interface of manifolds, in one vocabulary, and the simplest one: Euclidean space."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Manifold(ABC):
    """Describe a space of points that have coordinates in an ambient Euclidean space.

    A new manifold defines both dimensions, `distance`, `project`, `tangent` and `geodesic`. The other methods have
    defaults that are right for any manifold, if slower or less exact than they could be.

    Attributes
    ----------
    dim, ambient_dim : int
        Intrinsic dimension, and the number of coordinates of a point.
    chords_are_distances : bool
        Whether Euclidean distances of `chords` are the distances themselves, and not only lower bounds.
    """

    dim: int
    ambient_dim: int
    chords_are_distances: bool = False

    @property
    def flat(self) -> bool:
        """Whether points have as many coordinates as dimensions: every ambient vector is a point."""
        return self.ambient_dim == self.dim

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the geodesic distances of points a and b, row by row, (..., ambient) to (...)."""

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances between all rows of a (A, ambient) and b (B, ambient), (A, B)."""
        shape = (len(a), len(b), a.shape[-1])
        return self.distance(a[:, None].expand(shape), b[None].expand(shape))

    def chords(self, z: Tensor) -> Tensor | None:
        """Return coordinates (B, m) whose Euclidean distances never exceed `distance`, for neighbour searches.

        None, the default, where no such coordinates are known: a search then measures all distances.
        """
        return None

    @abstractmethod
    def project(self, z: Tensor) -> Tensor:
        """Return the points of the manifold that are nearest to ambient coordinates (..., ambient)."""

    def retract(self, z: Tensor, step: Tensor) -> Tensor:
        """Move points (B, ambient) by an ambient step, such as a scaled gradient, and stay on the manifold.

        By default the sum is projected. Where geodesics are known, points move along that of the step's tangent part.
        """
        return self.project(z + step)

    @abstractmethod
    def tangent(self, z: Tensor) -> Tensor:
        """Return the logarithm at an origin: coordinates in the tangent space there, (B, ambient) to (B, dim)."""

    @abstractmethod
    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Return points of the geodesic from a to b, both (ambient,), at times t (T,) in [0, 1], (T, ambient)."""

    def geometry(self) -> str:
        """Return the signature of the manifold, factor by factor in the order of the coordinates, for plots.

        In the grammar of signatures, with every curvature as it is now ("h2:0.73,s1:1.0,e2"): (c, s) with
        ``c^2 + K |s|^2 = 1`` of curved factors, Cartesian coordinates of flat ones; or "so3" for rotation matrices, or
        empty, the default, where the manifold has no name.
        """
        return ""


class EuclideanSpace(Manifold):
    """Describe R^dim in Cartesian coordinates.

    Parameters
    ----------
    dim : int
    """

    chords_are_distances = True

    def __init__(self, dim: int) -> None:
        self.dim = self.ambient_dim = dim

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
        return length

    def pairwise_distance(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cdist(a, b)

    def chords(self, z: Tensor) -> Tensor:
        return z

    def project(self, z: Tensor) -> Tensor:
        return z

    def tangent(self, z: Tensor) -> Tensor:
        return z

    def geodesic(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        return a + t[:, None] * (b - a)

    def geometry(self) -> str:
        return f"e{self.dim}"
