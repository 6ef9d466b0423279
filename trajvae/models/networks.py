"""Fully connected networks with named heads; weights drawn from an explicit generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError


class MLP(nn.Module):
    """A trunk of SiLU layers and a linear head, split into named parameters.

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
        self.trunk, self.head = nn.ModuleList(trunk), nn.Linear(widths[-1], sum(heads.values()))
        self.sizes = dict(heads)
        for layer in (*trunk, self.head):
            std = math.sqrt((0.02 if layer is self.head else 2.0) / layer.in_features)
            nn.init.normal_(layer.weight, 0.0, std, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Inputs (B, I) to each head's outputs (B, size)."""
        for layer in self.trunk:
            x = nn.functional.silu(layer(x))
        parts = torch.split(self.head(x), list(self.sizes.values()), dim=-1)
        return dict(zip(self.sizes, parts, strict=True))
