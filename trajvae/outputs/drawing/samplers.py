"""Where new latent points come from. A new sampler is one class and one line in `SAMPLERS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.figures import SamplerFigures
from trajvae.frame_weights.weights import equivalent_of, equivalent_places
from trajvae.geometry.monte_carlo import LogDensity, Walk, effective_sample_size
from trajvae.models.aggregate import AggregatePosterior
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.models.sample_measures import GAP
from trajvae.outputs.searching.latent_metrics import posterior_metric
from trajvae.runtime.seeds import seed_of_batch
from trajvae.typing import AnyArray, Float64

_CHAINS, _ITERATIONS = 100, 10  # at most, and at least: autocorrelations want some length
_BURN_IN, _LEAPS = 200, 15
_WIDTH = 2.0  # of the metric's kernels, in units of the centroids' spacing


class WalkFigures(NamedTuple):
    """Hold how well a sampler walks.

    Attributes
    ----------
    acceptance : float
        Share of accepted moves, from 0 to 1.
    effective : float
        Number of independent points that the drawn ones are worth.
    """

    acceptance: float
    effective: float


class Sampler(Protocol):
    """Draw latent points in batches, each with a generator of its own."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the next n points, (n, ambient)."""

    def walk_figures(self, n: int) -> WalkFigures | None:
        """Return how well n points were drawn by a walk; None of a sampler whose points are independent."""


class PriorSampler:
    """Draw latent points from the prior."""

    def __init__(self, pipeline: Pipeline, record: TrainingRecord) -> None:
        self.latent = pipeline.vae.latent

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points from the prior, (n, ambient)."""
        return self.latent.prior_sample(n, generator)

    def walk_figures(self, n: int) -> WalkFigures | None:
        """Return None: the points are independent."""
        return None


class AggregateSampler:
    """Draw latent points from posteriors of training frames, taken at random from those that the model keeps.

    On flat latent spaces posteriors that are narrow and few are widened; see `AggregatePosterior`. Of frames with
    weights those are taken that stand for all, as many as the effective number.
    """

    def __init__(self, pipeline: Pipeline, record: TrainingRecord) -> None:
        # held-out frames judge what is drawn: none may be drawn from
        trained = record.parts.training[record.sample_index]
        kept = equivalent_places(record.frame_weights, record.sample_index, trained)
        judges = record.latent[equivalent_of(record.frame_weights, record.parts.validation)]
        self.posterior = AggregatePosterior(pipeline, record.sample[kept], judges)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points, each from the posterior of a random training frame, (n, ambient)."""
        return self.posterior.draw(n, generator)

    def walk_figures(self, n: int) -> WalkFigures | None:
        """Return None: the points are independent."""
        return None


