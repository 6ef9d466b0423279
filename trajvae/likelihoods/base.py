"""The interface of likelihoods p(x|z): distributions of targets for given latent points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

Params = dict[str, Tensor]


class Basis(Protocol):
    """Describe F targets, of which the first I are principal components with scales (I,)."""

    @property
    def axes(self) -> Tensor:
        """Directions of the components, (F, I): the first unit vectors."""
        ...

    @property
    def scale(self) -> Tensor:
        """Standard deviations of the components, (I,)."""
        ...

    @property
    def size(self) -> int:
        """Number of targets, F."""
        ...

    @property
    def input_size(self) -> int:
        """Number of principal components, I."""
        ...


class Likelihood(nn.Module, ABC):
    """Describe a distribution p(x|z) of targets, given a decoder's outputs.

    Parameters
    ----------
    size : int
        Number of targets, F.
    floor : float
        Smallest standard deviation in Å: the precision of the file.
    n_frames : int
        Number of training frames, by which a covariance is shrunk.
    param_sizes : dict of str to int
        Sizes of the decoder's heads, which are the distribution's parameters, by name.

    Attributes
    ----------
    has_covariance : bool
        Whether training introduces the covariance gradually; see `set_moment`.
    shrinks : bool
        Whether `weigh` has an effect.
    free_bits : float
        Nats of KL divergence that training does not penalise: the more a likelihood explains by itself, the likelier
        it is that the latent stays unused.
    warmup : float
        Smallest share of the epochs over which the weight of the KL divergence rises.
    steps : int
        Number of optimiser steps that the default number of epochs aims at.
    """

    has_covariance = False
    shrinks = False
    free_bits = 0.0
    warmup = 0.0
    steps = 8000

    def __init__(self, size: int, floor: float, n_frames: int, param_sizes: dict[str, int]) -> None:
        super().__init__()
        self.size, self.floor, self.n_frames, self.param_sizes = size, floor, n_frames, param_sizes

    def over_targets(self, outputs: Params, expand: Callable[[Tensor], Tensor]) -> Params:
        """Return the parameters of the distribution of targets, from a decoder's outputs of order one.

        Parameters
        ----------
        outputs : dict of Tensor
            The decoder's heads. The head named loc is the mean of the targets.
        expand : callable
            From outputs of order one to targets, as the features have it.
        """
        return {**outputs, "loc": expand(outputs["loc"])} if "loc" in outputs else outputs

    def condition_on(self, targets: Tensor, params: Params) -> Params:
        """Return the parameters that `log_prob` and `residual` take, completed by what depends on the targets."""
        return params

    @abstractmethod
    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        """Return log p(targets | params) in nats, summed over features, (B,)."""

    @abstractmethod
    def draw(self, params: Params, noise: Tensor) -> Tensor:
        """Return targets (B, F) computed from `noise` (B, F), differentiable in the parameters."""

    def noise(self, n: int, generator: torch.Generator | None, device: torch.device | None = None) -> Tensor:
        """Return the random numbers that `draw` takes, (n, F), float64: standard normal ones."""
        return torch.randn((n, self.size), generator=generator, dtype=torch.float64, device=device)

    def sample(self, params: Params, generator: torch.Generator | None = None) -> Tensor:
        """Draw targets (B, F), one for each row of the parameters."""
        like = next(iter(params.values()))
        return self.draw(params, self.noise(len(like), generator, like.device).to(like))

    def mean(self, params: Params) -> Tensor:
        """Return the mean of the distribution, (B, F)."""
        return params["loc"]

    def residual(self, targets: Tensor, params: Params) -> Tensor:
        """Return the residuals that `moment` and `misfit` take: targets less their mean, (B, F)."""
        return targets - self.mean(params)

    @abstractmethod
    def misfit(self, residual: Tensor) -> Tensor:
        """Return the mean square of residuals (B, ...) in units of the covariance, over their number: 1 where it fits.

        Frames that the networks were fitted to have smaller residuals than others: the misfit of validation frames
        shows by how much a covariance of training frames is too small.
        """

    @abstractmethod
    def moment(self, residual: Tensor) -> Tensor:
        """Return the mean over residuals (B, ...) that `set_moment` takes."""

    def weigh(self, moment: Tensor, others: Tensor) -> None:
        """Choose how far `set_moment` shrinks the covariance, where it does.

        Parameters
        ----------
        moment : Tensor
            Mean moment of the residuals of training frames.
        others : Tensor
            The same of frames that the networks were not fitted to, whose likelihood decides.
        """

    @abstractmethod
    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """Set the covariance from the residuals' mean moment.

        Parameters
        ----------
        moment : Tensor
            As `moment` returns it.
        structure : float
            0 for a spherical covariance of the same mean variance, 1 for the moment's own. Training starts with 0, so
            that the latent learns large motions, which a covariance could also explain but not reconstruct.
        """
