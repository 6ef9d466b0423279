"""The state of a training: its history, and all that is needed to continue it after a stop."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from trajvae.typing import AnyArray

Weights = dict[str, Tensor]
OF_A_LAG = ("vamp2",)  # columns of the history that only a training with a lag time has


@dataclass
class History:
    """Record a training, with one entry for each evaluation of the validation frames.

    Attributes
    ----------
    epoch : list of int
    train_elbo, held_out_elbo : list of float
        ELBO of training and of validation frames, in nats a frame.
    kl : list of list of float
        KL of validation frames in nats, by part of the latent space.
    curvature : list of list of float
        Curvatures of the latent space's parts.
    learning_rate : list of float
    inflation : list of float
        Factor of the covariance over that of the training frames' residuals.
    vamp2 : list of float
        VAMP-2 score of validation frames; empty in a training without a lag time.
    """

    epoch: list[int] = field(default_factory=list)
    train_elbo: list[float] = field(default_factory=list)
    held_out_elbo: list[float] = field(default_factory=list)
    kl: list[list[float]] = field(default_factory=list)
    curvature: list[list[float]] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    inflation: list[float] = field(default_factory=list)
    vamp2: list[float] = field(default_factory=list)

    def add(
        self,
        epoch: int,
        *,
        train_elbo: float,
        held_out_elbo: float,
        kl: list[float],
        curvature: list[float],
        learning_rate: float,
        inflation: float,
        vamp2: float | None,
    ) -> None:
        """Add an evaluation after an epoch; the score is None in a training without a lag time."""
        self.epoch.append(epoch)
        self.train_elbo.append(train_elbo)
        self.held_out_elbo.append(held_out_elbo)
        self.kl.append(kl)
        self.curvature.append(curvature)
        self.learning_rate.append(learning_rate)
        self.inflation.append(inflation)
        if vamp2 is not None:
            self.vamp2.append(vamp2)

    def arrays(self) -> dict[str, AnyArray]:
        """Return all columns as arrays; without a lag time there is none of scores."""
        return {name: np.asarray(column) for name, column in vars(self).items() if column or name not in OF_A_LAG}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Hold all that a training is continued from, between two steps.

    Attributes
    ----------
    weights, best : dict of Tensor
        Weights of the VAE, the present ones and those of the best epoch.
    optimiser : dict of Tensor
    random : dict of Tensor
        States of the random generators: of noise now, and of the order of frames when the epoch began.
    sums : dict of Tensor
        The residuals' moment, and the sum of the ELBOs in this epoch.
    numbers : dict of float
        The epoch, its steps so far, the best epoch (0 if there is none) and its score, and the inflation.
    latent : dict of float
        See `Latent.extra_state`.
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


def copy_weights(weights: Weights) -> Weights:
    """Return copies of weights, without gradients."""
    return {name: value.detach().clone() for name, value in weights.items()}
