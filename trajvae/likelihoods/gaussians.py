"""Normal likelihoods p(x|z) of linear features, whose means a decoder gives.

The covariance of the residual is not descended on but set to its maximum-likelihood value: for a given decoder and
posterior the best covariance is the mean outer product of the residuals (the M-step of EM), tracked as an
exponential average while training and computed over all training frames at the end. Gradient descent on log sigma
reaches the same point more slowly.

References
----------
O. Rybkin, K. Daniilidis, S. Levine, ICML 2021, eq. 7: the optimal sigma of a VAE.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.likelihoods.base import Basis, Likelihood, Params
from trajvae.likelihoods.shrinkage import Weighing

MAX_FULL = 1000  # features, above which a full covariance is too expensive
FRAMES_A_FEATURE = 10  # below which a full covariance is shrunk, and is not the default
_LOG_2PI = math.log(2.0 * math.pi)


class Isotropic(Likelihood):
    """Describe N(loc, sigma^2 I), with one sigma in Å for all features."""

    sigma: Tensor
    _slope: Tensor
    _peak: Tensor

    def __init__(self, size: int, floor: float, n_frames: int, outputs: int | None = None) -> None:
        super().__init__(size, floor, n_frames, {"loc": outputs or size})
        self.register_buffer("sigma", torch.ones((), dtype=torch.float64))
        for name in ("_slope", "_peak"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64), persistent=False)
        self.register_load_state_dict_post_hook(lambda module, _: module._settle())  # type: ignore[no-untyped-call]
        self._settle()

    def _settle(self) -> None:
        """Return the numbers of log p = peak + slope |x - loc|^2, which change only with sigma."""
        self._slope = -0.5 / self.sigma.square()
        self._peak = -self.size * (self.sigma.log() + 0.5 * _LOG_2PI)

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        square = (targets - params["loc"]).square().sum(dim=-1)
        return torch.addcmul(self._peak, square, self._slope)

    def draw(self, params: Params, noise: Tensor) -> Tensor:
        return params["loc"] + self.sigma.to(noise) * noise

    def misfit(self, residual: Tensor) -> Tensor:
        return self.moment(residual) / self.sigma.square()

    def moment(self, residual: Tensor) -> Tensor:
        """Return the mean square of the residuals (B, F)."""
        square: Tensor = torch.linalg.vector_norm(residual, dtype=torch.float64).square()
        return square / residual.numel()

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        self.sigma = moment.clamp(min=self.floor**2).sqrt()
        self._settle()


class Full(Likelihood):
    """Describe N(loc, C) with one covariance of the residual, by the Cholesky factors of C and of its inverse."""

    has_covariance = True
    cholesky: Tensor
    whitening: Tensor

    def __init__(self, size: int, floor: float, n_frames: int, outputs: int | None = None) -> None:
        if size > MAX_FULL:
            raise OptionError(
                f"likelihood 'full' takes at most {MAX_FULL} features, got {size}: use 'isotropic' or fewer atoms"
            )
        super().__init__(size, floor, n_frames, {"loc": outputs or size})
        self.register_buffer("cholesky", torch.eye(size, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(size, dtype=torch.float64))
        self.shrinks = n_frames < FRAMES_A_FEATURE * size
        if self.shrinks:
            self.weighing = Weighing()

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        white = (targets - params["loc"]) @ self.whitening.to(targets)
        log_det = self.whitening.diagonal().log().sum().to(targets)
        return -0.5 * (white.square().sum(dim=-1) + self.size * _LOG_2PI) + log_det

    def draw(self, params: Params, noise: Tensor) -> Tensor:
        return params["loc"] + noise @ self.cholesky.T.to(noise)

    def misfit(self, residual: Tensor) -> Tensor:
        return (residual.double() @ self.whitening).square().mean()

    def moment(self, residual: Tensor) -> Tensor:
        """Return the mean outer product of the residuals (B, F), (F, F)."""
        residual = residual.double()
        return residual.T @ residual / len(residual)

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """Set the covariance from the mean outer product (F, F) of the residuals.

        It is shrunk towards its mean variance if there are few frames, and its eigenvalues have a lower limit.
        """
        values, vectors = torch.linalg.eigh(0.5 * (moment + moment.T))
        mean = values.mean()
        share = structure * (1.0 - self._weight_of(values / mean.clamp(min=self.floor**2)))
        values = (share * values + (1.0 - share) * mean).clamp(min=self.floor**2)
        self._factorise((vectors * values) @ vectors.T)

    def weigh(self, moment: Tensor, others: Tensor) -> None:
        if self.shrinks:
            values, vectors = torch.linalg.eigh(0.5 * (moment + moment.T))
            mean = values.mean().clamp(min=self.floor**2)
            self.weighing.decide(values / mean, ((vectors.T @ others) * vectors.T).sum(dim=1) / mean)

    def _weight_of(self, values: Tensor) -> float:
        """Return the share of the target in the covariance, given the moment's eigenvalues in units of it."""
        if not self.shrinks:
            return 0.0
        self.weighing.guess(values, self.n_frames)
        return float(self.weighing.weight)

    def _factorise(self, covariance: Tensor) -> None:
        """Set the factors of a covariance (F, F)."""
        self.cholesky = torch.linalg.cholesky(covariance).contiguous()  # as a file gives it
        identity = torch.eye(self.size, dtype=covariance.dtype, device=covariance.device)
        inverse = torch.linalg.solve_triangular(self.cholesky, identity, upper=False)
        self.whitening = inverse.T.contiguous()


def isotropic(features: Basis, floor: float, n_frames: int) -> Isotropic:
    """Return `Isotropic` of targets whose principal components a decoder gives."""
    return Isotropic(features.size, floor, n_frames, features.input_size)


def full(features: Basis, floor: float, n_frames: int) -> Full:
    """Return `Full` of targets whose principal components a decoder gives."""
    return Full(features.size, floor, n_frames, features.input_size)
