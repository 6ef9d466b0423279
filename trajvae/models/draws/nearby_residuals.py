"""Draws about decoded means with residuals of the training frames that decode to nearly the same mean.

One covariance of all residuals is too wide for a folded state and too narrow for an unfolded one, and the directions in
which a conformation moves change with it. Residuals of near frames have the size and the directions that are right
there. As draws they are too few-dimensional to have a density, and as loose at bonds as any normal distribution is:
they are for draws whose local geometry is restored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.local_geometry import LocalGeometry
from trajvae.models.pipeline import Pipeline
from trajvae.typing import Float64, Floats

NUMBERS = (100, 30, 10)  # of near frames whose residuals a draw may combine
_LEAST_WEIGHT = 1e-3  # of the furthest of the nearest, over that of a frame at the same mean
_NUMBERS_AT_ONCE = 20_000_000


@dataclass(frozen=True, eq=False)
class NearbyResiduals:
    """Hold residuals of training frames with the means that they lie about, and draw conformations with them.

    Attributes
    ----------
    pipeline : Pipeline
    means : Tensor of float64, shape (M, F)
        Targets that a latent point of each frame is decoded to, in Å.
    residuals : Tensor of float64, shape (M, F)
        The frame's targets less these.
    number : int
        How many frames are near, below M.
    """

    pipeline: Pipeline
    means: Tensor
    residuals: Tensor
    number: int

    @classmethod
    def of(cls, pipeline: Pipeline, frames: Floats, number: int = NUMBERS[0]) -> NearbyResiduals:
        """Return the residuals of frames (M, N, D), each about the mean at a draw from its posterior."""
        generator = torch.Generator(pipeline.device).manual_seed(0)
        means, residuals = [], []
        for i in range(0, len(frames), pipeline.chunk):
            part = frames[i : i + pipeline.chunk]
            z = pipeline.posterior_sample(part, generator)
            means.append(pipeline.parameters(z.double().cpu().numpy())["loc"].double())
            residuals.append(pipeline.targets(pipeline.alignment.apply(part)).double() - means[-1])
        return cls(pipeline, torch.cat(means), torch.cat(residuals), min(number, len(frames) - 1))

    @torch.no_grad()
    def place(self, params: dict[str, Tensor], generator: torch.Generator) -> Float64:
        """Return a draw for each row of the parameters of p(x|z), in Å, (n, N, D)."""
        rows = max(1, _NUMBERS_AT_ONCE // len(self.means))
        drawn = [self._draw(part, generator) for part in torch.split(params["loc"].double(), rows)]
        return np.asarray(self.pipeline.vae.features.positions(torch.cat(drawn)).cpu().numpy(), dtype=np.float64)

    def _draw(self, means: Tensor, generator: torch.Generator) -> Tensor:
        """Return targets (n, F) from normal distributions with mean and covariance of near residuals."""
        weight, rows = self._near(means)
        noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype, device=weight.device)
        spread = (weight / (1.0 - weight.square().sum(dim=1, keepdim=True))).sqrt()  # covariance of a weighted sample
        about = noise * spread  # shares of residuals less their weighted mean, whose own share follows
        share = about + weight * (1.0 - about.sum(dim=1, keepdim=True))
        shares = torch.zeros(len(means), len(self.residuals), dtype=share.dtype, device=share.device)
        return means + shares.scatter_(1, rows, share) @ self.residuals

    def _near(self, means: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights (n, K), which sum to one, of the nearest frames, and which these are, (n, K).

        References
        ----------
        W. S. Cleveland, J. Am. Stat. Assoc. 74, 829 (1979): weights that fall to zero at the next nearest.
        """
        square = torch.cdist(means, self.means).square()
        nearest, rows = square.topk(self.number + 1, dim=1, largest=False)
        weight = 1.0 - nearest[:, :-1] / nearest[:, -1:].clamp(min=1e-12) + _LEAST_WEIGHT
        return weight / weight.sum(dim=1, keepdim=True), rows[:, :-1]


def decode_draws(
    pipeline: Pipeline, z: Floats, generator: torch.Generator, nearby: NearbyResiduals | None = None
) -> Float64:
    """Return a draw (n, N, D) in Å for each latent point (n, ambient), from p(x|z) or with residuals of near frames."""
    if nearby is None:
        return pipeline.decode(z, generator)
    starts = range(0, len(z), pipeline.chunk)
    parts = [nearby.place(pipeline.parameters(z[i : i + pipeline.chunk]), generator) for i in starts]
    return np.concatenate([np.empty((0, pipeline.n_atoms, pipeline.dimension)), *parts])


def nearby_of(pipeline: Pipeline, geometry: LocalGeometry | None, frames: Floats) -> NearbyResiduals | None:
    """Return the residuals of frames (M, N, D) where a local geometry asks for them, else None."""
    if geometry is None or not geometry.neighbours or len(frames) < 2:
        return None
    return NearbyResiduals.of(pipeline, frames, geometry.neighbours)
