"""The terms of a Hamiltonian draw's log q - log p, and their weights in training."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

CUT = math.log(1e6)  # nats that a draw loses whose flow was cut


class RatioTerms(NamedTuple):
    """Hold the terms of a draw's log q - log p, each (B,); those of momenta without d/2 log 2 pi.

    Attributes
    ----------
    encoded : Tensor
        log q of the position as it is encoded.
    prior : Tensor
        log p of the position where the flow ends.
    initial_momentum, final_momentum : Tensor
        log q of the momentum that the flow starts with, and log p of the one that it ends with.
    """

    encoded: Tensor
    prior: Tensor
    initial_momentum: Tensor
    final_momentum: Tensor

    def ratio(
        self, more: float = 0.0, log_p: tuple[float, float] = (1.0, 1.0), log_q: tuple[float, float] = (1.0, 1.0)
    ) -> Tensor:
        """Return log q - log p of position and momentum, (B, 2), with `more` added to that of the position."""
        position = log_q[0] * self.encoded - log_p[0] * self.prior + more
        return torch.stack([position, log_q[1] * self.initial_momentum - log_p[1] * self.final_momentum], dim=-1)


class TermWeights(NamedTuple):
    """Hold the weights that a user gave to the terms in training: of position and momentum, in log p and in log q."""

    log_p: tuple[float, float]
    log_q: tuple[float, float]

    def penalty(
        self, terms: RatioTerms, kept: Tensor | None = None, otherwise: RatioTerms | None = None
    ) -> Tensor | None:
        """Return the weighted log q - log p, (B, 2); None where all weights are one.

        Parameters
        ----------
        terms : RatioTerms
        kept : Tensor, optional, shape (B,)
            Draws whose flow was not cut.
        otherwise : RatioTerms, optional
            Terms of draws whose flow was cut: those before it.
        """
        if {*self.log_p, *self.log_q} == {1.0}:
            return None
        penalty = terms.ratio(log_p=self.log_p, log_q=self.log_q)
        if kept is None or otherwise is None:
            return penalty
        return torch.where(kept[:, None], penalty, otherwise.ratio(CUT, self.log_p, self.log_q))
