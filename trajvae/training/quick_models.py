"""Normal models of a molecule's conformations that cost no training, and how right their draws are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trajvae.features import Features, FittingData
from trajvae.local_geometry import LocalGeometry
from trajvae.models.draws.draw_judge import DrawJudge, Judgement
from trajvae.models.draws.geometry_fit import walls_of
from trajvae.molecule.validity import Validity
from trajvae.typing import Float64, Floats

_DRAWS = 400  # that are judged; giving them local geometry takes most of the time


class Judge:
    """Compare draws with training frames, after what `generate` does to draws of their kind.

    Parameters
    ----------
    data : FittingData
    """

    def __init__(self, data: FittingData) -> None:
        self._frames = data.frames
        self.validity = Validity.fit(data.frames, data.topology)
        self._judge = DrawJudge(data.frames, data.topology, self.validity)

    def judge(self, features: Features) -> Judgement:
        """Judge draws of a normal distribution of features."""
        drawn = quick_draws(features, self._frames, _DRAWS)
        if features.kind == "cartesian" and len(self.validity.bonds):
            drawn = self._with_local_geometry(drawn)
        return self._judge.judge(drawn)

    def _with_local_geometry(self, drawn: Float64) -> Float64:
        """Bonds are not held against Cartesian draws: they are given the simulation's, as `generate` does."""
        geometry = LocalGeometry.fit(self.validity.bonds, self._frames, drawn, walls_of(self.validity))
        return geometry.restore(drawn)


def quick_draws(features: Features, frames: Floats, n: int) -> Float64:
    """Draw conformations (n, N, D) from the normal distribution of linear targets, angular ones resampled alone.

    There are as many draws as frames (T, N, D) at most.
    """
    generator = torch.Generator().manual_seed(0)
    targets = features.targets(torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float64)))
    linear, angular = targets[:, : features.n_linear], targets[:, features.n_linear :]
    mean, n_frames = linear.mean(dim=0), len(linear)
    n = min(n, n_frames)
    weights = torch.randn(n, n_frames, generator=generator, dtype=torch.float64) / max(n_frames - 1, 1) ** 0.5
    drawn = mean + weights @ (linear - mean)
    columns: list[Tensor] = [column[torch.randint(n_frames, (n,), generator=generator)] for column in angular.T]
    return np.asarray(features.positions(torch.cat([drawn, *(c[:, None] for c in columns)], dim=1)).numpy())
