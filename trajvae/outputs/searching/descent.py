"""Gradient descent on an expectation in latent space, from many starts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.errors import TrajvaeError
from trajvae.models.pipeline import Pipeline
from trajvae.molecule.observables import Observable
from trajvae.outputs.searching.circular_statistics import mean
from trajvae.outputs.searching.objectives import Goal
from trajvae.outputs.searching.support import Support
from trajvae.torch_types import LinAlgError

_MARGIN = 0.8  # share of the support's radius at which its penalty begins
_PENALTY = 100.0
_RATE = 0.05


class Descended(NamedTuple):
    """Hold the results of descents from several starts.

    Attributes
    ----------
    best : Tensor, shape (B, ambient)
        The best point of each start.
    path : Tensor, shape (steps + 1, B, ambient)
    values : Tensor, shape (steps + 1, B)
        The expected objective on the way.
    """

    best: Tensor
    path: Tensor
    values: Tensor


class LatentDescent:
    """Minimise an objective from many starts with Adam, moving by the latent's retraction."""

    def __init__(self, pipeline: Pipeline, objective: Observable, goal: Goal, scale: float, support: Support) -> None:
        self.pipeline, self.objective, self.goal = pipeline, objective, goal
        self.scale, self.support = scale, support

    def expected(self, z: Tensor, noise: Tensor | None) -> Tensor:
        """Return the mean objective (B,) at points (B, ambient) over draws of `noise` (K, F), or at decoded means.

        The mean of a periodic objective is the mean direction.
        """
        vae = self.pipeline.vae
        params = vae.decode(z)
        if noise is None:
            return self.objective.function(vae.features.positions(vae.likelihood.mean(params)))
        repeated = {name: value.repeat_interleave(len(noise), dim=0) for name, value in params.items()}
        draws = vae.likelihood.draw(repeated, noise.repeat(len(z), 1))
        values = self.objective.function(vae.features.positions(draws)).view(len(z), len(noise))
        return mean(values, self.objective.period, dim=1)

    def penalty(self, z: Tensor) -> Tensor:
        """Return a penalty that rises from zero where the k-th nearest training latent is unusually far."""
        excess = self.support.distance(z) / max(self.support.radius, 1e-12) - _MARGIN
        return _PENALTY * excess.clamp(min=0.0).square()

    def run(
        self, z: Tensor, noise: Tensor | None, steps: int, progress: Callable[[int, int, float], None] | None
    ) -> Descended:
        """Descend from points (B, ambient) by some steps, with noise (K, F) that stays the same."""
        first, second = torch.zeros_like(z), torch.zeros_like(z)
        path, values = [], []
        best, best_cost = z.clone(), torch.full((len(z),), torch.inf, dtype=torch.float64, device=z.device)
        for step in range(steps + 1):
            z = z.detach().requires_grad_(True)
            expected, cost, gradient = self._slope(z, noise)
            with torch.no_grad():
                better = cost < best_cost
                best, best_cost = torch.where(better[:, None], z, best), torch.where(better, cost, best_cost)
                path.append(z.clone())
                values.append(expected.detach())
                first = 0.9 * first + 0.1 * gradient
                second = 0.99 * second + 0.01 * gradient.square()
                unit = (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.99 ** (step + 1))).sqrt() + 1e-12)
                z = self.pipeline.vae.latent.manifold.retract(z, -_RATE * (1.0 - step / (steps + 1)) * unit)
            if progress is not None:
                progress(step, steps, float(mean(values[-1], self.objective.period, dim=0)))
        return Descended(best.detach(), torch.stack(path).detach(), torch.stack(values))

    def _slope(self, z: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The expected objective, the cost and its gradient, all finite."""
        text = f"objective '{self.objective.name}' or its gradient is not finite for a decoded structure"
        try:
            expected = self.expected(z, noise)
            cost = self.goal.cost(expected.double(), self.scale) + self.penalty(z)
            (gradient,) = torch.autograd.grad(cost.sum(), z)
        except LinAlgError as error:  # no superposition of such a structure
            raise TrajvaeError(text) from error
        if not bool(torch.isfinite(cost).all() & torch.isfinite(gradient).all()):
            raise TrajvaeError(text)
        return expected, cost, gradient
