"""Normal likelihood p(x|z) with a covariance that is shrunk towards a network of springs: for few frames."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from trajvae.features import Features
from trajvae.likelihoods.base import Basis
from trajvae.likelihoods.gaussians import Full
from trajvae.likelihoods.shrinkage import target_weight
from trajvae.likelihoods.spring_network import BondedStructure, SpringNetwork, fit_strengths, precision_of

_CHANGE = 1.1  # of the springs' energies relative to one another, at which strengths are fitted anew


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
    strengths : Tensor, shape (C + 1,)
        Strengths of the classes of springs, and of the one that holds every atom in its place (the last, in Å^-2).
    variances : Tensor, shape (K,)
        Variance of the length of each spring in Å^2 by which its class' strength is divided.
    weight : Tensor
        The share w of the springs.

    Notes
    -----
    Strengths, variances and weight are fitted when the energies of the classes change relative to one another; between
    these times the springs only follow the size of the moment, which takes no decomposition.
    """

    strengths: Tensor
    variances: Tensor
    energies: Tensor
    weight: Tensor

    def __init__(self, features: Basis, floor: float, n_frames: int, structure: BondedStructure | None = None) -> None:
        super().__init__(features.size, floor, n_frames, features.input_size)
        self._features = (features,)  # in a tuple, so that it is not registered as a part of this module
        self.network = None if structure is None else SpringNetwork(structure)
        kinds, springs = (self.network.n_kinds, len(self.network.pairs)) if self.network else (0, 0)
        for name, size in (("strengths", (kinds + 1,)), ("energies", (kinds + 1,)), ("variances", (springs,))):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))
        self._stiffnesses: list[Tensor] = []  # follow from the variances
        self._target: Tensor | None = None  # follows from the strengths
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())  # type: ignore[no-untyped-call]

    def _forget(self) -> None:
        """Drop what followed from other strengths and variances."""
        self._stiffnesses, self._target = [], None

    def set_moment(self, moment: Tensor, structure: float = 1.0) -> None:
        """Set the covariance from the mean outer product (F, F) of the residuals.

        It is shrunk towards springs if there are few frames, and its eigenvalues have a lower limit.
        """
        covariance = 0.5 * (moment + moment.T)
        if structure > 0.0:
            covariance = structure * self._shrunk(covariance)
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
        if not self._few_frames:
            return moment
        seen = moment.clone()
        seen.diagonal().add_(self.floor**2)  # as a file's precision adds to it: none is a zero
        energies = self._energies_of(seen)
        if energies is None or self._has_changed(energies):
            self._fit(seen)
            energies = self.energies
        scale = (self.strengths * energies).sum() / self.size
        return torch.lerp(moment, scale * self._springs(), self.weight)

    def _has_changed(self, energies: Tensor) -> bool:
        """Return whether energies of the classes have changed relative to one another since strengths were fitted."""
        ratios = energies / self.energies
        return not bool(ratios.max() <= _CHANGE * ratios.min())

    def _energies_of(self, moment: Tensor) -> Tensor | None:
        """Return tr(H_c S) of each class of springs, (C + 1,); None before a first fit."""
        if not bool(self.strengths.any()):
            return None
        return torch.stack([(part * moment).sum() for part in self._parts()])

    def _parts(self) -> list[Tensor]:
        """Return the matrices H_c of the classes, and the identity."""
        if not self._stiffnesses or self._stiffnesses[0].device != self.variances.device:
            found: list[Tensor] = []
            if self.network is not None:
                found = self.network.stiffnesses(self.variances, cast(Features, self._features[0]))
            identity = torch.eye(self.size, dtype=torch.float64, device=self.variances.device)
            self._stiffnesses, self._target = [*found, identity], None
        return self._stiffnesses

    def _springs(self) -> Tensor:
        """Return the covariance T of the springs, (F, F)."""
        parts = self._parts()
        if self._target is None:
            factor = torch.linalg.cholesky(precision_of(parts, self.strengths))
            self._target = torch.cholesky_inverse(factor)
        return self._target

    def _fit(self, moment: Tensor) -> None:
        """Fit variances and strengths of the springs, and their weight, to the moment (F, F)."""
        start = self.strengths if bool(self.strengths.any()) else None
        if self.network is not None:
            features = cast(Features, self._features[0])
            self.variances = self.network.variances(moment, features, self.n_frames)
        self._forget()
        parts = self._parts()
        self.strengths = fit_strengths(parts, moment, start)
        self.energies = torch.stack([(part * moment).sum() for part in parts])
        factor = torch.linalg.cholesky(precision_of(parts, self.strengths))
        values = torch.linalg.eigvalsh(factor.T @ moment @ factor)
        self.weight = torch.tensor(target_weight(values, self.n_frames), dtype=torch.float64, device=moment.device)
