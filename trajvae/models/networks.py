"""Fully connected networks with named heads; weights drawn from an explicit generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError


class MLP(nn.Module):
    """A trunk of SiLU layers and one linear head for each named parameter.

    Parameters
    ----------
    n_inputs : int
    hidden : sequence of int
        Widths of the trunk's layers.
    heads : mapping of str to int
        Name and size of each output.
    generator : torch.Generator
        The source of the initial weights.

    Notes
    -----
    SiLU is smooth: decoders are differentiated twice by the Riemannian backends. Weights start as
    N(0, 2 / fan-in), those of the heads a hundred times smaller in variance, biases at zero.
    """

    def __init__(
        self, n_inputs: int, hidden: Sequence[int], heads: Mapping[str, int], generator: torch.Generator
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise OptionError(f"hidden layers need widths of 1 or more, got {list(hidden)}")
        widths = [n_inputs, *hidden]
        trunk = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        ends = {name: nn.Linear(widths[-1], size) for name, size in heads.items()}
        self.trunk, self.heads = nn.ModuleList(trunk), nn.ModuleDict(ends)
        for layers, gain in ((trunk, 2.0), (list(ends.values()), 0.02)):
            for layer in layers:
                std = math.sqrt(gain / layer.in_features)
                nn.init.normal_(layer.weight, 0.0, std, generator=generator)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Inputs (B, I) to each head's outputs (B, size)."""
        for layer in self.trunk:
            x = nn.functional.silu(layer(x))
        return {name: head(x) for name, head in self.heads.items()}
