"""What a training with a lag time adds to the ELBO: nats for the VAMP-2 score of the posteriors' means."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trajvae.config import TrainConfig
from trajvae.models.vae import VAE
from trajvae.training.batches import Batches
from trajvae.training.lagged.pairs import LaggedPairs, PairBatches
from trajvae.training.lagged.score import RIDGE, lagged_coordinates, reversible_moments, slowest_combinations, vamp2
from trajvae.training.optimiser import Optimiser
from trajvae.training.state import Weights, copy_weights

SLOWNESS = 25.0  # nats a frame
_FIRST_STEPS, _FIRST_RATE, _FIRST_LOOKS = 300, 2e-3, 50  # of the encoder alone; steps between looks at validation
_FIRST_BATCHES, _MOST_INPUTS, _FIRST_RIDGE = 40, 256, 0.05  # that the first combinations of inputs are found by
_NOISES, _MOST_NOISE = (0.1, 0.03, 0.0), 2.0  # of inputs of pairs, in their deviations: times the root of their number
_SEEN = 0.9  # share of the training pairs' score that is left with the noise, at least
_CLEARLY = 0.02  # of validation scores: by how much less noise may be worse
_MEASURED = 20  # batches that the share is measured on
BATCH, A_COORDINATE = 256, 32  # pairs of a step, and for each coordinate at least: fewer fit each batch's own noise


def settled_slowness(config: TrainConfig) -> float | None:
    """Return the nats that a score of 1 is worth, those given or the default; None without a lag time."""
    return SLOWNESS if config.lag is not None and config.slowness is None else config.slowness


class _Beginning(NamedTuple):
    """Hold an encoder that was trained by the score alone.

    Attributes
    ----------
    noise : float
    score : float
        Of validation pairs.
    seen : float
        Share of the training pairs' score that is left with noise.
    weights : dict of Tensor
    """

    noise: float
    score: float
    seen: float
    weights: Weights


class Slowness:
    """Score the posteriors' means of pairs of frames, while a model trains.

    The encoder may see the training pairs with noise: without it a network can learn by heart which frames follow each
    other, and then pairs of other frames score less. Noise also hides slow motions that are small: it is lowered while
    it hides a tenth of the score, unless validation pairs score less without it.

    Parameters
    ----------
    weight : float
        Nats a frame that a score of 1 is worth.
    data : Batches
    pairs : LaggedPairs
    weights : tuple of Tensor, optional
        Of the training and of the validation frames: a pair counts as its first frame does.
    seed : int
    size : int
        Pairs of a step.
    warmup : int
        Steps over which the share of the ELBO in the objective rises from nothing; see `loss`.
    fresh : bool
        Whether the training begins now, and does not go on from a checkpoint.

    Attributes
    ----------
    noise : float
        Standard deviation of what is added to the inputs of training pairs, over the root of their number; found by
        `begin`.
    """

    def __init__(
        self,
        weight: float,
        data: Batches,
        pairs: LaggedPairs,
        weights: tuple[Tensor | None, Tensor | None] = (None, None),
        seed: int = 0,
        size: int = BATCH,
        warmup: int = 0,
        *,
        fresh: bool = True,
    ) -> None:
        self._fresh, self.noise = fresh, _NOISES[0]
        self._warmup = warmup
        self.weight, self._data = weight, data
        self._batches = PairBatches(data, pairs.training, weights[0], size, seed)
        rows = pairs.validation
        self._first, self._second = (torch.from_numpy(r).to(data.device) for r in (rows.first, rows.second))
        self._weights = None if weights[1] is None else weights[1].to(data.device)[self._first]

    def begin(self, vae: VAE) -> None:
        """Let the encoder find what is slow, by the score alone, before the training begins.

        A score that is quadratic in the correlations of pairs does not lead away from coordinates that are
        uncorrelated in time, such as principal components may be. Networks that would start as these start as the
        slowest combinations of inputs instead, where the latent space is flat. The weights of the highest validation
        score are kept.
        """
        if self.weight == 0.0 or not self._fresh:
            return
        if vae.latent.starts_as_pca:
            vae.encoder.start_linear("loc", vae.latent.dim, self._slowest_inputs(vae.latent.dim))
        start = copy_weights(vae.encoder.state_dict())
        found = self._first_steps(vae, _NOISES[0])
        for noise in _NOISES[1:]:
            if found.seen >= _SEEN:
                break
            vae.encoder.load_state_dict(start)
            tried = self._first_steps(vae, noise)
            if tried.score < found.score - _CLEARLY:
                break  # without so much noise pairs are learned by heart
            found = tried
        self.noise = found.noise
        vae.encoder.load_state_dict(found.weights)
        for p in vae.latent.parameters():
            p.grad = None

    def _first_steps(self, vae: VAE, noise: float) -> _Beginning:
        """Train the encoder by the score alone, and keep the weights with the highest validation score."""
        self.noise = noise
        best, kept = self.validation_score(vae), copy_weights(vae.encoder.state_dict())
        optimiser = Optimiser(list(vae.encoder.parameters()), [], 0.0)
        for step in range(1, _FIRST_STEPS + 1):
            optimiser.step(-self.gain(vae, -step) / self.weight, _FIRST_RATE, 0.0)
            if step % _FIRST_LOOKS == 0 and (score := self.validation_score(vae)) > best:
                best, kept = score, copy_weights(vae.encoder.state_dict())
        optimiser.release()
        vae.encoder.load_state_dict(kept)
        noisy = self._mean_score(vae)
        self.noise = 0.0
        return _Beginning(noise, best, noisy / max(self._mean_score(vae), 1e-9), kept)

    @torch.no_grad()
    def _mean_score(self, vae: VAE) -> float:
        """Score of training pairs with their noise, beyond that of the constant."""
        return float(
            np.mean([float(self.gain(vae, -_FIRST_STEPS - i)) / self.weight - 1.0 for i in range(1, _MEASURED)])
        )

    @torch.no_grad()
    def _slowest_inputs(self, n: int) -> Tensor:
        """Combinations of the first inputs, (n, C), of variance 1, that are most correlated in time."""
        batches = [self._batches.batch(-1 - step) for step in range(_FIRST_BATCHES)]
        first = torch.cat([pair.first[:, :_MOST_INPUTS] for pair in batches])
        second = torch.cat([pair.second[:, :_MOST_INPUTS] for pair in batches])
        known = [pair.weights for pair in batches if pair.weights is not None]
        counts = torch.cat(known) if known else None
        _, covariance, lagged = reversible_moments(first, second, counts)
        return slowest_combinations(covariance, lagged, n, _FIRST_RIDGE)

    def loss(self, vae: VAE, loss: Tensor, step: int) -> Tensor:
        """Return the loss of a step, that of the ELBO less what the score is worth, in nats a frame.

        At first the score is nearly alone, until the decoder has learned what the encoder found.
        """
        if self.weight == 0.0:
            return loss
        share = min(1.0, (step + 1) / max(1, self._warmup)) ** 3
        return share * loss - self.gain(vae, step)

    def gain(self, vae: VAE, step: int) -> Tensor:
        """Return what the pairs of a step add to the objective, a scalar in nats a frame with its gradient."""
        batch = self._batches.batch(step)
        inputs = torch.cat([batch.first, batch.second])
        noise = torch.randn(inputs.shape, generator=self._batches.generator(step, 2))
        size = min(_MOST_NOISE, self.noise * inputs.shape[1] ** 0.5)
        means = self._means(vae, inputs + size * noise.to(inputs))
        n = len(batch.first)
        return self.weight * vamp2(means[:n], means[n:], batch.weights, RIDGE)

    @torch.no_grad()
    def validation_score(self, vae: VAE) -> float:
        """Return the VAMP-2 score of the validation frames' pairs."""
        chunks = self._data.chunks(vae.latent.rows_at_once, validation=True)
        means = torch.cat([self._means(vae, batch.inputs) for batch in chunks])
        return float(vamp2(means[self._first], means[self._second], self._weights))

    def _means(self, vae: VAE, inputs: Tensor) -> Tensor:
        """Coordinates of the posteriors' means."""
        return lagged_coordinates(vae.latent.manifold, vae.latent.mean(vae.encode(inputs)))
