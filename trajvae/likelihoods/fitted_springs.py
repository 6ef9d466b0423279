"""Springs whose strengths follow residuals while a model is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from trajvae.features import Features
from trajvae.likelihoods.base import Basis
from trajvae.likelihoods.spring_network import BondedStructure, SpringNetwork, fit_strengths, precision_of

_CHANGE = 1.1  # of the springs' energies relative to one another, at which strengths are fitted anew


class FittedSprings(nn.Module):
    """Hold the springs of a molecule with their fitted strengths; without a molecule atoms are only held in place.

    Parameters
    ----------
    features : Basis
        Whose positions are linear in the targets, unless there is no structure.
    n_frames : int
        Number of training frames.
    structure : BondedStructure, optional

    Attributes
    ----------
    strengths : Tensor, shape (C + 1,)
        Strengths of the classes of springs, and in Å^-2 of what holds every atom in its place; 0 before a first fit.
    variances : Tensor, shape (K,)
        Variance of the length of each spring in Å^2 by which its class' strength is divided.
    energies : Tensor, shape (C + 1,)
        Mean of r H_c r over the residuals r that strengths were fitted to.
    scale : Tensor
        Mean square of residuals in units of the springs' covariance.

    Notes
    -----
    Strengths and variances are fitted when energies of the classes change relative to one another; between these times
    the scale alone follows the residuals, which takes no decomposition.
    """

    strengths: Tensor
    variances: Tensor
    energies: Tensor
    scale: Tensor

    def __init__(self, features: Basis, n_frames: int, structure: BondedStructure | None) -> None:
        super().__init__()
        self._features = (features,)  # in a tuple, so that it is not registered as a part of this module
        self.n_frames = n_frames
        self.network = None if structure is None else SpringNetwork(structure)
        kinds, springs = (self.network.n_kinds, len(self.network.pairs)) if self.network else (0, 0)
        for name, size in (("strengths", (kinds + 1,)), ("energies", (kinds + 1,)), ("variances", (springs,))):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self._stiffnesses: list[Tensor] = []  # follow from the variances
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())  # type: ignore[no-untyped-call]

    def _forget(self) -> None:
        self._stiffnesses = []

    @property
    def features(self) -> Features:
        """Features whose positions the springs join."""
        return cast(Features, self._features[0])

    def lengths(self, moment: Tensor) -> Tensor:
        """Return mean squares of the springs' changes of length, (K,), of residuals with a mean moment (F, F)."""
        if self.network is None:
            return moment.new_zeros(0)
        return self.network.lengths(moment, self.features)

    def energies_of(self, moment: Tensor) -> Tensor | None:
        """Return tr(H_c S) of each class of springs, (C + 1,), for a moment S (F, F); None before a first fit."""
        if not bool(self.strengths.any()):
            return None
        return torch.stack([(part * moment).sum() for part in self.stiffnesses()])

    def follow(self, energies: Tensor | None, lengths: Callable[[], Tensor], square: Tensor) -> bool:
        """Let strengths or scale follow residuals.

        Parameters
        ----------
        energies : Tensor, optional, shape (C + 1,)
            Of the residuals, with the present variances.
        lengths : callable
            Returns mean squares of the springs' changes of length, (K,), in Å^2. Called where a fit is due.
        square : Tensor
            Mean of |r|^2 in Å^2.

        Returns
        -------
        bool
            Whether strengths were fitted anew.
        """
        if energies is not None:
            ratios = energies / self.energies
            if bool(ratios.max() <= _CHANGE * ratios.min()):
                self.scale = (self.strengths * energies).sum() / self._features[0].size
                return False
        self._fit(lengths(), square)
        return True

    def _fit(self, lengths: Tensor, square: Tensor) -> None:
        start = self.strengths if bool(self.strengths.any()) else None
        if self.network is not None:
            self.variances = self.network.shared(lengths, self.n_frames)
        self._forget()
        self.energies = self.energies_from(lengths, square)
        self.strengths = fit_strengths(self.stiffnesses(), self.energies, start)
        self.scale = torch.ones_like(self.scale)

    def energies_from(self, lengths: Tensor, square: Tensor) -> Tensor:
        """Return mean energies of each class, (C + 1,), of residuals with changes of length (K,) and of size square."""
        number = len(self.strengths) - 1
        if self.network is None:
            return square[None]
        kinds = torch.from_numpy(self.network.kinds).to(lengths.device)
        sums = torch.zeros(number).to(lengths).index_add(0, kinds, lengths / self.variances)
        return torch.cat([sums, square[None]])

    def stiffnesses(self) -> list[Tensor]:
        """Return the matrices H_c (F, F) of the classes, and the identity."""
        if not self._stiffnesses or self._stiffnesses[0].device != self.variances.device:
            found = [] if self.network is None else self.network.stiffnesses(self.variances, self.features)
            size = self._features[0].size
            self._stiffnesses = [*found, torch.eye(size, dtype=torch.float64, device=self.variances.device)]
        return self._stiffnesses

    def precision(self) -> Tensor:
        """Return the precision of the springs at scale 1, (F, F)."""
        return precision_of(self.stiffnesses(), self.strengths)
