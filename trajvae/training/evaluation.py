"""Looks at a model while it trains: the ELBO of the validation frames, and how well their residuals are foreseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.latents import Params
from trajvae.models.vae import VAE, Terms
from trajvae.training.batches import Batches

Regulariser = Callable[[VAE, Terms], Tensor]
_DRAWS = 400  # of posteriors, for the ELBO of the validation frames


class Evaluation(NamedTuple):
    """Hold means over the validation frames.

    Attributes
    ----------
    elbo : float
        In nats a frame.
    kl : Tensor, shape (parts,)
    misfit : float
        The square of the residuals in units of the likelihood's covariance, over their number: 1 where the covariance
        foresees them, above 1 where they are larger.
    penalty : float
        What a regulariser adds to the loss, in nats a frame.
    """

    elbo: float
    kl: Tensor
    misfit: float
    penalty: float = 0.0

    @property
    def score(self) -> float:
        """Score that decides which weights are kept: the ELBO less what a regulariser takes, in nats."""
        return self.elbo - self.penalty


@torch.no_grad()
def look(
    vae: VAE, data: Batches, seed: int, draws: int = 0, beta: float = 1.0, regulariser: Regulariser | None = None
) -> Evaluation:
    """Measure a model on the validation frames, with the same noise at every call; frames are encoded once.

    By default as many draws a frame as are some hundred together, up to four: beyond that the mean differs more by
    which frames were chosen than by their draws.
    """
    draws = draws or min(4, -(-_DRAWS // data.n_validation))
    generator, encoded = torch.Generator(data.device).manual_seed(seed), list[Params]()
    elbo, misfit, penalty = (torch.zeros((), dtype=torch.float64, device=data.device) for _ in range(3))
    kl = torch.zeros(len(vae.latent.parts), device=data.device)
    for _ in range(draws):
        for piece, (x, y) in enumerate(data.chunks(vae.latent.rows_at_once, validation=True)):
            if piece == len(encoded):
                encoded.append(vae.encode(x))
            terms = vae.terms_at(encoded[piece], y, generator)
            share = len(x) / (data.n_validation * draws)
            elbo = elbo + terms.elbo(beta).double().mean() * share
            kl = kl + terms.kl.mean(dim=0) * share
            misfit = misfit + vae.likelihood.misfit(terms.residual) * share
            if regulariser is not None:
                penalty = penalty + regulariser(vae, terms) * share
    return Evaluation(float(elbo), kl, float(misfit), float(penalty))


@torch.no_grad()
def mean_moment(vae: VAE, data: Batches, generator: torch.Generator, rows: int = 0) -> Tensor:
    """Return the residuals' mean moment over all training frames."""
    total: Tensor | float = 0.0
    for x, y in data.chunks(rows or vae.latent.rows_at_once, validation=False):
        residual = vae.terms(x, y, generator).residual
        total = total + vae.likelihood.moment(residual) * (len(residual) / data.n_train)
    return torch.as_tensor(total)