class MetricSampler:
    """Draw latent points by Hamiltonian Monte Carlo on the metric's volume, sqrt(det G^-1), high where posteriors are.

    That volume alone has a flat tail and no finite integral: it stands under a Gaussian envelope with the mean and the
    covariance of the training latents. One set of chains goes on from batch to batch; how much of it is independent is
    found of the first, since autocorrelations of all would cost the square of their length.

    Raises
    ------
    OptionError
        The latent space is curved.
    """

    def __init__(self, pipeline: Pipeline, record: TrainingRecord) -> None:
        known = record.latent[equivalent_of(record.frame_weights, record.parts.training)]
        self.known = torch.from_numpy(known).to(pipeline.device)
        self.scale = 0.3 * self.known.var(dim=0).sqrt()
        self.log_density = _under_envelope(pipeline, record, self.known)
        self.walk: Walk | None = None
        self.independent, self.accepted, self.iterations = 1.0, 0.0, 0

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points by continuing the chains, (n, ambient)."""
        first = self.walk is None
        if self.walk is None:
            rows = torch.randint(len(self.known), (min(_CHAINS, n),), generator=generator, device=self.known.device)
            self.walk = Walk(self.log_density, self.known[rows], self.scale, _LEAPS)
            self.walk.run(_BURN_IN, generator, tune=True)
        iterations = max(_ITERATIONS if first else 1, -(-n // len(self.walk.z)))
        samples, acceptance = self.walk.run(iterations, generator)
        self.accepted, self.iterations = self.accepted + acceptance * iterations, self.iterations + iterations
        if first:
            self.independent = min(1.0, effective_sample_size(samples) / samples[..., 0].numel())
        return samples.flatten(0, 1)[-n:]

    def walk_figures(self, n: int) -> WalkFigures | None:
        """Return the share of accepted moves, and the effective sample size of n points."""
        return WalkFigures(self.accepted / max(self.iterations, 1), n * self.independent)


def _under_envelope(pipeline: Pipeline, record: TrainingRecord, known: Tensor) -> LogDensity:
    """The log density that `MetricSampler` draws from, with its gradient."""
    wanted = "sampler 'metric' needs a flat latent space: use prior or aggregate"
    metric = posterior_metric(pipeline, record, _WIDTH, wanted)
    mean, covariance = known.mean(dim=0), known.T.cov().view(known.shape[1], -1)
    precision = torch.linalg.inv(covariance + 1e-9 * covariance.diagonal().mean() * torch.eye(len(mean)).to(known))
    rest = torch.zeros_like(mean)

    def log_density(z: Tensor) -> tuple[Tensor, Tensor]:
        """Volume and envelope."""
        off = z - mean
        pull = off @ precision
        volume = -0.5 * metric.log_det(z)
        return volume - 0.5 * (off * pull).sum(dim=-1), -0.5 * metric.gradients(z, rest.expand_as(z))[0] - pull

    return log_density


SAMPLERS: dict[str, Callable[[Pipeline, TrainingRecord], Sampler]] = {
    "prior": PriorSampler,
    "aggregate": AggregateSampler,
    "metric": MetricSampler,
}


def resolve_sampler(record: TrainingRecord, name: str) -> str:
    """Return the sampler that `auto` stands for: the prior, unless the frames' posteriors together differ from it.

    Where frames are few, or run along a curve, they leave most of the prior empty, and what a decoder makes of empty
    places is anybody's guess.

    Parameters
    ----------
    record : TrainingRecord
        Whose figures say by how many nats prior and posteriors differ.
    name : str
        `auto`, or a sampler, which is given back.
    """
    if name != "auto":
        return name
    return "aggregate" if (record.figures.prior_gap or 0.0) > GAP else "prior"


class LatentBatch(NamedTuple):
    """Hold latent points, and what goes on to draw x at them; another process can use it.

    Attributes
    ----------
    points : ndarray, shape (n, ambient)
    state : ndarray of uint8
        Of the generator that the points were drawn by.
    """

    points: Float64
    state: AnyArray

    def generator(self, device: torch.device) -> torch.Generator:
        """Return a generator in that state."""
        generator = torch.Generator(device)
        generator.set_state(torch.from_numpy(self.state))
        return generator


class LatentStream:
    """Draw latent points in batches that a seed decides.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    name : str
        Of the sampler; `auto` is none.
    seed : int
    points : Sampler, optional
        What gives latent points instead of the sampler of that name.

    Raises
    ------
    OptionError
        No such sampler, or none for this latent space.

    Notes
    -----
    Batches are as many as the pipeline works on at once, and each has a generator of its own, which goes on to draw x:
    what a batch holds depends on the seed and its number, not on how many there are.
    """

    def __init__(
        self, pipeline: Pipeline, record: TrainingRecord, name: str, seed: int, points: Sampler | None = None
    ) -> None:
        if points is None:
            check_choice(name, SAMPLERS, "sampler", also=" and auto")
        self.name, self.seed, self.batches = name, seed, 0
        self.chunk, self.device = pipeline.chunk, pipeline.device
        with torch.no_grad():
            self.sampler = SAMPLERS[name](pipeline, record) if points is None else points

    def next(self, n: int) -> LatentBatch:
        """Draw the next n points, and return them with the generator's present state."""
        generator = torch.Generator(self.device).manual_seed(seed_of_batch(self.seed, self.batches))
        self.batches += 1
        with torch.no_grad():
            drawn = self.sampler.draw(n, generator)
        points = np.asarray(drawn.double().cpu().numpy(), dtype=np.float64)
        return LatentBatch(points, generator.get_state().numpy())

    def figures(self, n: int) -> SamplerFigures:
        """Return the sampler's name and its figures after n points."""
        walk = self.sampler.walk_figures(n)
        if walk is None:
            return SamplerFigures(sampler=self.name)
        return SamplerFigures(sampler=self.name, acceptance=walk.acceptance, effective_sample_size=walk.effective)
