"""Likelihood p(x|z) of internal coordinates: mixtures for flexible torsions, and a normal distribution given these."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.features import Internal
from trajvae.likelihoods.base import Likelihood, Params
from trajvae.likelihoods.torsions import TorsionModel
from trajvae.networks import MLP

_CONTEXT = 64
_WIDTHS = (128, 128)


class InternalLikelihood(Likelihood):
    """Describe p(torsions | z) p(bonds, angles, stiff torsions | z, torsions).

    Parameters
    ----------
    features : Internal
    torsions : TorsionModel
    rest : Likelihood
        Of the standardised linear targets.
    generator : torch.Generator
        Of the initial weights.

    Notes
    -----
    Bonds and angles depend on the torsions, so that rings close and atoms do not clash: their mean comes from a network
    that sees z, through a head of the decoder, and the torsions.
    """

    free_bits = 4.0
    warmup = 0.3
    steps = 3000

    def __init__(
        self, features: Internal, torsions: TorsionModel, rest: Likelihood, generator: torch.Generator
    ) -> None:
        heads = {"context": _CONTEXT, **torsions.param_sizes}
        heads |= {name: size for name, size in rest.param_sizes.items() if name != "loc"}
        super().__init__(features.size, rest.floor, rest.n_frames, heads)
        self._features = (features,)  # in a tuple, so that it is not registered as a part of this module
        self.torsions, self.rest = torsions, rest
        self.network = MLP(_CONTEXT + torsions.n_seen, _WIDTHS, {"loc": rest.param_sizes["loc"]}, generator)
        self.has_covariance, self.shrinks = rest.has_covariance, rest.shrinks

    def _split(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the standardised linear targets, and the flexible torsions."""
        features = self._features[0]
        return features.standardised(targets), targets[:, features.n_linear :]

    def condition_on(self, targets: Tensor, params: Params) -> Params:
        return self._at(self._split(targets)[1], params)

    def _at(self, torsions: Tensor, params: Params) -> Params:
        """Return the parameters of the linear targets, which depend on the torsions."""
        seen = torch.cat([params["context"], self.torsions.seen(torsions)], dim=1)
        loc = self.network(seen.to(self.network.head.weight.dtype))["loc"]  # draws are in double precision
        return {**params, "loc": loc.to(torsions)}

    def _join(self, linear: Tensor, torsions: Tensor) -> Tensor:
        features = self._features[0]
        return torch.cat([features.middle.to(linear) + linear * features.spread.to(linear), torsions], dim=1)

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        linear, torsions = self._split(targets)
        units = self._features[0].spread.log().sum().to(targets)
        return self.torsions.log_prob(torsions, params) + self.rest.log_prob(linear, params) - units

    def noise(self, n: int, generator: torch.Generator | None, device: torch.device | None = None) -> Tensor:
        """Return the random numbers that `draw` takes, (n, F): normal ones, then uniform ones for torsions."""
        uniform = torch.rand((n, self.torsions.n), generator=generator, dtype=torch.float64, device=device)
        return torch.cat([self.rest.noise(n, generator, device), uniform], dim=1)

    def draw(self, params: Params, noise: Tensor) -> Tensor:
        torsions = self.torsions.draw(params, noise[:, self._features[0].n_linear :])
        linear = self.rest.draw(self._at(torsions, params), noise[:, : self._features[0].n_linear])
        return self._join(linear, torsions)

    def mean(self, params: Params) -> Tensor:
        """Return mean directions of the torsions, and the mean of all other targets there, (B, F)."""
        torsions = self.torsions.mean(params)
        return self._join(self.rest.mean(self._at(torsions, params)), torsions)

    def residual(self, targets: Tensor, params: Params) -> Tensor:
        """Return the residuals of the standardised linear targets, (B, F - angular)."""
        return self._split(targets)[0] - self.rest.mean(params)

    def misfit(self, residual: Tensor) -> Tensor:
        """Return the misfit of the linear targets, which is 1 if their covariance fits."""
        return self.rest.misfit(residual)

    def moment(self, residual: Tensor) -> Tensor:
        return self.rest.moment(residual)

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        self.rest.set_moment(moment, structure)

    def weigh(self, moment: Tensor, others: Tensor) -> None:
        self.rest.weigh(moment, others)
