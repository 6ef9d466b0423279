"""AdamW over all weights of the networks as one vector: one call for the norm, one for the step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_CLIP = 5.0
_ALIGNED = 16  # numbers: 64 bytes
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def room(p: Tensor) -> int:
    """Numbers that a parameter takes: products are faster, and their last bits the same, where each begins aligned."""
    return -(-p.numel() // _ALIGNED) * _ALIGNED


class Optimiser:
    """Descends on networks, and on a latent's own parameters with a rate of their own.

    Parameters
    ----------
    networks : sequence of Parameter
        They become views of one vector, and their gradients views of another: a small step costs as much for calls as
        for numbers.
    own : sequence of Parameter
        The latent's, without weight decay; few, and free to be replaced.
    weight_decay : float

    Notes
    -----
    Gradients together are no longer than 5.
    """

    def __init__(self, networks: Sequence[nn.Parameter], own: Sequence[nn.Parameter], weight_decay: float) -> None:
        self.networks, self.own = list(networks), list(own)
        places = list(itertools.accumulate((room(p) for p in self.networks), initial=0))
        self.weights = nn.Parameter(self.networks[0].new_zeros(places[-1]))
        self.gradient = torch.zeros_like(self.weights.data)
        self.weights.grad = self.gradient
        for p, place in zip(self.networks, places[:-1], strict=True):
            rows = slice(place, place + p.numel())
            self.weights.data[rows] = p.detach().flatten()
            p.data, p.grad = self.weights.data[rows].view_as(p), self.gradient[rows].view_as(p)
        groups: list[dict[str, Any]] = [{"params": [self.weights]}, {"params": self.own, "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW(groups[: 1 + bool(self.own)], lr=0.0, weight_decay=weight_decay, fused=True)

    def step(self, loss: Tensor, rate: float, own_rate: float) -> None:
        """One step down the gradient of a loss, at these learning rates."""
        self.gradient.zero_()
        for p in self.own:
            p.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        slopes = [self.gradient, *(p.grad for p in self.own if p.grad is not None)]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in slopes]))
        share = (_CLIP / (norm + 1e-6)).clamp(max=1.0)
        for g in slopes:
            g.mul_(share)
        for group, value in zip(self.adam.param_groups, (rate, own_rate), strict=False):
            group["lr"] = value
        self.adam.step()

    def release(self) -> None:
        """Give the networks memory of their own again, as they have it when they come from a file."""
        for p in (*self.networks, *self.own):
            p.grad, p.data = None, p.data.clone()

    def state(self) -> dict[str, Tensor]:
        """What the steps so far have left beside the weights, by name."""
        kept = self.adam.state
        return {
            f"{i}.{name}": kept[p][name]
            for i, p in enumerate((self.weights, *self.own))
            for name in _MOMENTS
            if p in kept
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a state; weights are loaded by those who hold the networks."""
        for i, p in enumerate((self.weights, *self.own)):
            if f"{i}.step" in state:
                self.adam.state[p] = {name: state[f"{i}.{name}"].to(p.device) for name in _MOMENTS}
