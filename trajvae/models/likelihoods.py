"""p(x|z) over features in Å. A new one is one class and one line in `LIKELIHOODS`.

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
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError

Params = dict[str, Tensor]

MAX_FULL = 1000  # features; a full covariance of more costs more than it tells
FRAMES_A_FEATURE = 10  # below this many a full covariance is shrunk, and is no default
_LOG_2PI = math.log(2.0 * math.pi)


class Likelihood(nn.Module, ABC):
    """A distribution of targets given a decoder's outputs.

    Parameters
    ----------
    size : int
        Number of features, F.
    floor : float
        Smallest standard deviation in Å: the precision of the file.
    n_frames : int
        Training frames, for shrinkage.

    Attributes
    ----------
    structured : bool
        Whether the covariance has a structure that training lets in gradually.
    """

    structured = False

    def __init__(self, size: int, floor: float, n_frames: int) -> None:
        super().__init__()
        self.size, self.floor, self.n_frames = size, floor, n_frames

    @abstractmethod
    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        """log p(targets | params) in nats, summed over features, (B,)."""

    @abstractmethod
    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draws of targets - mean, (n, F), in Å."""

    @abstractmethod
    def moment(self, residual: Tensor) -> Tensor:
        """The mean over residuals (B, F) of what `set_moment` takes."""

    @abstractmethod
    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """Set the covariance from the residuals' mean moment.

        Parameters
        ----------
        moment : Tensor
        structure : float
            0 for a spherical covariance of the same mean variance, 1 for the moment's own. A training that starts
            spherical spends the latent on large motions, which a covariance could also explain but not reconstruct.
        """

    def mean(self, params: Params) -> Tensor:
        """The distribution's mean, (B, F)."""
        return params["loc"]

    def sample(self, params: Params, generator: torch.Generator | None = None) -> Tensor:
        """One draw for each row of params, (B, F)."""
        loc = params["loc"]
        return loc + self.noise(len(loc), generator).to(loc)


class Isotropic(Likelihood):
    """N(loc, sigma^2 I), one sigma in Å for all features."""

    sigma: Tensor

    def __init__(self, size: int, floor: float, n_frames: int) -> None:
        super().__init__(size, floor, n_frames)
        self.register_buffer("sigma", torch.ones((), dtype=torch.float64))

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        """See `Likelihood`."""
        square = (targets - params["loc"]).square().sum(dim=-1)
        sigma = self.sigma.to(targets)
        return -0.5 * (square / sigma.square() + self.size * (_LOG_2PI + 2.0 * sigma.log()))

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """See `Likelihood`."""
        shape, device = (n, self.size), self.sigma.device
        return self.sigma * torch.randn(shape, generator=generator, dtype=torch.float64, device=device)

    def moment(self, residual: Tensor) -> Tensor:
        """See `Likelihood`: the mean square."""
        return residual.double().square().mean()

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """See `Likelihood`."""
        self.sigma = moment.clamp(min=self.floor**2).sqrt()


class Full(Likelihood):
    """N(loc, C) with one covariance of the residual, kept as the Cholesky factors of C and of its inverse."""

    structured = True
    cholesky: Tensor
    whitening: Tensor

    def __init__(self, size: int, floor: float, n_frames: int) -> None:
        if size > MAX_FULL:
            raise OptionError(
                f"likelihood 'full' takes at most {MAX_FULL} features, got {size}: use 'isotropic' or fewer atoms"
            )
        super().__init__(size, floor, n_frames)
        self.register_buffer("cholesky", torch.eye(size, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(size, dtype=torch.float64))

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        """See `Likelihood`."""
        white = (targets - params["loc"]) @ self.whitening.to(targets)
        log_det = self.whitening.diagonal().log().sum().to(targets)
        return -0.5 * (white.square().sum(dim=-1) + self.size * _LOG_2PI) + log_det

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """See `Likelihood`."""
        shape, device = (n, self.size), self.cholesky.device
        return torch.randn(shape, generator=generator, dtype=torch.float64, device=device) @ self.cholesky.T

    def moment(self, residual: Tensor) -> Tensor:
        """See `Likelihood`: the mean outer product, (F, F)."""
        residual = residual.double()
        return residual.T @ residual / len(residual)

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """See `Likelihood`; shrunk towards its mean variance where frames are few, and floored."""
        identity = torch.eye(self.size, dtype=moment.dtype, device=moment.device)
        if self.n_frames < FRAMES_A_FEATURE * self.size:
            structure = structure * self.n_frames / (self.size + self.n_frames)
        moment = structure * moment + (1.0 - structure) * moment.diagonal().mean() * identity
        values, vectors = torch.linalg.eigh(0.5 * (moment + moment.T))
        covariance = (vectors * values.clamp(min=self.floor**2)) @ vectors.T
        self.cholesky = torch.linalg.cholesky(covariance).contiguous()  # as it comes back from a file
        inverse = torch.linalg.solve_triangular(self.cholesky, identity, upper=False)
        self.whitening = inverse.T.contiguous()


LIKELIHOODS: dict[str, type[Likelihood]] = {"isotropic": Isotropic, "full": Full}


def default_likelihood(size: int, n_frames: int) -> str:
    """`full` where the frames suffice to learn it, else `isotropic`."""
    return "full" if size <= MAX_FULL and n_frames >= FRAMES_A_FEATURE * size else "isotropic"


def make_likelihood(name: str, size: int, floor: float, n_frames: int) -> Likelihood:
    """Build a likelihood by name.

    Raises
    ------
    OptionError
        No such likelihood, or too many features for it.
    """
    if name not in LIKELIHOODS:
        raise OptionError(f"no likelihood '{name}'; there are {', '.join(LIKELIHOODS)}")
    return LIKELIHOODS[name](size, floor, n_frames)
