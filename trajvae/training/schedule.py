"""The schedule of a training: number of epochs, batch size, learning rate, warm-up and early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trajvae.config import TrainConfig
from trajvae.likelihoods.base import Likelihood

WARMUP, PATIENCE = 1600, 1600  # optimiser steps
LEAST_PATIENCE = 400  # optimiser steps
_EVALUATIONS = 200  # of the validation frames in a training, about
_SHARE = 0.2  # of a training that warm-up and patience take at most, if it is short
_PATIENCE_EPOCHS = 4  # without a better ELBO, at least, if an epoch has many steps


@dataclass(frozen=True)
class Schedule:
    """Set how long and how fast to train.

    Attributes
    ----------
    epochs : int
        Greatest number of epochs; early stopping may end the training before.
    batch_size : int
    beta : float
        Weight of the KL in the loss after the warm-up.
    warmup : int
        Optimiser steps over which the KL's weight rises from 0.
    free_bits : float
        Nats of the KL, divided evenly among the parts of the latent space, below which it does not count in the loss.
    structure : tuple of float
        Between these fractions of the epochs the likelihood's covariance changes from spherical to its own structure;
        early stopping waits for the second one.
    learning_rate : float
        Highest learning rate; it rises over the first twentieth of the steps and falls as a cosine.
    weight_decay : float
    patience : int
        Optimiser steps without a better ELBO of the validation frames after which the training ends.
    seed : int
        Seed of all random numbers.
    """

    epochs: int
    batch_size: int
    beta: float = 1.0
    warmup: int = WARMUP
    free_bits: float = 0.0
    structure: tuple[float, float] = (0.3, 0.6)
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    patience: int = PATIENCE
    seed: int = 0

    def due(self, epoch: int) -> bool:
        """Return whether to evaluate the model after an epoch: about 200 times in all, and more often at first."""
        every = max(1, self.epochs // _EVALUATIONS)
        return epoch < every or epoch % every == 0 or epoch == self.epochs

    def structure_at(self, epoch: int) -> float:
        """Return how far the covariance has changed from spherical (0) to its own structure (1)."""
        first, last = self.structure
        return min(1.0, max(0.0, (epoch / self.epochs - first) / (last - first)))


def learning_rate_share(step: int, steps: int) -> float:
    """Return the learning rate of a step over the highest one: it rises linearly, then falls as a cosine."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def default_decay(n_train: int) -> float:
    """Return the weight decay that counts as much as about 30 frames.

    The loss is a mean over frames, so that a weight decay that counts as much as a fixed number of frames falls as one
    over their number. Without weight decay the decoder of a model of a hundred frames is inaccurate between them.
    """
    return float(np.clip(30.0 / n_train, 0.01, 0.5))


def default_batch(n_train: int) -> int:
    """Return a batch size between 16 and 128, with about 20 batches an epoch or more if possible."""
    return int(np.clip(2 ** round(math.log2(max(n_train / 20, 1))), 16, 128))


def default_epochs(n_train: int, batch_size: int, steps: int = 8000) -> int:
    """Return the number of epochs, between 20 and 2000, with about `steps` optimiser steps in all."""
    return int(np.clip(steps // max(1, -(-n_train // batch_size)), 20, 2000))


def default_warmup(steps: int, share: float, usual: int) -> int:
    """Return the number of optimiser steps over which the KL's weight rises.

    Parameters
    ----------
    steps : int
        Steps of the whole training.
    share : float
        Fraction of a training that the likelihood asks for.
    usual : int
        Steps of a usual training, of which the fraction is taken if this one is longer.
    """
    return max(1, round(max(min(WARMUP, _SHARE * steps), share * min(usual, steps))))


def default_patience(epochs: int, batches: int) -> int:
    """Return the number of optimiser steps without a better ELBO after which a training ends."""
    return round(min(max(PATIENCE, _PATIENCE_EPOCHS * batches), max(LEAST_PATIENCE, _SHARE * epochs * batches)))


def schedule_of(config: TrainConfig, likelihood: Likelihood, n_train: int) -> Schedule:
    """Return the schedule that follows from the options, the likelihood and the number of training frames."""
    batch = min(config.batch_size or default_batch(n_train), n_train)
    epochs = config.epochs or default_epochs(n_train, batch, likelihood.steps)
    batches = max(1, -(-n_train // batch))
    return Schedule(
        epochs,
        batch,
        beta=config.beta,
        warmup=default_warmup(epochs * batches, likelihood.warmup, likelihood.steps),
        patience=default_patience(epochs, batches),
        free_bits=likelihood.free_bits if config.free_bits is None else config.free_bits,
        weight_decay=default_decay(n_train),
        seed=config.seed,
    )
