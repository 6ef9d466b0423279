"""Densities on latent spaces that are known, draws from them, and chains that have them as their equilibrium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.typing import Float64

Density = Callable[[Float64], Float64]
Draw = Callable[[int, np.random.Generator], Float64]
Step = Callable[[Float64, float, np.random.Generator], Float64]


@dataclass(frozen=True)
class Known:
    """Hold a density with two maxima.

    Attributes
    ----------
    geometry : str
    density : callable
        Points (..., ambient) to densities of the space's volume (...).
    draw : callable
        (n, generator) to independent points (n, ambient).
    step : callable
        (points, size, generator) to points one symmetric random step away.
    size : float
        Of the steps of a chain.
    """

    geometry: str
    density: Density
    draw: Draw
    step: Step
    size: float

    def chains(self, n: int, count: int, generator: np.random.Generator) -> Float64:
        """Return `count` Metropolis chains of n points that begin in equilibrium, (count, n, ambient)."""
        at = self.draw(count, generator)
        there = self.density(at)
        out = np.empty((count, n, at.shape[1]))
        for i in range(n):
            new = self.step(at, self.size, generator)
            then = self.density(new)
            accepted = generator.random(count) * there < then
            at, there = np.where(accepted[:, None], new, at), np.where(accepted, then, there)
            out[:, i] = at
        return out


def _either(share: float, one: Draw, other: Draw) -> Draw:
    def draw(n: int, generator: np.random.Generator) -> Float64:
        first = generator.random(n) < share
        return np.where(first[:, None], one(n, generator), other(n, generator))

    return draw


def _normal(mean: list[float], covariance: list[list[float]]) -> tuple[Density, Draw]:
    found = scipy.stats.multivariate_normal(mean, covariance)
    draw: Draw = lambda n, g: g.multivariate_normal(mean, covariance, n)  # noqa: E731
    return (lambda x: np.asarray(found.pdf(x)).reshape(x.shape[:-1])), draw


def _circular(mean: float, concentration: float) -> tuple[Density, Draw]:
    """Von Mises' distribution of points (cos, sin)."""
    height = 1.0 / (2.0 * np.pi * scipy.special.i0e(concentration))

    def draw(n: int, generator: np.random.Generator) -> Float64:
        angle = generator.vonmises(mean, concentration, n)
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    towards = np.array([np.cos(mean), np.sin(mean)])
    return (lambda x: height * np.exp(concentration * (x @ towards - 1.0))), draw


def _spherical(mean: list[float], k: float) -> tuple[Density, Draw]:
    """Von Mises and Fisher's distribution of unit vectors."""
    mu, height = np.array(mean), k / (2.0 * np.pi * (1.0 - np.exp(-2.0 * k)))

    def draw(n: int, generator: np.random.Generator) -> Float64:
        u = generator.random(n)
        cosine = 1.0 + np.log(u + (1.0 - u) * np.exp(-2.0 * k)) / k
        side = generator.normal(size=(n, 3))
        side -= (side @ mu)[:, None] * mu
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        return cosine[:, None] * mu + np.sqrt(np.maximum(1.0 - cosine**2, 0.0))[:, None] * side

    return (lambda x: height * np.exp(k * (x @ mu - 1.0))), draw


