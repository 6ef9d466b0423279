"""Learning a map of the unit cube on to a manifold by a Wasserstein autoencoder on draws from the target.

The recipe of the paper, discrepancy in the hidden space alone, leaves part of the manifold uncovered. Here the map's
own points are compared with the target too, and where the manifold's volume is known the map's density, which should be
uniform, is followed directly once the map has unfolded.

References
----------
E. Golikov, M. Kretov, arXiv:1812.02769, sec. 2.2.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trajvae.geometry.compact import Compact, Sampled
from trajvae.geometry.cube_maps.cube_map import DEPTH, WIDTH, LearnedMap, coordinate_major, log_stretch, network
from trajvae.geometry.cube_maps.discrepancy import discrepancy
from trajvae.geometry.cube_maps.map_quality import Quality, measure

_SPREAD_DRAWS = 4000
_CLIP = 10.0
_SOFTENING = 1e-4
_LARGE = 0.3  # nats of log density beyond which it is followed linearly: no map of a square has none at a sphere's pole
_WORST = 3.0  # nats of log density that are followed


@dataclass(frozen=True)
class Recipe:
    """Set how a map is learned.

    Attributes
    ----------
    steps, batch : int
    learning_rate : float
        At its highest; it falls as a cosine.
    hidden, points : float
        Weights of the discrepancies in hidden coordinates and on the manifold, beside the squared reconstruction error.
    density : float
        Weight of the squared logarithm of the map's density over the uniform one.
    unfolding : float
        Share of the steps before which the density is left alone.
    settling, settled : float
        From this share of the steps on the density counts so many times more and the reconstruction as many times less:
        an encoder that cannot tear would rather have the map's ends overlap.
    """

    steps: int = 3000
    batch: int = 256
    learning_rate: float = 3e-3
    hidden: float = 3.0
    points: float = 50.0
    density: float = 0.5
    unfolding: float = 1.0 / 3.0
    settling: float = 0.7
    settled: float = 5.0


def _layers(n_inputs: int, n_outputs: int, generator: torch.Generator) -> list[nn.Linear]:
    widths = [n_inputs, *[WIDTH] * DEPTH, n_outputs]
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    for layer in layers:
        nn.init.uniform_(layer.weight, -1.0, 1.0, generator=generator)
        layer.weight.data /= math.sqrt(layer.in_features)
        nn.init.zeros_(layer.bias)
    return layers


def _weights(layers: list[nn.Linear]) -> list[tuple[Tensor, Tensor]]:
    return [(layer.weight, layer.bias) for layer in layers]


class _Student:
    """A map of standard normal numbers while it learns."""

    def __init__(self, manifold: Compact, layers: list[nn.Linear]) -> None:
        self.manifold, self.layers = manifold, layers
        self.size = 1.0  # of the manifold, squared
        # from afar the nearest chart jumps, which no gradient sees: an atlas is used once the map has unfolded
        self.lifted = not isinstance(manifold, Sampled)

    def points(self, h: Tensor) -> Tensor:
        """Normal numbers (B, dim) to points (B, ambient)."""
        raw = network(h, _weights(self.layers))
        return self.manifold.lift(raw) if self.lifted else raw

    def excess(self, h: Tensor) -> Tensor:
        """log p_f - log p_M, (B,); zero where the volume is not known."""
        if self.manifold.log_volume is None:
            return torch.zeros_like(h[:, 0])
        normal = -0.5 * (h.square() + math.log(2.0 * math.pi)).sum(dim=-1)
        return self.manifold.log_volume + normal - log_stretch(coordinate_major(self.points, h), _SOFTENING)


def _loss(
    student: _Student, encoder: list[nn.Linear], recipe: Recipe, done: float, spread: float, generator: torch.Generator
) -> Tensor:
    """Reconstruction, the discrepancies of hidden numbers and of points, and the density once the map has unfolded."""
    settled = recipe.settled if done >= recipe.settling else 1.0
    z = student.manifold.sample(recipe.batch, generator)
    hidden = network(z, _weights(encoder))
    h = torch.randn(hidden.shape, generator=generator)
    loss = (student.points(hidden) - z).square().sum(dim=-1).mean() / (settled * student.size)
    loss = loss + recipe.hidden * discrepancy(hidden, h, 2.0 * h.shape[1])
    target = student.manifold.sample(recipe.batch, generator)
    loss = loss + recipe.points * discrepancy(student.points(h), target, spread)
    if done < recipe.unfolding:
        return loss
    uneven = student.excess(h).clamp(-_WORST, _WORST)
    return loss + settled * recipe.density * nn.functional.smooth_l1_loss(uneven, torch.zeros_like(uneven), beta=_LARGE)


def learn(manifold: Compact, seed: int, recipe: Recipe | None = None) -> LearnedMap:
    """Return a learned map of the unit cube on to the manifold.

    Parameters
    ----------
    manifold : Compact
    seed : int
        Of initial weights and all draws.
    recipe : Recipe, optional
    """
    recipe, generator = recipe or Recipe(), torch.Generator().manual_seed(seed)
    if isinstance(manifold, Sampled):
        manifold.chart(generator)
    decoder = _layers(manifold.dim, manifold.raw_dim, generator)
    encoder = _layers(manifold.ambient_dim, manifold.dim, generator)
    student = _Student(manifold, decoder)
    spread = 2.0 * float(manifold.sample(_SPREAD_DRAWS, generator).var(dim=0).sum())
    if isinstance(manifold, Sampled):  # the others are about as large as one
        student.size = 0.5 * spread
    parameters = [p for layer in (*encoder, *decoder) for p in layer.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=recipe.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for step in range(recipe.steps):
        done = step / recipe.steps
        student.lifted = student.lifted or done >= recipe.unfolding
        loss = _loss(student, encoder, recipe, done, spread, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimiser.step()
        schedule.step()
    learned = LearnedMap(manifold)
    learned.load(decoder)
    return learned


def learn_well(manifold: Compact, seed: int, attempts: int = 3) -> tuple[LearnedMap, Quality]:
    """Return a map and its quality, learned again a few times with other random numbers while not good enough."""
    generator = torch.Generator().manual_seed(seed)
    for attempt in range(attempts):
        learned = learn(manifold, seed + attempt)
        quality = measure(manifold, learned, generator)
        if not quality.failures():
            break
    return learned, quality
