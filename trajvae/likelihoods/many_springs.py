"""Normal likelihood p(x|z) of a network of springs, for too many features to hold their moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.likelihoods.base import Basis, Likelihood, Params
from trajvae.likelihoods.fitted_springs import FittedSprings
from trajvae.likelihoods.shrinkage import Weighing
from trajvae.likelihoods.spring_network import BondedStructure

MAX_SPRINGS = 3000  # features, above which a triangular matrix of them is too expensive
_STEP = 0.1  # of the springs' share, and of the log of the rest, at which the factor is computed anew
_FLOOR_STEP = 0.5  # of the log of the rest where it is the floor alone
_LOG_2PI = math.log(2.0 * math.pi)


class ManySprings(Likelihood):
    """Describe N(loc, C) in two parts: principal components u have a shrunk covariance, the rest v follows by springs.

    p(u) is N(0, (1 - w) S + w T) with the moment S of the components and their covariance T in the network of springs;
    p(v | u) is the network's. Of all distributions with this p(u) it is the one nearest to the network.

    Parameters
    ----------
    features, floor, n_frames, structure
        See `Springs`.

    Attributes
    ----------
    springs : FittedSprings
    weighing : Weighing
        With the share w of the springs.
    covariance : Tensor, shape (I, I)
        Of the components, u, in Å^2.
    share, rest : Tensor
        The network's covariance is scale (share T + rest), of which v has the part given u.
    scale : Tensor

    Notes
    -----
    The Cholesky factor of the network's covariance follows from these numbers. It takes a decomposition of all
    features, and is computed anew only where the network has changed by more than its size.
    """

    has_covariance = True
    covariance: Tensor
    share: Tensor
    rest: Tensor
    scale: Tensor

    def __init__(self, features: Basis, floor: float, n_frames: int, structure: BondedStructure | None = None) -> None:
        if features.size > MAX_SPRINGS:
            raise OptionError(
                f"likelihood 'springs' takes at most {MAX_SPRINGS} features, got {features.size}: use 'lowrank' or "
                "fewer atoms"
            )
        super().__init__(features.size, floor, n_frames, {"loc": features.input_size})
        self.kept = features.input_size
        self.shrinks, self.weighing = True, Weighing()
        self.springs = FittedSprings(features, n_frames, structure)
        self.register_buffer("covariance", torch.eye(self.kept, dtype=torch.float64))
        for name, value in (("share", 0.0), ("rest", 1.0), ("scale", 1.0)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        self._made: dict[str | torch.dtype, Tensor] = {}  # what follows from the buffers
        self.register_load_state_dict_post_hook(lambda module, _: module._made.clear())  # type: ignore[no-untyped-call]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Drop what follows from the buffers, which go to another device."""
        self._made.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _target(self) -> Tensor:
        """Return the covariance T of the springs at scale 1, (F, F)."""
        if "target" not in self._made:
            self._made["target"] = torch.cholesky_inverse(torch.linalg.cholesky(self.springs.precision()))
        return self._made["target"]

    def _factor(self) -> Tensor:
        """Return the Cholesky factor of the network's covariance at scale 1, (F, F)."""
        if "factor" not in self._made:
            covariance = self.rest * torch.eye(self.size, dtype=torch.float64, device=self.rest.device)
            if float(self.share) > 0.0:
                covariance = covariance + self.share * self._target()
            self._made["factor"] = torch.linalg.cholesky(covariance)
        return self._made["factor"]

    def _factor_in(self, dtype: torch.dtype) -> Tensor:
        """Return the factor in some precision."""
        if dtype not in self._made:
            self._made[dtype] = self._factor().to(dtype)
        return self._made[dtype]

    def _mixing(self) -> Tensor:
        """Return K of u = L_u K e: L_u the factor's part of the components, e standard normal numbers, (I, I)."""
        if "mixing" not in self._made:
            own = torch.linalg.cholesky(self.covariance)
            first = self._factor()[: self.kept, : self.kept]
            self._made["mixing"] = torch.linalg.solve_triangular(first, own, upper=False)
        return self._made["mixing"]

    def _white(self, residual: Tensor) -> Tensor:
        """Return residuals (B, F) as numbers that are standard normal."""
        y = torch.linalg.solve_triangular(self._factor_in(residual.dtype), residual.T, upper=False).T
        first = torch.linalg.solve_triangular(self._mixing().to(y), y[:, : self.kept].T, upper=False).T
        return torch.cat([first, y[:, self.kept :] / self.scale.sqrt().to(y)], dim=1)

    def log_prob(self, targets: Tensor, params: Params) -> Tensor:
        square = self._white(targets - params["loc"]).square().sum(dim=-1)
        log_det = self._factor().diagonal().log().sum() + self._mixing().diagonal().log().sum()
        log_det = log_det + 0.5 * (self.size - self.kept) * self.scale.log()
        return -0.5 * (square + self.size * _LOG_2PI) - log_det.to(targets)

    def draw(self, params: Params, noise: Tensor) -> Tensor:
        first = noise[:, : self.kept] @ self._mixing().T.to(noise)
        y = torch.cat([first, noise[:, self.kept :] * self.scale.sqrt().to(noise)], dim=1)
        return params["loc"] + y @ self._factor_in(noise.dtype).T

    def misfit(self, residual: Tensor) -> Tensor:
        return self._white(residual.double()).square().mean()

    def moment(self, residual: Tensor) -> Tensor:
        """Return means over residuals (B, F): the outer product of the components, of each spring, and of all, (M,)."""
        residual, network = residual.double(), self.springs.network
        first, square = residual[:, : self.kept], residual.square().sum(dim=-1).mean()
        outer = (first.T @ first / len(first)).flatten()
        if network is None:
            return torch.cat([outer, square[None]])
        return torch.cat([outer, network.lengths_of(residual, self.springs.features), square[None]])

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """Set the covariance from the mean (M,) that `moment` gives."""
        outer, lengths, square = self._parts(moment)
        mean, limit = square / self.size, self.floor**2
        scale = mean + limit
        if structure > 0.0:
            self._follow(outer, lengths, square)
            scale = self.springs.scale
            outer = torch.lerp(outer, scale * self._target()[: self.kept, : self.kept], self.weighing.weight)
        self._rebuild(structure, ((1.0 - structure) * mean + limit) / scale)
        identity = torch.eye(self.kept, dtype=outer.dtype, device=outer.device)
        values, vectors = torch.linalg.eigh(structure * outer + (1.0 - structure) * mean * identity)
        self.covariance, self.scale = (vectors * values.clamp(min=limit)) @ vectors.T, scale.clone()
        self._made.pop("mixing", None)

    def weigh(self, moment: Tensor, others: Tensor) -> None:
        outer, lengths, square = self._parts(moment)
        self._follow(outer, lengths, square)
        values, axes = self._in_units(outer)
        self.weighing.decide(values, ((axes @ self._parts(others)[0]) * axes).sum(dim=1))

    def _parts(self, moment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the components' outer product, the springs' mean squares, and the mean square of all residuals."""
        square = self.kept**2
        return moment[:square].view(self.kept, self.kept), moment[square:-1], moment[-1]

    def _follow(self, outer: Tensor, lengths: Tensor, square: Tensor) -> None:
        """Let springs and weight follow the residuals, with what a file's precision adds to them."""
        springs, limit = self.springs, self.floor**2
        lengths, square = lengths + 2.0 * limit, square + self.size * limit
        energies = springs.energies_from(lengths, square) if bool(springs.strengths.any()) else None
        if springs.follow(energies, lambda: lengths, square):
            self._made.clear()
            self.weighing.guess(self._in_units(outer)[0], self.n_frames)

    def _in_units(self, outer: Tensor) -> tuple[Tensor, Tensor]:
        """Return the components' moments in units of the springs' covariance, and the axes in which they are so."""
        first = torch.linalg.cholesky(self.springs.scale * self._target()[: self.kept, : self.kept])
        half = torch.linalg.solve_triangular(first, outer, upper=False)
        values, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(first, half.T, upper=False))
        return values, torch.linalg.solve_triangular(first.T, vectors, upper=True).T

    def _rebuild(self, share: float, rest: Tensor) -> None:
        """Set share and rest of the network, unless they are nearly those that it has."""
        near = abs(share - float(self.share)) < _STEP and (share == 1.0) == (float(self.share) == 1.0)
        if near and bool((rest / self.rest).log().abs() < (_STEP if share < 1.0 else _FLOOR_STEP)):
            return
        self.share, self.rest = torch.tensor(share).to(self.share), rest.clone()
        for name in [name for name in self._made if name != "target"]:
            del self._made[name]