def _hyperbolic(radius: float, angle: float, k: float) -> tuple[Density, Draw]:
    """Jensen's distribution on the unit hyperboloid, about the point at a radius and an angle."""
    c, s = np.cosh(radius), np.sinh(radius)
    boost = np.array([[c, s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    lorentz = turn @ boost
    dual = lorentz[:, 0] * np.array([1.0, -1.0, -1.0])

    def draw(n: int, generator: np.random.Generator) -> Float64:
        cosh = 1.0 - np.log(generator.random(n)) / k
        sinh, a = np.sqrt(cosh**2 - 1.0), 2.0 * np.pi * generator.random(n)
        return np.stack([cosh, sinh * np.cos(a), sinh * np.sin(a)], axis=-1) @ lorentz.T

    return (lambda x: k / (2.0 * np.pi) * np.exp(-k * (x @ dual - 1.0))), draw


def _mixture(share: float, one: tuple[Density, Draw], other: tuple[Density, Draw]) -> tuple[Density, Draw]:
    return (lambda x: share * one[0](x) + (1.0 - share) * other[0](x)), _either(share, one[1], other[1])


def _product(one: tuple[Density, Draw], other: tuple[Density, Draw], width: int) -> tuple[Density, Draw]:
    def draw(n: int, generator: np.random.Generator) -> Float64:
        return np.concatenate([one[1](n, generator), other[1](n, generator)], axis=-1)

    return (lambda x: one[0](x[..., :width]) * other[0](x[..., width:])), draw


def _straight(x: Float64, size: float, generator: np.random.Generator) -> Float64:
    return x + size * generator.normal(size=x.shape)


def _turned(x: Float64, size: float, generator: np.random.Generator) -> Float64:
    pairs = x.reshape(len(x), -1, 2)
    turn = size * generator.normal(size=pairs.shape[:2])
    c, s = np.cos(turn), np.sin(turn)
    moved = [pairs[..., 0] * c - pairs[..., 1] * s, pairs[..., 0] * s + pairs[..., 1] * c]
    return np.stack(moved, axis=-1).reshape(x.shape)


def _on_sphere(x: Float64, size: float, generator: np.random.Generator) -> Float64:
    moved = x + size * generator.normal(size=x.shape)
    return moved / np.linalg.norm(moved, axis=-1, keepdims=True)


def _on_hyperboloid(x: Float64, size: float, generator: np.random.Generator) -> Float64:
    """A step of an isotropic tangent vector, along the geodesic."""
    v = size * generator.normal(size=(len(x), 2))
    across = (x[:, 1:] * v).sum(axis=1)
    tangent = np.column_stack([across, v + (across / (1.0 + x[:, 0]))[:, None] * x[:, 1:]])  # moved from the origin
    length = np.linalg.norm(v, axis=1, keepdims=True)
    moved = np.cosh(length) * x + np.sinh(length) / length * tangent
    moved[:, 0] = np.sqrt(1.0 + (moved[:, 1:] ** 2).sum(axis=1))
    return moved


KNOWN = {
    "line": Known("e1", *_mixture(0.6, _normal([-1.5], [[0.25]]), _normal([1.2], [[0.64]])), _straight, 0.8),
    "plane": Known(
        "e2",
        *_mixture(
            0.6, _normal([-1.0, -0.5], [[0.25, 0.1], [0.1, 0.3]]), _normal([1.2, 0.7], [[0.4, -0.2], [-0.2, 0.5]])
        ),
        _straight,
        0.8,
    ),
    "circle": Known("s1:1.0", *_mixture(0.7, _circular(0.5, 4.0), _circular(2.8, 8.0)), _turned, 0.8),
    "torus": Known(
        "s1:1.0,s1:1.0",
        *_mixture(
            0.7,
            _product(_circular(-1.2, 6.0), _circular(2.6, 3.0), 2),
            _product(_circular(1.0, 6.0), _circular(0.5, 6.0), 2),
        ),
        _turned,
        0.8,
    ),
    "sphere": Known(
        "s2:1.0", *_mixture(0.6, _spherical([0.0, 0.0, 1.0], 4.0), _spherical([0.8, 0.6, 0.0], 10.0)), _on_sphere, 0.5
    ),
    "Poincaré disc": Known(
        "h2:1.0", *_mixture(0.6, _hyperbolic(0.8, 0.3, 4.0), _hyperbolic(1.5, 3.0, 3.0)), _on_hyperboloid, 0.6
    ),
}

MUELLER_BROWN = (  # K. Müller, L. D. Brown, Theor. Chim. Acta 53, 75 (1979): A, a, b, c, x, y
    (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
    (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
    (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
    (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
)
SCALE = 0.15  # kJ/mol for a unit of the potential


def mueller_brown(x: Float64) -> Float64:
    """Return the potential at points (..., 2) in kJ/mol."""
    return SCALE * sum(
        height * np.exp(a * (x[..., 0] - p) ** 2 + b * (x[..., 0] - p) * (x[..., 1] - q) + c * (x[..., 1] - q) ** 2)
        for height, a, b, c, p, q in MUELLER_BROWN
    )


@dataclass(frozen=True, eq=False)
class BiasedDraws:
    """Hold points that were drawn from a biased potential, their weights, and the exact free energy without the bias.

    Attributes
    ----------
    points : ndarray, shape (n, 2)
    weights : ndarray, shape (n,)
    norm : float
        kJ/mol: U + norm is -kT ln of the unbiased density.
    """

    points: Float64
    weights: Float64
    norm: float


def biased_mueller_brown(n: int, kt: float, generator: np.random.Generator) -> BiasedDraws:
    """Draw from the potential, of which a bias V takes 70 % away below 30 kJ/mol, with weights exp(V / kT)."""
    edges = [np.linspace(-1.7, 1.3, 1201), np.linspace(-0.5, 2.3, 1121)]
    middles = [0.5 * (e[1:] + e[:-1]) for e in edges]
    grid = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
    u = mueller_brown(grid)
    bias: Callable[[Float64], Float64] = lambda v: -0.7 * np.minimum(v - float(u.min()), 30.0)  # noqa: E731
    area = float(np.diff(edges[0])[0] * np.diff(edges[1])[0])
    share = np.exp(-(u + bias(u) - float((u + bias(u)).min())) / kt).ravel()
    cells = generator.choice(share.size, n, p=share / share.sum())
    place = grid.reshape(-1, 2)[cells] + (generator.random((n, 2)) - 0.5) * [np.diff(e)[0] for e in edges]
    norm = kt * float(scipy.special.logsumexp(-u / kt) + np.log(area))
    return BiasedDraws(place, np.exp(bias(u.ravel()[cells]) / kt), norm)
