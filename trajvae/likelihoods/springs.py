"""Normal likelihood p(x|z) with a covariance that is shrunk towards a network of springs: for few frames."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.likelihoods.base import Basis, Likelihood
from trajvae.likelihoods.fitted_springs import FittedSprings
from trajvae.likelihoods.gaussians import MAX_FULL, Full
from trajvae.likelihoods.many_springs import ManySprings
from trajvae.likelihoods.shrinkage import Weighing
from trajvae.likelihoods.spring_network import BondedStructure


class Springs(Full):
    """Describe N(loc, C), C = (1 - w) S + w T: the residuals' mean moment S, shrunk towards that of springs, T.

    Parameters
    ----------
    features : Basis
        Whose positions are linear in the targets, unless there is no structure.
    floor, n_frames
        See `Likelihood`.
    structure : BondedStructure, optional
        Of the molecule. Without it there are no springs, and T is one variance.

    Attributes
    ----------
    springs : FittedSprings
    weighing : Weighing
        With the share w of the springs.
    """

    def __init__(self, features: Basis, floor: float, n_frames: int, structure: BondedStructure | None = None) -> None:
        super().__init__(features.size, floor, n_frames, features.input_size)
        self.springs = FittedSprings(features, n_frames, structure)
        self.weighing = Weighing()
        self._target: Tensor | None = None  # follows from the springs' strengths
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())  # type: ignore[no-untyped-call]

    def _forget(self) -> None:
        """Drop what followed from other strengths."""
        self._target = None

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """Set the covariance from the mean outer product (F, F) of the residuals.

        It is shrunk towards springs if there are few frames, and its eigenvalues have a lower limit.
        """
        covariance = torch.zeros_like(moment)
        if structure > 0.0:
            covariance = structure * self._shrunk(0.5 * (moment + moment.T))
        covariance.diagonal().add_((1.0 - structure) * moment.diagonal().mean())
        self._factorise(self._widened(covariance))

    def _widened(self, covariance: Tensor) -> Tensor:
        """Return a covariance whose eigenvalues are not below the floor; they are computed only where any is."""
        limit = self.floor**2 * torch.eye(self.size, dtype=covariance.dtype, device=covariance.device)
        if int(torch.linalg.cholesky_ex(covariance - limit).info) == 0:
            return covariance
        values, vectors = torch.linalg.eigh(covariance)
        widened: Tensor = (vectors * values.clamp(min=self.floor**2)) @ vectors.T
        return widened

    def _shrunk(self, moment: Tensor) -> Tensor:
        """Return the moment shrunk towards springs."""
        if not self.shrinks:
            return moment
        springs, seen = self.springs, self._seen(moment)
        if springs.follow(springs.energies_of(seen), lambda: springs.lengths(seen), seen.trace()):
            self._forget()
            self.weighing.guess(self._in_units(seen)[0], self.n_frames)
        return torch.lerp(moment, springs.scale * self._springs_covariance(), self.weighing.weight)

    def _seen(self, moment: Tensor) -> Tensor:
        """Return the moment with what a file's precision adds to it, so that no variance is zero."""
        seen = moment.clone()
        seen.diagonal().add_(self.floor**2)
        return seen

    def _in_units(self, moment: Tensor) -> tuple[Tensor, Tensor]:
        """Return a moment's eigenvalues in units of the springs' covariance, and the axes in which it has them."""
        factor = torch.linalg.cholesky(self.springs.precision() / self.springs.scale)
        values, vectors = torch.linalg.eigh(factor.T @ moment @ factor)
        return values, vectors.T @ factor.T

    def weigh(self, moment: Tensor, others: Tensor) -> None:
        if self.shrinks:
            self._shrunk(moment)  # springs that suit it
            values, axes = self._in_units(self._seen(moment))
            self.weighing.decide(values, ((axes @ self._seen(others)) * axes).sum(dim=1))

    def _springs_covariance(self) -> Tensor:
        """Return the covariance T of the springs at scale 1, (F, F)."""
        if self._target is None or self._target.device != self.cholesky.device:
            self._target = torch.cholesky_inverse(torch.linalg.cholesky(self.springs.precision()))
        return self._target


def springs(features: Basis, floor: float, n_frames: int, structure: BondedStructure | None = None) -> Likelihood:
    """Return `Springs` of targets, or `ManySprings` where they are too many for a covariance of their own."""
    kind = Springs if features.size <= MAX_FULL else ManySprings
    return kind(features, floor, n_frames, structure)
