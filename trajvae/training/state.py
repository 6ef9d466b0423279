"""The state of a training: its history, and all that it goes on from after a stop."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from trajvae.typing import AnyArray

Weights = dict[str, Tensor]


@dataclass
class History:
    """Record a training, one entry for each look at the validation frames.

    Attributes
    ----------
    epoch : list of int
    train_elbo, held_out_elbo : list of float
        Of training and of validation frames, in nats a frame.
    kl : list of list of float
        Of validation frames, by part of the latent space.
    curvature : list of list of float
    learning_rate : list of float
    inflation : list of float
        By how much the covariance of the residual exceeds that of the training frames.
    """

    epoch: list[int] = field(default_factory=list)
    train_elbo: list[float] = field(default_factory=list)
    held_out_elbo: list[float] = field(default_factory=list)
    kl: list[list[float]] = field(default_factory=list)
    curvature: list[list[float]] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    inflation: list[float] = field(default_factory=list)

    def arrays(self) -> dict[str, AnyArray]:
        """Return all columns as arrays."""
        return {name: np.asarray(column) for name, column in vars(self).items()}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Hold all that a training continues from, between two steps.

    Attributes
    ----------
    weights, best : dict of Tensor
        Of the VAE, as they are and as they were at the best epoch.
    optimiser : dict of Tensor
    random : dict of Tensor
        States of the generators: of noise, and of the order of frames as it was when the epoch began.
    sums : dict of Tensor
        The residuals' moment, and the sum of the epoch's ELBOs.
    numbers : dict of float
        Epoch, its steps so far, the best epoch (0: none yet) and its ELBO, and the inflation of the covariance.
    latent : dict of float
        See `Latent.memory`.
    history : dict of ndarray
    """

    weights: Weights
    best: Weights
    optimiser: Weights
    random: Weights
    sums: Weights
    numbers: dict[str, float]
    latent: dict[str, float]
    history: dict[str, AnyArray]


def copied(weights: Weights) -> Weights:
    """Return copies of the weights."""
    return {name: value.detach().clone() for name, value in weights.items()}
