"""Evaluation of a model while it trains: the ELBO of the validation frames, and the size of their residuals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.latents import Params
from trajvae.models.vae import VAE, Terms
from trajvae.training.batches import Batches

Regulariser = Callable[[VAE, Terms], Tensor]
WEIGH_EVERY = 4  # evaluations at which validation frames decide anew how far a covariance is shrunk
_LEAST_GAIN = 0.2  # nats a frame that an inflation of the covariance must gain
_DRAWS = 400  # of posteriors, over all validation frames, that the ELBO is estimated with


class Evaluation(NamedTuple):
    """Hold means over the validation frames.

    Attributes
    ----------
    elbo : float
        ELBO in nats a frame.
    kl : Tensor, shape (parts,)
        KL of each part of the latent space in nats.
    misfit : float
        Mean square of the residuals in units of the likelihood's covariance: 1 if the covariance is that of the
        residuals, above 1 if they are larger.
    penalty : float
        Value of the regulariser, in nats a frame.
    """

    elbo: float
    kl: Tensor
    misfit: float
    penalty: float = 0.0

    @property
    def score(self) -> float:
        """Score that decides which weights are kept: the ELBO less the regulariser, in nats a frame."""
        return self.elbo - self.penalty


@torch.no_grad()
def evaluate(
    vae: VAE, data: Batches, seed: int, draws: int = 0, beta: float = 1.0, regulariser: Regulariser | None = None
) -> Evaluation:
    """Evaluate a model on the validation frames, with the same noise in every call.

    Parameters
    ----------
    vae : VAE
    data : Batches
    seed : int
        Seed of the noise.
    draws : int
        Draws of the posterior of each frame; by default 400 over all frames, but at most four a frame. With more the
        error of the mean is that of the choice of frames.
    beta : float
        Weight of the KL in the ELBO.
    regulariser : callable, optional
    """
    draws = draws or min(4, -(-_DRAWS // data.n_validation))
    generator, encoded = torch.Generator(data.device).manual_seed(data.ranks.seed(seed)), list[Params]()
    elbo, misfit, penalty = (torch.zeros((), dtype=torch.float64, device=data.device) for _ in range(3))
    kl = torch.zeros(len(vae.latent.parts), device=data.device)
    for _ in range(draws):
        for piece, (x, y, weights) in enumerate(data.chunks(vae.latent.rows_at_once, validation=True)):
            if piece == len(encoded):
                encoded.append(vae.encode(x))
            terms = vae.terms_at(encoded[piece], y, generator).weighted(weights)
            share = len(x) / (data.n_validation * draws)
            elbo = elbo + terms.elbo(beta).double().mean() * share
            kl = kl + terms.kl.mean(dim=0) * share
            misfit = misfit + vae.likelihood.misfit(terms.residual) * share
            if regulariser is not None:
                penalty = penalty + regulariser(vae, terms) * share
    elbo, kl, misfit, penalty = map(data.ranks.sum, (elbo, kl, misfit, torch.as_tensor(penalty)))
    return Evaluation(float(elbo), kl, float(misfit), float(penalty))


def useful_inflation(size: int, factor: float) -> float:
    """Return the inflation of a covariance if validation residuals exceed training residuals by a factor.

    It is 1 if the ELBO would gain little, as with many frames: an inflation would only widen draws.

    Parameters
    ----------
    size : int
        Number of features.
    factor : float
    """
    gain = 0.5 * size * (factor - 1.0 - math.log(factor)) if factor > 1.0 else 0.0
    return factor if gain > _LEAST_GAIN else 1.0


@torch.no_grad()
def mean_moment(
    vae: VAE, data: Batches, generator: torch.Generator, rows: int = 0, *, validation: bool = False
) -> Tensor:
    """Return the mean of the residuals' moment over all training or validation frames; see `Likelihood.moment`.

    Means are those with the frames' weights, here and in `evaluate`.
    """
    total: Tensor | float = 0.0
    number = data.n_validation if validation else data.n_train
    for x, y, weights in data.chunks(rows or vae.latent.rows_at_once, validation=validation):
        residual = vae.terms(x, y, generator).weighted(weights).residual
        total = total + vae.likelihood.moment(residual) * (len(residual) / number)
    return data.ranks.sum(torch.as_tensor(total))


def weigh(vae: VAE, data: Batches, moment: Tensor, seed: int) -> None:
    """Let validation frames decide how far the covariance is shrunk, of training residuals with a mean moment."""
    if vae.likelihood.shrinks:
        generator = torch.Generator(data.device).manual_seed(data.ranks.seed(seed))
        vae.likelihood.weigh(moment, mean_moment(vae, data, generator, validation=True))
