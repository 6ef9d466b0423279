"""Latent spaces and the topology of motions, where the truth is known: `python benchmarks/topology.py`.

Chains whose only free coordinates form a circle, a torus, a sphere or a tree; every backend has the same latent
dimension. Printed: the held-out ELBO in nats a frame (mean and standard error over three seeds), and whether neighbours
stay neighbours: the largest latent distance between adjacent points of a clean, regular grid of about 1000 points on
the true manifold, over the mean one (of the middle seed), beside the same figure of the features themselves.

The torsions turn at the chain's end, with most atoms in the rigid part: to superpose a chain whose middle torsion turns
all the way round turns its halves by half a turn either way, and puts a seam into the features.
Two processes, about twenty minutes on two cores.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch

from trajvae import Model, TrainConfig
from trajvae.typing import Float64

FRAMES, NOISE, BOND, ANGLE = 2000, 0.05, 1.5, 1.95  # Å, rad
SEEDS = range(3)


@dataclass(frozen=True)
class System:
    """A family of conformations over a manifold.

    Attributes
    ----------
    build : callable
        Coordinates on the manifold (n, k) to positions (n, N, 3) in Å.
    draw : callable
        n random points of the manifold.
    grid : callable
        A regular grid (G, k), and the pairs (P, 2) of its points that are adjacent.
    backends : dict
        By name, what a user would set.
    """

    build: Callable[[Float64], Float64]
    draw: Callable[[int, np.random.Generator], Float64]
    grid: Callable[[], tuple[Float64, Float64]]
    backends: dict[str, dict[str, str | int]]


def attach(positions: list[Float64], torsion: Float64) -> Float64:
    """The atom that follows three others at the given torsion (natural extension by bond, angle, torsion)."""
    a, b, c = positions[-3:]
    along = (c - b) / np.linalg.norm(c - b, axis=-1, keepdims=True)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    local = np.stack([-np.cos(ANGLE) + 0 * torsion, np.sin(ANGLE) * np.cos(torsion), np.sin(ANGLE) * np.sin(torsion)])
    axes = (along, np.cross(normal, along), normal)
    return c + BOND * sum(x[:, None] * axis for x, axis in zip(local, axes, strict=True))


def chain(torsions: Float64) -> Float64:
    """Chains of bonded atoms by their torsions (n, N - 3)."""
    n = len(torsions)
    first = np.array([[0.0, 0.0, 0.0], [BOND, 0.0, 0.0], [BOND - BOND * math.cos(ANGLE), BOND * math.sin(ANGLE), 0.0]])
    out = [np.broadcast_to(p, (n, 3)) for p in first]
    for k in range(torsions.shape[1]):
        out.append(attach(out, torsions[:, k]))
    return np.stack(out, axis=1)


def one_end(angle: Float64) -> Float64:
    """Four rigid atoms and a fifth that turns all the way round."""
    return chain(np.concatenate([np.full_like(angle, 1.0), angle], axis=1))


def two_ends(angles: Float64) -> Float64:
    """Six rigid atoms, one at each end that turns all the way round."""
    rigid = np.broadcast_to([1.0, -1.2, 1.0], (len(angles), 3))
    body = chain(np.concatenate([rigid, angles[:, :1]], axis=1))
    back = [body[:, i] for i in (2, 1, 0)]
    return np.concatenate([attach(back, angles[:, 1])[:, None], body], axis=1)


def rotor(direction: Float64) -> Float64:
    """Five rigid atoms, and a sixth on a free joint: its bond points anywhere on the sphere."""
    body = chain(np.broadcast_to([1.0, -1.2], (len(direction), 2)).copy())
    return np.concatenate([body, (body[:, -1] + BOND * direction)[:, None]], axis=1)


DEPTH = 4
LEAVES = 2**DEPTH


def tree_points() -> tuple[Float64, Float64]:
    """The nodes of a binary tree in a space of torsions (m, 6), and their parents."""
    random = np.random.default_rng(5)
    nodes, parents = [np.array([1.0, -1.2, 1.1, -1.0, 1.2, -1.1])], [0]
    for k in range(1, 2 ** (DEPTH + 1) - 1):
        parent = (k - 1) // 2
        step = random.normal(size=6)
        nodes.append(nodes[parent] + 0.7 * step / np.linalg.norm(step))
        parents.append(parent)
    return np.array(nodes), np.array(parents)


def on_tree(place: Float64) -> Float64:
    """Chains at (edge, share of the way) of the tree."""
    nodes, parents = tree_points()
    edge, share = place[:, 0].astype(int), place[:, 1:]
    return chain(nodes[parents[edge]] * (1.0 - share) + nodes[edge] * share)


def tree_draw(n: int, random: np.random.Generator) -> Float64:
    """Uniform over edges and along them."""
    return np.stack([random.integers(1, 2 ** (DEPTH + 1) - 1, n), random.random(n)], axis=1)


def tree_grid() -> tuple[Float64, Float64]:
    """Points along every edge, each next to the one before; an edge begins beside the end of its parent's."""
    edges, each = 2 ** (DEPTH + 1) - 2, 33
    share = np.arange(1, each + 1) / each
    points = np.array([[e, s] for e in range(1, edges + 1) for s in share])
    number = np.arange(len(points)).reshape(edges, each)
    pairs = [np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1)]
    _, parents = tree_points()
    joints = [[number[parents[e] - 1, -1], number[e - 1, 0]] for e in range(1, edges + 1) if parents[e]]
    return points, np.concatenate([*pairs, np.array([[number[0, 0], number[1, 0]], *joints])])


