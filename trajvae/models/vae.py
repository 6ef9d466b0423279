"""The variational autoencoder, composed of features, encoder, latent space, decoder and likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trajvae.features import Features
from trajvae.latents import Context, Latent, Params
from trajvae.likelihoods.base import Likelihood
from trajvae.networks import MLP


def mean_of_batch(values: Tensor) -> Tensor:
    """Return the mean over the frames of a batch, (B, parts) to (parts,)."""
    return values.mean(dim=0)


class Terms(NamedTuple):
    """Hold the parts of the ELBO, in nats a frame.

    Attributes
    ----------
    log_likelihood : Tensor, shape (B,)
    kl : Tensor, shape (B, parts)
    residual : Tensor
        Result of `Likelihood.residual`.
    penalty : Tensor, optional, shape (B, parts)
        As in `LatentDraw`.
    """

    log_likelihood: Tensor
    kl: Tensor
    residual: Tensor
    penalty: Tensor | None = None

    def elbo(self, beta: float = 1.0) -> Tensor:
        """Return log-likelihood - beta KL in nats, (B,)."""
        return self._less(self.kl, beta)

    def objective(self, beta: float = 1.0) -> Tensor:
        """Return the objective of training, (B,): the ELBO, or that with a user's weights of its terms."""
        return self._less(self.kl if self.penalty is None else self.penalty, beta)

    def _less(self, charge: Tensor, beta: float) -> Tensor:
        return torch.sub(self.log_likelihood, charge.sum(dim=-1), alpha=beta)

    def weighted(self, weights: Tensor | None) -> Terms:
        """Return terms whose means over frames are those with weights (B,) of mean 1; themselves without weights.

        Residuals are multiplied by the roots of the weights: likelihoods take means of products of two residuals.
        """
        if weights is None:
            return self
        w = weights[:, None]
        shape = (-1, *(1 for _ in self.residual.shape[1:]))
        return Terms(
            self.log_likelihood * weights,
            self.kl * w,
            self.residual * weights.sqrt().view(shape),
            None if self.penalty is None else self.penalty * w,
        )

    def loss(
        self, beta: float = 1.0, free_bits: float = 0.0, mean: Callable[[Tensor], Tensor] = mean_of_batch
    ) -> Tensor:
        """Return the loss of training: the mean of -objective, each part of the KL having its free nats.

        Parameters
        ----------
        beta, free_bits : float
        mean : callable
            Means of the KL's parts over the batch, (B, parts) to (parts,), which decide whether a part is free.

        References
        ----------
        D. P. Kingma et al., NeurIPS 2016, appendix C.8: free bits.
        """
        if not free_bits:
            return -self.objective(beta).mean()
        penalty = self.kl if self.penalty is None else self.penalty
        charged = mean(penalty).clamp(min=free_bits / penalty.shape[1])
        return beta * charged.sum() - self.log_likelihood.mean()


class _LogLikelihood:
    """log p(x|z) of one batch of targets; the latent points that were decoded last are not decoded again."""

    def __init__(self, vae: VAE, targets: Tensor) -> None:
        self.vae, self.targets = vae, targets
        self._last: tuple[Tensor, Params, Tensor] | None = None

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z), whose gradient may be differentiated again."""
        return self.decode(z, second_order=True)[1]

    def decode(self, z: Tensor, *, second_order: bool = False) -> tuple[Params, Tensor]:
        """The likelihood's parameters at z, and log p(x|z)."""
        if self._last is None or not torch.equal(self._last[0], z):
            likelihood = self.vae.likelihood
            decoded = likelihood.condition_on(self.targets, self.vae.decode(z, second_order=second_order))
            self._last = z, decoded, likelihood.log_prob(self.targets, decoded)
        return self._last[1:]


class VAE(nn.Module):
    """Compose a variational autoencoder of features, networks, latent space and likelihood.

    Parameters
    ----------
    features : Features
    encoder : MLP
        With the heads that the latent asks for.
    latent : Latent
    decoder : MLP
        With the heads that the likelihood asks for.
    likelihood : Likelihood
    """

    def __init__(self, features: Features, encoder: MLP, latent: Latent, decoder: MLP, likelihood: Likelihood) -> None:
        super().__init__()
        self.features = features
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood

    def encode(self, inputs: Tensor) -> Params:
        """Return the posterior's parameters of inputs (B, I)."""
        out: Params = self.encoder(inputs)
        return out

    def decode(self, z: Tensor, *, second_order: bool = False) -> Params:
        """Return the likelihood's parameters over targets of latent points (B, ambient).

        `second_order` is the network's.
        """
        return self.likelihood.over_targets(self.decoder(z, second_order=second_order), self.features.expand)

    def terms(self, inputs: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Terms:
        """Return one reparameterised draw of the ELBO's parts."""
        return self.terms_at(self.encode(inputs), targets, generator)

    def terms_at(self, params: Params, targets: Tensor, generator: torch.Generator | None = None) -> Terms:
        """Return the same as `terms`, from the posterior's parameters."""
        log_likelihood = _LogLikelihood(self, targets)
        z, kl, penalty = self.latent.draw(params, Context(generator, log_likelihood, self.encode))
        decoded, value = log_likelihood.decode(z)
        return Terms(value, kl, self.likelihood.residual(targets, decoded), penalty)

    def posterior_sample(self, inputs: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z from q(z|x) for each frame, (B, ambient)."""
        context = Context(generator, _LogLikelihood(self, targets), self.encode)
        return self.latent.rsample(self.encode(inputs), context).z

    def log_weights(
        self, inputs: Tensor, targets: Tensor, draws: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return log p(x, z) / q(z|x) at draws from the posterior, (B, draws).

        Their mean is the ELBO of each frame, the log of the mean of their exponentials the importance-weighted bound.

        References
        ----------
        Y. Burda, R. Grosse, R. Salakhutdinov, arXiv:1509.00519, eq. 8.
        """
        params = {name: value.repeat_interleave(draws, dim=0) for name, value in self.encode(inputs).items()}
        log_likelihood = _LogLikelihood(self, targets.repeat_interleave(draws, dim=0))
        z, ratio = self.latent.rsample(params, Context(generator, log_likelihood, self.encode))
        return (log_likelihood.decode(z)[1] - ratio.sum(dim=-1)).view(len(inputs), draws)
