"""T9: what the four figures of a map accept and refuse."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from trajvae.geometry.cube_maps.cube_map import ExactMap, LearnedMap
from trajvae.geometry.cube_maps.map_quality import Quality, measure
from trajvae.geometry.cube_maps.wasserstein import Recipe, learn
from trajvae.geometry.manifolds import Compact, Sampled, Spheres

CIRCLE = Spheres((1,))


@dataclass
class Angle:
    """A map to the circle by its angle, in turns: rate x u, and a wave that makes it uneven."""

    rate: float = 1.0
    wave: float = 0.0

    def points(self, u: Tensor) -> Tensor:
        """See `Embedding`."""
        angle = 2.0 * torch.pi * (self.rate * u + self.wave * torch.sin(2.0 * torch.pi * u))
        return torch.cat([angle.cos(), angle.sin()], dim=-1)

    def log_density_ratio(self, u: Tensor) -> Tensor:
        """Not looked at here."""
        return torch.zeros_like(u[:, 0])


def _measured(embedding: object, manifold: Compact = CIRCLE) -> Quality:
    return measure(manifold, embedding, torch.Generator().manual_seed(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("manifold", [CIRCLE, Spheres((2,)), Spheres((1, 1))])
def test_exact_maps_pass(manifold: Compact) -> None:
    """All four, and the law's divergence is zero."""
    quality = _measured(ExactMap(manifold), manifold)
    assert quality.failures() == []
    assert abs(quality.prior_kl) < 1e-6


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Angle(2.0), ("prior KL", "folds")),  # a double cover has the right law: MMD and coverage are blind
        (Angle(0.25), ("MMD", "coverage", "prior KL")),
        (Angle(0.95), ("coverage", "prior KL")),
        (Angle(1.0, 0.12), ("MMD", "prior KL")),
        (Angle(1.0, 0.5), ("folds",)),
    ],
)
def test_wrong_maps_are_refused_by_name(wrong: Angle, words: tuple[str, ...]) -> None:
    """A double cover, arcs, an uneven and a folded map: the figures that fail are named."""
    text = "; ".join(_measured(wrong).failures())
    assert all(word in text for word in words), text


def test_the_prior_kl_is_that_of_the_law() -> None:
    """Of an arc of a quarter -log 1/4, of a double cover -log 2; by neighbours too where no volume is known."""
    assert _measured(Angle(0.25)).prior_kl == pytest.approx(1.3863, abs=1e-3)
    assert _measured(Angle(2.0)).prior_kl == pytest.approx(-0.6931, abs=1e-3)
    samples = Sampled(1, 2, lambda n, g: CIRCLE.sample(n, g))
    assert _measured(Angle(0.5), samples).prior_kl == pytest.approx(0.6931, abs=0.03)
    assert abs(_measured(Angle(), samples).prior_kl) < 0.02


def test_learning_is_the_same_again() -> None:
    """One seed gives the same weights, another others."""
    short = Recipe(steps=3, batch=16)
    weights = [dict(learn(CIRCLE, seed, short).named_buffers()) for seed in (0, 0, 1)]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert not torch.equal(weights[0]["weight0"], weights[2]["weight0"])


def test_the_excess_of_a_learned_map_is_its_density() -> None:
    """Of any weights: exp(-excess) is the volume element over the volume; it averages to the length covered."""
    torch.manual_seed(0)
    learned = LearnedMap(CIRCLE).double()
    for name, buffer in learned.named_buffers():
        buffer.copy_(torch.randn_like(buffer) / (8.0 if "weight" in name else 3.0))
    u = torch.linspace(0.02, 0.98, 4001, dtype=torch.float64)[:, None]
    points = learned.points(u)
    steps = torch.linalg.vector_norm(points[2:] - points[:-2], dim=1) / (u[2:, 0] - u[:-2, 0])
    torch.testing.assert_close(
        steps / (2.0 * torch.pi), torch.exp(-learned.log_density_ratio(u))[1:-1], rtol=1e-3, atol=1e-4
    )
