"""The end of a training: what is kept of the networks' own part beside principal components, and the covariance.

Networks of flat latent spaces add to the principal components that they carry on. What they add was fitted to training
frames, and of other frames it may do harm: validation frames decide how much of it is kept, and they never keep a model
whose reconstructions are worse than those of as many principal components.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trajvae.features.weighted_moments import weighted_mean
from trajvae.models.vae import VAE
from trajvae.training.batches import Batches
from trajvae.training.evaluation import Evaluation, mean_moment, weigh
from trajvae.training.state import Weights, copy_weights
from trajvae.weighted_samples import effective_size

_SHARES = (0.8, 0.6, 0.4, 0.2, 0.0)  # of what networks add to the components, tried after all of it
_ROUNDING = 1e-6  # Å
_MOST_LOSS = 0.15  # nats a feature that reconstructions no worse than those by principal components may cost


@torch.no_grad()
def excess_over_principal(vae: VAE, data: Batches) -> float:
    """Return by how much validation frames may be reconstructed worse than by principal components, in Å.

    It is the mean difference of errors and two standard errors; 0 for a model that is principal components. A frame's
    error is the root mean square over its features, decoded from its posterior's mean or from as many principal
    components of the inputs as the latent space has dimensions. With weights, mean and deviation are weighted, and the
    standard error is that of the effective number of frames.
    """
    found, counts, carried = [], list[Tensor](), vae.encoder.carried
    for inputs, targets, weights in data.chunks(vae.latent.rows_at_once, validation=True):
        decoded = vae.likelihood.mean(vae.decode(vae.latent.mean(vae.encode(inputs))))
        components = torch.nn.functional.pad(inputs[:, :carried], (0, inputs.shape[1] - carried))
        off = torch.stack([targets - decoded, targets - vae.features.expand(components)])
        error, principal = off.double().square().mean(dim=-1).sqrt()
        found.append(error - principal)
        counts += [] if weights is None else [weights.double()]
    difference = data.ranks.join(torch.cat(found))
    count = data.ranks.join(torch.cat(counts)) if counts else None
    mean = weighted_mean(difference, count)
    if count is None:
        spread, size = difference.std(correction=0), float(len(difference))
    else:
        spread, size = weighted_mean((difference - mean).square(), count).sqrt(), effective_size(count.cpu().numpy())
    excess = float(mean + 2.0 * spread / math.sqrt(size))
    return 0.0 if abs(excess) < _ROUNDING else excess


@dataclass(frozen=True, eq=False)
class Candidate:
    """Hold weights of a VAE with a covariance that suits them.

    Attributes
    ----------
    weights : dict of Tensor
    score : float
        Of the validation frames, in nats a frame.
    excess : float
        See `excess_over_principal`; 0 where networks carry no components on.
    """

    weights: Weights
    score: float
    excess: float = 0.0


def _score(candidate: Candidate) -> float:
    return candidate.score


class Selection:
    """Choose the weights and the covariance that a trained model keeps.

    Parameters
    ----------
    vae : VAE
        With the weights of the best epoch.
    data : Batches
    evaluate : callable
        Returns the evaluation of the VAE on the validation frames.
    inflation : callable
        Returns the useful inflation of a covariance for a factor between residuals of validation and of training
        frames.
    generator : torch.Generator
    seed : int
        Of the draws of validation frames by which a covariance's shrinkage is decided.
    principal : bool
        Whether a model must reconstruct as well as principal components do; not one that follows what is slow.
    """

    def __init__(
        self,
        vae: VAE,
        data: Batches,
        evaluate: Callable[[], Evaluation],
        inflation: Callable[[float], float],
        generator: torch.Generator,
        seed: int,
        *,
        principal: bool = True,
    ) -> None:
        self.vae, self.data, self.generator, self.seed = vae, data, generator, seed
        self.evaluate, self.inflation = evaluate, inflation
        self.carried, self.principal = vae.encoder.carried > 0, principal

    def run(self) -> None:
        """Leave the best candidate in the VAE.

        It is the one of the highest score, of those whose reconstructions are at least as near as principal components;
        unless these have far lower scores, as where a likelihood does without the latent space.
        """
        whole = self._with_covariance(keep=True)
        found = [whole]
        for share in _SHARES if self.carried else ():
            self._scale(whole.weights, share)
            found.append(self._with_covariance(keep=False))
        best = max(found, key=_score)
        least = best.score - _MOST_LOSS * self.vae.likelihood.size
        near = [candidate for candidate in found if candidate.excess <= 0.0 and candidate.score >= least]
        near = near if self.principal else [best]
        self.vae.load_state_dict(max(near, key=_score, default=best).weights)

    def _scale(self, weights: Weights, share: float) -> None:
        """Load weights with only a share of what networks add to components that they carry on."""
        self.vae.load_state_dict(weights)
        for network in (self.vae.encoder, self.vae.decoder):
            rows = network.rows("loc")
            with torch.no_grad():
                network.head.weight[rows] *= share
                network.head.bias[rows] *= share

    def _with_covariance(self, *, keep: bool) -> Candidate:
        """The weights with the covariance of all training frames' residuals, inflated for other frames.

        The covariance that they had is kept where the score falls and `keep` is on.
        """
        vae, likelihood = self.vae, self.vae.likelihood
        before = copy_weights(likelihood.state_dict())
        score = self.evaluate().score if keep else -math.inf
        moment = mean_moment(vae, self.data, self.generator)
        weigh(vae, self.data, moment, self.seed)
        likelihood.set_moment(moment)
        likelihood.set_moment(moment * self.inflation(self.evaluate().misfit))
        after = self.evaluate().score
        if not after >= score:
            likelihood.load_state_dict(before)
        excess = excess_over_principal(vae, self.data) if self.carried else 0.0
        return Candidate(copy_weights(vae.state_dict()), max(score, after), excess)
