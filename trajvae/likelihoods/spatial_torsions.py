"""Torsions given the positions of the atoms that the torsions before them have placed.

What two torsions far apart along a chain have in common is where they bring atoms: a contact, a salt bridge, a clash.
A network that sees angles has to learn the way from angles to positions; this one is given the positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trajvae.features import Internal
from trajvae.features.placed_atoms import PlacedAtoms
from trajvae.likelihoods.base import Params
from trajvae.likelihoods.torsions import NUMBERS, TorsionModel

_NEAR, _FAR = 1.4, 3.5  # mean bonds; distances at which the two kinds of inputs change most
_ROWS = 256  # frames at once, where no derivatives are kept
_CONTEXT, _WIDTH, _COMPONENTS = 64, 32, 6


class Spatial(TorsionModel):
    """Describe the distribution of each torsion given z, the torsions before it, and the atoms that these place.

    Parameters
    ----------
    features : Internal
        By which torsions place atoms.
    generator : torch.Generator
        Of the initial weights.

    Notes
    -----
    Atoms are placed with bonds, angles and stiff torsions at their means, so that positions are a function of the
    torsions. Each torsion has a network of its own, whose inputs are positions in the frame of its references; atoms
    that depend on the torsion itself or on later ones are left out, so that the density is normalised.
    """

    def __init__(self, features: Internal, generator: torch.Generator) -> None:
        n, (atoms, dimension) = features.shape.n_angular, features.references.shape
        super().__init__(n, _COMPONENTS, {"torsion_context": _CONTEXT})
        self._features = (features,)  # in a tuple, so that it is not registered as a part of this module
        self._placed: PlacedAtoms | None = None
        inputs = _CONTEXT + 2 * n + 2 * dimension * atoms
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after, gain in (
            (inputs, _WIDTH, 2.0),
            (_WIDTH, _WIDTH, 2.0),
            (_WIDTH, _COMPONENTS * NUMBERS, 0.02),
        ):
            weight = torch.empty(n, before, after)
            nn.init.normal_(weight, 0.0, math.sqrt(gain / before), generator=generator)
            self.weights.append(weight)
            self.biases.append(torch.zeros(n, 1, after))
        self.n_seen += atoms * (atoms - 1) // 2

    @property
    def placed(self) -> PlacedAtoms:
        """Atoms as torsions place them, by the features as they are now: those of a file come after the model."""
        features = self._features[0]
        if self._placed is None or self._placed.features.plan is not features.plan:
            self._placed = PlacedAtoms(features)
        return self._placed

    def seen(self, torsions: Tensor) -> Tensor:
        """Return the inputs (B, n_seen) of the network of bonds and angles: cosines, sines, closeness of all pairs."""
        return torch.cat([super().seen(torsions), self.placed.closeness(self.placed.positions(torsions))], dim=1)

    def log_prob(self, torsions: Tensor, params: Params) -> Tensor:
        if torch.is_grad_enabled() or len(torsions) <= _ROWS:
            return super().log_prob(torsions, params)
        pieces = zip(torch.split(torsions, _ROWS), torch.split(params["torsion_context"], _ROWS), strict=True)
        return torch.cat([super(Spatial, self).log_prob(t, {"torsion_context": c}) for t, c in pieces])

    def numbers(self, params: Params, torsions: Tensor, group: slice = slice(None)) -> Tensor:
        first, last, _ = group.indices(self.n)
        x = torch.cat(
            [
                params["torsion_context"].expand(last - first, -1, -1),
                self._before(torsions, first, last),
                self._around(torsions, slice(first, last)),
            ],
            dim=2,
        ).to(self.weights[0].dtype)  # draws are in double precision
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias[first:last], nn.functional.silu(x) if k else x, weight[first:last])
        each = x.transpose(0, 1).to(torsions)
        return each.reshape(-1, last - first, self.components, NUMBERS) + self.start.to(torsions)

    def _before(self, torsions: Tensor, first: int, last: int) -> Tensor:
        """Return cosines and sines of the torsions before each of a group, others zero, (K', B, 2K)."""
        order = torch.arange(self.n, device=torsions.device)
        known = (order < order[first:last, None]).to(torsions)[:, None]
        return torch.cat([known * torsions.cos(), known * torsions.sin()], dim=2)

    def _around(self, torsions: Tensor, group: slice) -> Tensor:
        """Return where atoms are as each torsion of a group sees them, (K', B, 2DN).

        Once as numbers that are largest for near atoms, once as numbers that tell far ones from one another.
        """
        x = self.placed.seen_from(self.placed.positions(torsions), group) / self.placed.bond.to(torsions)
        square = x.square().sum(dim=-1, keepdim=True)
        near = x / (_NEAR + square / _NEAR)
        far = x / (_FAR + torch.sqrt(square + 1e-12))
        return torch.cat([near.flatten(2), far.flatten(2)], dim=2)

    def groups(self) -> list[slice]:
        """Return one group for each torsion, in order."""
        return [slice(k, k + 1) for k in range(self.n)]
