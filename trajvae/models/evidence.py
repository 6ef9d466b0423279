"""How probable a model finds frames: the ELBO, and tighter bounds by importance weighting."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.geometry.entropy import entropy, normal_entropy
from trajvae.latents import Latent
from trajvae.models.pipeline import Pipeline
from trajvae.typing import Float64, Floats

_NOTHING = 0.05  # nats
_NEIGHBOURS = 5
_OWN = 0.1  # mean share of a frame's own posterior in the mixture at its draw, above which the mixture is too few
_FEWEST, _PER_DIMENSION = 20, 4  # frames that entropies by nearest neighbours take
_ACTIVE = 0.01  # variance of a posterior's mean over frames, in tangent coordinates, above which it says something


class Evidence(NamedTuple):
    """Hold bounds of frames' log-likelihoods in nats, each frame's on its own.

    Attributes
    ----------
    elbo : ndarray, shape (T,)
    bounds : ndarray, shape (T, len(sizes))
        Importance-weighted, by groups of so many draws.
    sizes : tuple of int
        1, 10, 100, ..., and all draws; each divides the next, so that no bound falls.
    effective : ndarray, shape (T,)
        Effective number of draws, (sum w)^2 / sum w^2.
    """

    elbo: Float64
    bounds: Float64
    sizes: tuple[int, ...]
    effective: Float64

    @property
    def iwae(self) -> Float64:
        """Tightest bound of each frame in nats, (T,)."""
        return self.bounds[:, -1]


def active_units(pipeline: Pipeline, latent: Float64, kl: Float64) -> int:
    """Return the number of intrinsic dimensions in which latent points (T, ambient) of frames vary.

    None do where the whole divergence kl (T, parts) is nothing: a posterior that is the prior may have a centre that
    wanders, as on spheres and under a group action.

    References
    ----------
    Y. Burda, R. Grosse, R. Salakhutdinov, arXiv:1509.00519, sec. 5.2; here in tangent coordinates.
    """
    if kl.sum(axis=1).mean() < _NOTHING:
        return 0
    return int((pipeline.tangent(latent).var(axis=0) > _ACTIVE).sum())


@torch.no_grad()
def mutual_information(pipeline: Pipeline, positions: Floats, seed: int = 0) -> float:
    """Return the mutual information of frames (T, N, D) and their latent points, in nats.

    The mean of log q(z|x) - log mean q(z|x') over draws of each frame's posterior, x' all the frames. That mean cannot
    be above log T, and is low where posteriors are so narrow that each frame's own is most of the mixture. There, on
    flat latent spaces, it is the entropy of the draws by nearest neighbours less the mean entropy of the posteriors:
    within a few per cent for 1000 independent frames and up to eight dimensions. On curved latent spaces, and for fewer
    than 20 frames or 4 a dimension, log T stays the limit; posteriors are taken as isotropic normal distributions of
    the distance there; RHVAE's as before their flow.

    References
    ----------
    M. Hoffman, M. Johnson, NeurIPS workshop on approximate inference 2016: the ELBO's divergence is this, and that of
    the posteriors together from the prior.
    """
    latent = pipeline.vae.latent
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    inputs = pipeline.vae.features.inputs(pipeline.targets(pipeline.alignment.apply(positions))).float()
    params = pipeline.vae.encode(inputs)
    mean, scale = latent.mean(params).double(), latent.scale(params).double().clamp(min=1e-6)
    z = pipeline.posterior_sample(positions, generator).double()
    flat = latent.manifold.flat
    if flat:
        square = torch.stack([((row - mean) / scale).square().sum(dim=-1) for row in z])
    else:
        square = (latent.manifold.pairwise_distance(z, mean) / scale.log().mean(dim=-1).exp()).square()
    log_q = -0.5 * square - scale.log().sum(dim=-1)
    told = log_q.diagonal() - torch.logsumexp(log_q, dim=1)
    if flat and _smooth(z) and float(told.exp().mean()) > _OWN:
        own = scale.log().sum(dim=-1).mean() + 0.5 * latent.dim * math.log(2.0 * math.pi * math.e)
        return max(0.0, entropy(z, generator) - float(own))
    return float((told + math.log(len(z))).mean().clamp(min=0.0))


def _smooth(z: Tensor) -> bool:
    """Whether draws (T, dim) are enough for their entropy."""
    return len(z) >= max(_FEWEST, _PER_DIMENSION * z.shape[1])


@torch.no_grad()
def prior_gap(pipeline: Pipeline, positions: Floats, seed: int = 0) -> float:
    """Return the divergence in nats of the posteriors together from the prior, by one draw of each frame's (T, N, D).

    On flat latent spaces the mean log density of the prior at the draws, and their entropy by nearest neighbours:
    within a few per cent for 1000 independent frames and up to eight dimensions; frames of a slow simulation, which are
    alike, stand for fewer. On curved ones, and for fewer than 20 frames or 4 a dimension, distances to the k-th nearest
    of the other draws and of as many draws of the prior stand for the densities, less what the same estimator finds
    between two sets of draws of the prior; it is low for large divergences in many dimensions. On flat ones it is never
    below what the first two moments of the draws say: no distribution has a higher entropy than the normal one of its
    covariance.

    References
    ----------
    Q. Wang, S. Kulkarni, S. Verdu, IEEE Trans. Inf. Theory 55, 2392 (2009), eq. 5.
    """
    latent, generator = pipeline.vae.latent, torch.Generator(pipeline.device).manual_seed(seed)
    z = pipeline.posterior_sample(positions, generator).double()
    bound = moment_bound(latent, z)
    if latent.manifold.flat and _smooth(z):
        return max(bound, -float(latent.log_prior(z).mean()) - entropy(z, generator))
    prior, twin = (latent.prior_sample(len(z), generator).double() for _ in range(2))
    return max(bound, _neighbours_gap(latent, z, prior) - _neighbours_gap(latent, twin, prior))


def moment_bound(latent: Latent, z: Tensor) -> float:
    """Return the least divergence in nats from the prior that points (n, dim) of these moments can have, 0 or more.

    Their entropy is at most that of the normal distribution of their covariance, which is estimated without bias. It is
    0 on curved latent spaces, and for points that are too few to span the space.
    """
    if not latent.manifold.flat or len(z) <= z.shape[1] + 1:
        return 0.0
    return max(0.0, -float(latent.log_prior(z).mean()) - normal_entropy(z))


def _neighbours_gap(latent: Latent, z: Tensor, prior: Tensor) -> float:
    """Divergence of one set of points from as many others, by distances to the k-th nearest."""
    k = min(_NEIGHBOURS, len(z) - 1)
    own = latent.manifold.pairwise_distance(z, z).topk(k + 1, dim=1, largest=False).values[:, -1].clamp(min=1e-12)
    other = latent.manifold.pairwise_distance(z, prior).topk(k, dim=1, largest=False).values[:, -1].clamp(min=1e-12)
    return float(latent.dim * (other / own).log().mean()) + math.log(len(z) / max(len(z) - 1, 1))


def group_sizes(draws: int) -> tuple[int, ...]:
    """Return the powers of ten that divide the number of draws, and that number."""
    powers = [10**i for i in range(len(str(draws))) if draws % 10**i == 0 and 10**i < draws]
    return (*powers, draws)


def nested_bounds(log_weights: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the means over groups of log mean w in each, (T, K) to (T, len(sizes)); larger groups join smaller ones.

    References
    ----------
    Y. Burda, R. Grosse, R. Salakhutdinov, arXiv:1509.00519, theorem 1: no larger group has a lower mean.
    """
    means = [
        (torch.logsumexp(log_weights.view(len(log_weights), -1, k), dim=-1) - math.log(k)).mean(dim=-1) for k in sizes
    ]
    return torch.stack(means, dim=-1)


def effective_draws(log_weights: Tensor) -> Tensor:
    """Return (sum w)^2 / sum w^2 of each row, (T, K) to (T,)."""
    return torch.exp(2.0 * torch.logsumexp(log_weights, dim=-1) - torch.logsumexp(2.0 * log_weights, dim=-1))


@torch.no_grad()
def evidence(pipeline: Pipeline, positions: Floats, draws: int, seed: int = 0) -> Evidence:
    """Return bounds of frames (T, N, D), by `draws` draws from each frame's posterior, a few frames at once."""
    vae, sizes = pipeline.vae, group_sizes(draws)
    exact = pipeline.targets(pipeline.alignment.apply(positions))
    inputs, targets = vae.features.inputs(exact).float(), exact.float()
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    rows = max(1, vae.latent.rows_at_once // draws)
    parts = []
    for x, y in zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True):
        weights = vae.log_weights(x, y, draws, generator).double()
        parts.append(
            torch.cat(
                [weights.mean(dim=1)[:, None], nested_bounds(weights, sizes), effective_draws(weights)[:, None]], 1
            )
        )
    table = torch.cat(parts).cpu().numpy()
    return Evidence(table[:, 0], table[:, 1:-1], sizes, table[:, -1])