def circle_grid() -> tuple[Float64, Float64]:
    """1000 angles."""
    index = np.arange(1000)
    return index[:, None] * (2 * np.pi / 1000), np.stack([index, (index + 1) % 1000], axis=1)


def torus_grid() -> tuple[Float64, Float64]:
    """32 x 32 pairs of angles."""
    index = np.arange(1024).reshape(32, 32)
    angle = np.arange(32) * (2 * np.pi / 32)
    points = np.stack(np.meshgrid(angle, angle, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = [np.stack([index, np.roll(index, 1, axis)], axis=-1).reshape(-1, 2) for axis in (0, 1)]
    return points, np.concatenate(pairs)


def sphere_grid() -> tuple[Float64, Float64]:
    """1000 directions of the golden spiral; adjacent are those nearer than 1.3 times the mean spacing."""
    k = np.arange(1000)
    z, turn = 1.0 - (2 * k + 1) / 1000, k * np.pi * (3.0 - math.sqrt(5.0))
    points = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)
    between = np.linalg.norm(points[:, None] - points[None], axis=-1)
    first, second = np.nonzero((between < 1.3 * math.sqrt(4 * np.pi / 1000)) & (between > 0))
    return points, np.stack([first, second], axis=1)


def directions(n: int, random: np.random.Generator) -> Float64:
    """Uniform unit vectors."""
    x = random.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def product(signature: str) -> dict[str, str | int]:
    """The product backend with these factors."""
    return {"backend": "product", "signature": signature}


def flat_and_round(dim: int) -> dict[str, dict[str, str | int]]:
    """Euclidean and hyperspherical of one dimension."""
    names = {f"euclidean {dim}": "euclidean", f"hyperspherical {dim}": "hyperspherical"}
    return {name: {"backend": backend, "latent_dim": dim} for name, backend in names.items()}


TWO = {**flat_and_round(2), "product h2": product("h2"), "product s1,s1": product("s1,s1"), "product s2": product("s2")}
SYSTEMS = {
    "one end torsion (circle)": System(
        one_end,
        lambda n, random: random.uniform(0, 2 * np.pi, (n, 1)),
        circle_grid,
        {**flat_and_round(1), "product s1": product("s1"), "product h1": product("h1")},
    ),
    "two end torsions (torus)": System(
        two_ends, lambda n, random: random.uniform(0, 2 * np.pi, (n, 2)), torus_grid, TWO
    ),
    "free joint (sphere)": System(rotor, directions, sphere_grid, TWO),
    "branching states (tree)": System(on_tree, tree_draw, tree_grid, TWO),
}


def step_ratio(distances: Float64) -> float:
    """Largest over mean."""
    return float(distances.max() / distances.mean())


def figures(job: tuple[str, str, int]) -> tuple[float, float, float]:
    """Held-out ELBO, step ratio in the latent space, and that of the features."""
    name, backend, seed = job
    system, random = SYSTEMS[name], np.random.default_rng(100 + seed)
    clean = system.build(system.draw(FRAMES, random))
    warnings.simplefilter("ignore")
    model = Model.train(
        clean + NOISE * random.normal(size=clean.shape), TrainConfig(seed=seed, **system.backends[backend])
    )
    points, pairs = system.grid()
    grid = system.build(points)
    z = torch.from_numpy(model.encode(grid).latent)
    manifold = model.pipeline.vae.latent.manifold
    distance = manifold.pairwise_distance(z, z).detach().numpy()[pairs[:, 0], pairs[:, 1]]
    features = model.pipeline.targets(model.pipeline.alignment.apply(grid)).numpy()
    apart = np.linalg.norm(features[pairs[:, 0]] - features[pairs[:, 1]], axis=1)
    return model.figures["elbo"], step_ratio(distance), step_ratio(apart)


def main() -> None:
    """Print a table a system, and the bound's verdict."""
    jobs = [(name, b, seed) for name, system in SYSTEMS.items() for b in system.backends for seed in SEEDS]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = dict(zip(jobs, pool.map(figures, jobs), strict=True))
    summary: dict[tuple[str, str], tuple[float, float, float]] = {}
    print("| motion | backend | held-out ELBO, nats | step ratio | step ratio of the features |\n|---|---|---|---|---|")
    for name, system in SYSTEMS.items():
        for backend in system.backends:
            elbo, ratio, features = zip(*(found[name, backend, seed] for seed in SEEDS), strict=True)
            error = statistics.stdev(elbo) / math.sqrt(len(elbo))
            summary[name, backend] = (statistics.mean(elbo), error, statistics.median(ratio))
            text = f"{statistics.mean(elbo):.2f} +- {error:.2f} | {statistics.median(ratio):.1f} | {features[0]:.1f}"
            print(f"| {name} | {backend} | {text} |")
    circle, line = (summary["one end torsion (circle)", b] for b in ("hyperspherical 1", "euclidean 1"))
    good = circle[0] - line[0] > math.hypot(circle[1], line[1]) and circle[2] < 3.0 and line[2] > 10.0
    print(f"{'ok  ' if good else 'MISS'}  circle {circle[0] - line[0]:+.2f} nats above the line; step ratios", end=" ")
    print(f"{circle[2]:.1f} (below 3) and {line[2]:.1f} (above 10)")
    sys.exit(not good)


if __name__ == "__main__":
    main()
