"""Normal likelihoods in the principal components of the features: low rank plus diagonal, and a covariance from z."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trajvae.likelihoods.base import Basis, Likelihood, Params

_LOG_2PI = math.log(2.0 * math.pi)
_COUPLED = 40  # components whose correlations a decoder gives


@dataclass(frozen=True, eq=False)
class UnitBasis:
    """Describe standardised targets, each of which is a component of its own."""

    size: int

    @property
    def input_size(self) -> int:
        """Number of components: all of them."""
        return self.size

    @property
    def axes(self) -> Tensor:
        """Directions of the components: the identity, (F, F)."""
        return torch.eye(self.size, dtype=torch.float64)

    @property
    def scale(self) -> Tensor:
        """Standard deviations of the components: ones, (F,)."""
        return torch.ones(self.size, dtype=torch.float64)


def split(basis: Basis, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Return the components (B, I) of residuals (B, F), and the square of the remainder (B,)."""
    kept = basis.input_size
    return residual[:, :kept], residual[:, kept:].square().sum(dim=-1)


def _joined(components: Tensor, rest: Tensor) -> Tensor:
    """Return `rest` (B, F) with its first I columns replaced."""
    return torch.cat([components, rest[:, components.shape[1] :]], dim=1)


class LowRank(Likelihood):
    """Describe N(loc, diag(v, s, ..., s)): a variance for each principal component, and one for the rest.

    Parameters
    ----------
    features : Basis
        Whose first targets are the principal components.
    floor, n_frames
        See `Likelihood`.
    """

    has_covariance = True
    variance: Tensor

    def __init__(self, features: Basis, floor: float, n_frames: int) -> None:
        super().__init__(features.size, floor, n_frames, {"loc": features.input_size})
        self._basis = (features,)  # in a tuple, so that it is not registered as a part of this module
        self.register_buffer("variance", torch.ones(features.input_size + 1, dtype=torch.float64))

    def _parts(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the components (B, I) of residuals, and the square of the remainder (B,)."""
        return split(self._basis[0], residual)

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        components, rest = self._parts(targets - params["loc"])
        v = self.variance.to(targets)
        square = (components.square() / v[:-1]).sum(dim=-1) + rest / v[-1]
        others = self.size - len(v) + 1
        return -0.5 * (square + v[:-1].log().sum() + others * v[-1].log() + self.size * _LOG_2PI)

    def draw(self, params: Params, noise: Tensor) -> Tensor:
        deviation, kept = self.variance.sqrt().to(noise), len(self.variance) - 1
        return params["loc"] + _joined(noise[:, :kept] * deviation[:-1], noise * deviation[-1])

    def misfit(self, residual: Tensor) -> Tensor:
        components, rest = self._parts(residual.double())
        square = (components.square() / self.variance[:-1]).sum(dim=-1) + rest / self.variance[-1]
        return square.mean() / self.size

    def moment(self, residual: Tensor) -> Tensor:
        """Return mean squares (I + 1,): of each component, and of each direction of the rest."""
        components, rest = self._parts(residual.double())
        others = max(self.size - components.shape[1], 1)
        return torch.cat([components.square().mean(dim=0), rest.mean()[None] / others])

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        kept = len(moment) - 1
        whole = (moment[:-1].sum() + (self.size - kept) * moment[-1]) / self.size
        self.variance = (structure * moment + (1.0 - structure) * whole).clamp(min=self.floor**2)


class Conditional(Likelihood):
    """Describe N(loc, C(z)): a decoder gives the covariance of the principal components; the rest has one variance.

    Parameters
    ----------
    features : Basis
        Whose first targets are the principal components, with scales for units.
    floor, n_frames
        See `Likelihood`.

    Notes
    -----
    With w the components in units of their scales, (1 + N) w / d is standard normal: N strictly lower triangular for
    the first 40 components, d their deviations. Such a likelihood can explain frames without the latent, which
    may then be left unused: it is trained with free bits.
    """

    free_bits = 4.0
    warmup = 0.3
    variance: Tensor

    def __init__(self, features: Basis, floor: float, n_frames: int) -> None:
        kept = features.input_size
        coupled = min(kept, _COUPLED)
        heads = {"loc": kept, "log_scale": kept, "coupling": coupled * (coupled - 1) // 2}
        super().__init__(features.size, floor, n_frames, heads)
        self._basis, self._coupled = (features,), coupled
        self.register_buffer("variance", torch.ones((), dtype=torch.float64))

    def _deviation(self, params: Params) -> Tensor:
        """Return the log standard deviations of the components in units of their scales, not below the floor."""
        low = (self.floor / self._basis[0].scale).log().to(params["log_scale"])
        return 0.5 * torch.logaddexp(2.0 * params["log_scale"], 2.0 * low.expand_as(params["log_scale"]))

    def _mixing(self, params: Params) -> Tensor:
        """Return the unit lower triangular matrix 1 + N, (B, coupled, coupled)."""
        k = self._coupled
        rows, columns = torch.tril_indices(k, k, -1, device=params["coupling"].device)
        out = torch.zeros(len(params["coupling"]), k * k, dtype=params["coupling"].dtype, device=rows.device)
        out = out.index_copy(1, rows * k + columns, params["coupling"]).view(-1, k, k)
        return out + torch.eye(k, dtype=out.dtype, device=out.device)

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        features, residual = self._basis[0], targets - params["loc"]
        components, rest = split(features, residual)
        w, log_scale = components / features.scale.to(residual), self._deviation(params)
        k = self._coupled
        mixed = torch.cat([(self._mixing(params) @ w[:, :k, None])[..., 0], w[:, k:]], dim=1)
        square = (mixed * (-log_scale).exp()).square().sum(dim=-1)
        log_det = log_scale.sum(dim=-1) + features.scale.log().sum().to(residual)
        others, variance = self.size - w.shape[1], self.variance.to(residual)
        return -0.5 * (square + rest / variance + others * variance.log() + self.size * _LOG_2PI) - log_det

    def draw(self, params: Params, noise: Tensor) -> Tensor:
        features, k = self._basis[0], self._coupled
        white = noise[:, : features.input_size] * self._deviation(params).exp()
        first = torch.linalg.solve_triangular(self._mixing(params), white[:, :k, None], upper=False, unitriangular=True)
        w = torch.cat([first[..., 0], white[:, k:]], dim=1) * features.scale.to(noise)
        return params["loc"] + _joined(w, self.variance.sqrt().to(noise) * noise)

    def misfit(self, residual: Tensor) -> Tensor:
        """Return the mean square of the rest over its variance: the decoder gives the components' covariance."""
        if self.size == self._basis[0].input_size:
            return torch.ones((), dtype=torch.float64, device=residual.device)
        return self.moment(residual) / self.variance

    def moment(self, residual: Tensor) -> Tensor:
        """Return the mean square of each direction of the rest."""
        components, rest = split(self._basis[0], residual.double())
        return rest.mean() / max(self.size - components.shape[1], 1)

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        self.variance = moment.clamp(min=self.floor**2)
