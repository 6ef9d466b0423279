"""Where new latent points come from. A new sampler is one function and one line in `SAMPLERS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.geometry.monte_carlo import Plan, effective_sample_size, hamiltonian_monte_carlo
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import Record
from trajvae.outputs.centroids import posterior_metric

Sampler = Callable[[Pipeline, Record, int, torch.Generator], tuple[Tensor, dict[str, Any]]]

_CHAINS, _ITERATIONS = 100, 10  # at most, and at least: autocorrelations want some length
_GAP = 0.7  # nats between aggregated posterior and prior above which `auto` takes the former
_WIDTH = 2.0  # of the metric's kernels, in units of the centroids' spacing


def from_prior(pipeline: Pipeline, record: Record, n: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
    """Draws from the prior."""
    return pipeline.vae.latent.prior_sample(n, generator), {}


def from_aggregate(
    pipeline: Pipeline, record: Record, n: int, generator: torch.Generator
) -> tuple[Tensor, dict[str, Any]]:
    """Draws from the posteriors of frames that are taken at random from those that the model keeps."""
    rows = torch.randint(len(record.sample), (n,), generator=generator, device=pipeline.device).cpu().numpy()
    parts = [rows[i : i + pipeline.chunk] for i in range(0, n, pipeline.chunk)]
    return torch.cat([pipeline.posterior_sample(record.sample[part], generator) for part in parts]), {}


def from_metric(
    pipeline: Pipeline, record: Record, n: int, generator: torch.Generator
) -> tuple[Tensor, dict[str, Any]]:
    """Hamiltonian Monte Carlo on the metric's volume, sqrt(det G^-1), which is high where posteriors are.

    That volume alone has a flat tail and no finite integral: it stands under a Gaussian envelope with the mean and the
    covariance of the training latents.
    """
    wanted = "sampler 'metric' needs a flat latent space: use prior or aggregate"
    metric = posterior_metric(pipeline, record, _WIDTH, wanted)
    known = torch.from_numpy(record.latent).to(pipeline.device)
    mean, covariance = known.mean(dim=0), known.T.cov().view(known.shape[1], -1)
    precision = torch.linalg.inv(covariance + 1e-9 * covariance.diagonal().mean() * torch.eye(len(mean)).to(known))
    rest = torch.zeros_like(mean)

    def log_density(z: Tensor) -> tuple[Tensor, Tensor]:
        """Volume and envelope, with the gradient."""
        off = z - mean
        pull = off @ precision
        volume = -0.5 * metric.log_det(z)
        return volume - 0.5 * (off * pull).sum(dim=-1), -0.5 * metric.gradients(z, rest.expand_as(z))[0] - pull

    chains = min(_CHAINS, n)
    start = known[torch.randint(len(known), (chains,), generator=generator, device=known.device)]
    plan = Plan(iterations=max(_ITERATIONS, -(-n // chains)))
    scale = 0.3 * covariance.diagonal().sqrt()
    samples, acceptance = hamiltonian_monte_carlo(log_density, start, scale, plan, generator)
    independent = min(1.0, effective_sample_size(samples) / samples[..., 0].numel())
    figures = {"acceptance": acceptance, "effective_sample_size": n * independent}
    return samples.flatten(0, 1)[-n:], figures


SAMPLERS: dict[str, Sampler] = {"prior": from_prior, "aggregate": from_aggregate, "metric": from_metric}


def settle(record: Record, name: str) -> str:
    """The sampler that `auto` stands for: the prior, unless the frames' posteriors together are something else.

    Where frames are few, or run along a curve, they leave most of the prior empty, and what a decoder makes of empty
    places is anybody's guess.

    Parameters
    ----------
    record : Record
        Whose figures say by how many nats prior and posteriors differ.
    name : str
        `auto`, or a sampler, which is given back.
    """
    if name != "auto":
        return name
    return "aggregate" if (record.figures.get("prior_gap") or 0.0) > _GAP else "prior"


def sample(
    pipeline: Pipeline, record: Record, n: int, name: str, generator: torch.Generator
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Latent points (n, ambient), and what the sampler says of itself.

    Raises
    ------
    OptionError
        No such sampler, or none for this latent space.
    """
    if name not in SAMPLERS:
        raise OptionError(f"no sampler '{name}'; there are auto, {', '.join(SAMPLERS)}")
    with torch.no_grad():
        drawn, figures = SAMPLERS[name](pipeline, record, n, generator)
    return np.asarray(drawn.double().cpu().numpy(), dtype=np.float64), {"sampler": name, **figures}
