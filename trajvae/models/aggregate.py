"""Draws of latent points where the frames are: from posteriors of training frames, widened where these are too few."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.models.pipeline import Pipeline
from trajvae.typing import Floats

_SHARES = (0.0, 0.125, 0.25, 0.5, 1.0)  # of the widening by the rule, from which validation frames choose
_FEWEST = 10  # validation frames that choose; fewer leave it to the rule


class Widening(NamedTuple):
    """Hold what widens the distribution of all posteriors without changing its mean and its covariance.

    Attributes
    ----------
    mean : Tensor, shape (dim,)
    root : Tensor, shape (dim, dim)
        Cholesky factor of the covariance.
    share : float
        Share of the variance, from 0 to 1, that is taken from the points' own and added as normal noise.
    """

    mean: Tensor
    root: Tensor
    share: float

    def apply(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Return points (n, dim) moved towards the mean, with noise that makes up for the variance they lose.

        References
        ----------
        B. W. Silverman, Density Estimation for Statistics and Data Analysis (1986), sec. 6.4.1.
        """
        if not self.share:
            return z
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device) @ self.root.T.to(z)
        mean = self.mean.to(z)
        return mean + math.sqrt(1.0 - self.share) * (z - mean) + math.sqrt(self.share) * noise


def widening(mean: Tensor, scale: Tensor, judges: Tensor, generator: torch.Generator) -> Widening:
    """Return the widening of normal posteriors, of which there are so few that they leave gaps between them.

    Kernels are as wide as the rule for normal distributions says, or less: as wide as suits the judges.

    Parameters
    ----------
    mean, scale : Tensor of float64, shape (n, dim)
        Of the posteriors.
    judges : Tensor of float64, shape (m, dim)
        Means of the posteriors of frames that are none of these.
    generator : torch.Generator

    References
    ----------
    B. W. Silverman, Density Estimation for Statistics and Data Analysis (1986), eq. 4.14: the rule.
    """
    n, dim = mean.shape
    centre, width = mean.mean(dim=0), scale.square().mean(dim=0)
    if n <= dim:
        return Widening(centre, torch.eye(dim).to(mean), 0.0)
    root = torch.linalg.cholesky(mean.T.cov().reshape(dim, dim) + width.diag())
    own = float(torch.linalg.solve_triangular(root, width.sqrt().diag(), upper=False).square().sum()) / dim
    rule = (4.0 / ((dim + 2.0) * n)) ** (2.0 / (dim + 4.0))  # variance of a kernel, of a distribution of variance 1
    most = min(max((rule - own) / max(1.0 - own, 1e-12), 0.0), 1.0)
    if not most or len(judges) < _FEWEST:
        return Widening(centre, root, most)
    points, others = (torch.linalg.solve_triangular(root, (x - centre).T, upper=False).T for x in (mean, judges))
    others = others + math.sqrt(own) * torch.randn(others.shape, generator=generator, dtype=others.dtype).to(others)
    found = [_log_density(points, others, own, share * most) for share in _SHARES]
    return Widening(centre, root, _SHARES[max(range(len(found)), key=found.__getitem__)] * most)


def _log_density(points: Tensor, judges: Tensor, own: float, share: float) -> float:
    """Mean log density at the judges, up to a constant, of normal kernels at points that are moved to the mean."""
    variance = own + share * (1.0 - own)
    square = torch.cdist(judges, math.sqrt(1.0 - share) * points).square()
    sums = torch.logsumexp(-0.5 * square / variance, dim=1)
    return float(sums.mean()) - 0.5 * points.shape[1] * math.log(variance)


class AggregatePosterior:
    """Draw latent points from the posteriors of all training frames together.

    On flat latent spaces these are widened where they are narrow and few: points would lie beside the very frames that
    the networks were fitted to, and what they decode to would be near copies of these.

    Parameters
    ----------
    pipeline : Pipeline
    frames : ndarray, shape (T, N, D)
        Training frames.
    judges : ndarray, shape (V, ambient)
        Latent points of validation frames.
    """

    def __init__(self, pipeline: Pipeline, frames: Floats, judges: Floats) -> None:
        self.pipeline, self.vae = pipeline, pipeline.vae
        exact = pipeline.targets(pipeline.alignment.apply(frames))
        self.inputs, self.targets = self.vae.features.inputs(exact).float(), exact.float()
        self.widening = self._widening(judges) if self.vae.latent.manifold.flat else None

    def _widening(self, judges: Floats) -> Widening:
        latent = self.vae.latent
        encoded = [self.vae.encode(x) for x in torch.split(self.inputs, latent.rows_at_once)]
        mean, scale = (torch.cat([of(params) for params in encoded]).double() for of in (latent.mean, latent.scale))
        generator = torch.Generator(self.pipeline.device).manual_seed(0)
        return widening(mean, scale, torch.from_numpy(judges).to(mean), generator)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points, each from the posterior of a random frame, (n, ambient)."""
        rows = torch.randint(len(self.inputs), (n,), generator=generator, device=self.pipeline.device)
        parts = torch.split(rows, self.pipeline.chunk)
        z = torch.cat([self.vae.posterior_sample(self.inputs[k], self.targets[k], generator) for k in parts])
        return z if self.widening is None else self.widening.apply(z, generator)
