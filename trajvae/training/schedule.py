"""How long and how fast to train."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trajvae.config import TrainConfig
from trajvae.likelihoods.base import Likelihood

WARMUP, PATIENCE = 1600, 1600  # optimiser steps, at most; a fifth of a shorter training
LEAST_PATIENCE = 400  # optimiser steps
_SHARE = 0.2
_EPOCHS = 4  # without a better ELBO, at least, where an epoch is long


@dataclass(frozen=True)
class Schedule:
    """Set how to train.

    Attributes
    ----------
    epochs : int
        At most; early stopping may end it before.
    batch_size : int
    beta : float
        Weight of the KL after its warm-up.
    warmup : int
        Optimiser steps over which the KL's weight rises from 0.
    free_bits : float
        Nats of the KL, shared out evenly among its parts, below which it costs nothing.
    structure : tuple of float
        Between these shares of the epochs the likelihood's covariance goes from spherical to its own structure; early
        stopping counts from the second on.
    learning_rate : float
        At its highest; it rises over the first twentieth and falls as a cosine.
    patience : int
        Optimiser steps without a better ELBO of the validation frames after which training ends.
    seed : int
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


def default_decay(n_train: int) -> float:
    """Return a weight decay that keeps the weights of a model of few frames small: about the weight of 30 frames.

    The loss is a mean over frames, so a prior on weights that is worth a fixed number of frames falls as one over their
    number. Without it a decoder of a hundred frames is off between them.
    """
    return float(np.clip(30.0 / n_train, 0.01, 0.5))


def default_batch(n_train: int) -> int:
    """Return a batch size between 16 and 128 that leaves about 20 batches an epoch or more."""
    return int(np.clip(2 ** round(math.log2(max(n_train / 20, 1))), 16, 128))


def default_epochs(n_train: int, batch_size: int, steps: int = 8000) -> int:
    """Return the number of epochs that make about `steps` optimiser steps, between 20 and 2000."""
    return int(np.clip(steps // max(1, -(-n_train // batch_size)), 20, 2000))


def default_warmup(steps: int, share: float, usual: int) -> int:
    """Return the number of optimiser steps over which the KL's weight rises.

    Parameters
    ----------
    steps : int
        Of the whole training.
    share : float
        That the likelihood asks for, of a training of the usual number of steps, and at most of this one.
    usual : int
    """
    return max(1, round(max(min(WARMUP, _SHARE * steps), share * min(usual, steps))))


def default_patience(epochs: int, batches: int) -> int:
    """Return the number of optimiser steps without a better ELBO after which a training ends."""
    return round(min(max(PATIENCE, _EPOCHS * batches), max(LEAST_PATIENCE, _SHARE * epochs * batches)))


def schedule_of(config: TrainConfig, likelihood: Likelihood, n_train: int) -> Schedule:
    """Return how to train, by the options, the likelihood and the number of training frames."""
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
