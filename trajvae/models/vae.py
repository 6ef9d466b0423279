"""The one VAE: features, encoder, latent, decoder, likelihood."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from trajvae.features import ShapeSpace
from trajvae.latents import Context, Latent, Params
from trajvae.models.likelihoods import Likelihood
from trajvae.models.networks import MLP


class Terms(NamedTuple):
    """The parts of the ELBO, in nats a frame.

    Attributes
    ----------
    log_likelihood : Tensor, shape (B,)
    kl : Tensor, shape (B, parts)
    residual : Tensor, shape (B, F)
        targets - mean, in Å.
    """

    log_likelihood: Tensor
    kl: Tensor
    residual: Tensor

    def elbo(self, beta: float = 1.0) -> Tensor:
        """log-likelihood - beta KL, (B,)."""
        return self.log_likelihood - beta * self.kl.sum(dim=-1)


class VAE(nn.Module):
    """A variational autoencoder by composition; no subclass per backend.

    Parameters
    ----------
    features : ShapeSpace
    encoder : MLP
        With the heads that the latent asks for.
    latent : Latent
    decoder : MLP
        With a head `loc` of the features' input size.
    likelihood : Likelihood
    """

    def __init__(
        self, features: ShapeSpace, encoder: MLP, latent: Latent, decoder: MLP, likelihood: Likelihood
    ) -> None:
        super().__init__()
        self.features = features
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood

    def encode(self, inputs: Tensor) -> Params:
        """Inputs (B, I) to the posterior's parameters."""
        out: Params = self.encoder(inputs)
        return out

    def decode(self, z: Tensor) -> Params:
        """Latent points (B, ambient) to the likelihood's parameters over targets."""
        out: Params = self.decoder(z)
        return {**out, "loc": self.features.expand(out["loc"])}

    def terms(self, inputs: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Terms:
        """One reparameterised draw of the ELBO's parts."""
        params = self.encode(inputs)
        context = Context(generator, lambda z: self.likelihood.log_prob(targets, self.decode(z)), self.encode)
        z, kl = self.latent.draw(params, context)
        decoded = self.decode(z)
        residual = targets - self.likelihood.mean(decoded)
        return Terms(self.likelihood.log_prob(targets, decoded), kl, residual)
