"""Learning a map of the unit cube on to a manifold by a Wasserstein autoencoder on draws from the target.

The paper's loss, with a discrepancy in the hidden space alone, leaves part of the manifold uncovered. This one compares
the points of the map with the target, too, and where the manifold's volume is known, it penalises deviations from the
uniform density once the map has unfolded.

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

from trajvae.geometry.cube_maps.cube_map import DEPTH, WIDTH, LearnedMap, jacobians, log_stretch, network
from trajvae.geometry.cube_maps.discrepancy import discrepancy
from trajvae.geometry.cube_maps.map_quality import Quality, measure
from trajvae.geometry.manifolds import Compact, Sampled

_SPREAD_DRAWS = 4000  # draws that the spread of the target is estimated with
_LONGEST_GRADIENT = 10.0
_SOFTENING = 1e-4  # of Jacobians; see `log_stretch`
_LINEAR_BEYOND = 0.3  # nats of log density; the loss is quadratic below, and no map of a square is even at both poles
_LARGEST_DEVIATION = 3.0  # nats of log density beyond which the loss is constant


@dataclass(frozen=True)
class Recipe:
    """Set how a map is learned.

    Attributes
    ----------
    steps, batch : int
    learning_rate : float
        Initial learning rate; it falls as a cosine.
    hidden, points : float
        Weights of the discrepancies in hidden coordinates and on the manifold; the reconstruction error has weight 1.
    density : float
        Weight of the squared logarithm of the map's density over the uniform one.
    unfolding : float
        Fraction of the steps before which the density has no weight.
    settling, settled : float
        After the fraction `settling` of the steps the weight of the density is `settled` times as large and that of the
        reconstruction as many times smaller: an encoder, which is continuous, prefers maps whose ends overlap.
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
    """Return the layers of a network with random initial weights."""
    widths = [n_inputs, *[WIDTH] * DEPTH, n_outputs]
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    for layer in layers:
        nn.init.uniform_(layer.weight, -1.0, 1.0, generator=generator)
        layer.weight.data /= math.sqrt(layer.in_features)
        nn.init.zeros_(layer.bias)
    return layers


def _weights(layers: list[nn.Linear]) -> list[tuple[Tensor, Tensor]]:
    """Return the weights and biases of layers."""
    return [(layer.weight, layer.bias) for layer in layers]


class _LearningMap:
    """Map standard normal numbers to the manifold by a network that is being trained."""

    def __init__(self, manifold: Compact, layers: list[nn.Linear]) -> None:
        self.manifold, self.layers = manifold, layers
        self.size = 1.0  # squared size of the manifold
        # far from the manifold the nearest chart changes abruptly: charts are used once the map has unfolded
        self.lifted = not isinstance(manifold, Sampled)

    def points(self, h: Tensor) -> Tensor:
        """Map normal numbers (B, dim) to points (B, ambient)."""
        raw = network(h, _weights(self.layers))
        return self.manifold.lift(raw) if self.lifted else raw

    def log_density_ratio(self, h: Tensor) -> Tensor:
        """Return the log density of the map's points over the uniform one, (B,); 0 if the volume is not known."""
        if self.manifold.log_volume is None:
            return torch.zeros_like(h[:, 0])
        normal = -0.5 * (h.square() + math.log(2.0 * math.pi)).sum(dim=-1)
        return self.manifold.log_volume + normal - log_stretch(jacobians(self.points, h), _SOFTENING)


def _loss(
    learning_map: _LearningMap,
    encoder: list[nn.Linear],
    recipe: Recipe,
    done: float,
    spread: float,
    generator: torch.Generator,
) -> Tensor:
    """Return the loss: reconstruction, discrepancies of hidden numbers and of points, and, later on, the density."""
    settled = recipe.settled if done >= recipe.settling else 1.0
    z = learning_map.manifold.sample(recipe.batch, generator)
    hidden = network(z, _weights(encoder))
    h = torch.randn(hidden.shape, generator=generator)
    loss = (learning_map.points(hidden) - z).square().sum(dim=-1).mean() / (settled * learning_map.size)
    loss = loss + recipe.hidden * discrepancy(hidden, h, 2.0 * h.shape[1])
    target = learning_map.manifold.sample(recipe.batch, generator)
    loss = loss + recipe.points * discrepancy(learning_map.points(h), target, spread)
    if done < recipe.unfolding:
        return loss
    uneven = learning_map.log_density_ratio(h).clamp(-_LARGEST_DEVIATION, _LARGEST_DEVIATION)
    return loss + settled * recipe.density * nn.functional.smooth_l1_loss(
        uneven, torch.zeros_like(uneven), beta=_LINEAR_BEYOND
    )


def learn(manifold: Compact, seed: int, recipe: Recipe | None = None) -> LearnedMap:
    """Train and return a map of the unit cube on to the manifold.

    Parameters
    ----------
    manifold : Compact
    seed : int
        Seed of initial weights and all draws.
    recipe : Recipe, optional
    """
    recipe, generator = recipe or Recipe(), torch.Generator().manual_seed(seed)
    if isinstance(manifold, Sampled):
        manifold.chart(generator)
    decoder = _layers(manifold.dim, manifold.raw_dim, generator)
    encoder = _layers(manifold.ambient_dim, manifold.dim, generator)
    learning_map = _LearningMap(manifold, decoder)
    spread = 2.0 * float(manifold.sample(_SPREAD_DRAWS, generator).var(dim=0).sum())
    if isinstance(manifold, Sampled):  # other manifolds have a size of about one
        learning_map.size = 0.5 * spread
    parameters = [p for layer in (*encoder, *decoder) for p in layer.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=recipe.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for step in range(recipe.steps):
        done = step / recipe.steps
        learning_map.lifted = learning_map.lifted or done >= recipe.unfolding
        loss = _loss(learning_map, encoder, recipe, done, spread, generator)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, _LONGEST_GRADIENT)
        optimiser.step()
        schedule.step()
    learned = LearnedMap(manifold)
    learned.load(decoder)
    return learned


def learn_well(manifold: Compact, seed: int, attempts: int = 3) -> tuple[LearnedMap, Quality]:
    """Train a map, again with other random numbers if it is not good enough, and return it with its quality."""
    generator = torch.Generator().manual_seed(seed)
    for attempt in range(attempts):
        learned = learn(manifold, seed + attempt)
        quality = measure(manifold, learned, generator)
        if not quality.failures():
            break
    return learned, quality
