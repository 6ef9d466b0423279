"""Matrix products alone: what no training of the same networks can be faster than."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from speed.clock import Timer, seconds

Product = tuple[Tensor, Tensor, Tensor]


def layers(features: int, hidden: Sequence[int], heads: int, latent: int) -> list[tuple[int, int]]:
    """Inputs and outputs of the encoder's layers and then the decoder's."""
    encoder, decoder = (features, *hidden, heads), (latent, *hidden, features)
    return [pair for sizes in (encoder, decoder) for pair in itertools.pairwise(sizes)]


def _of_layer(n_in: int, n_out: int, batch: int, backward: bool, inner: bool) -> list[Product]:
    """Of values, and of the gradients of weights and, behind another layer, of inputs; with room for the results."""
    x, weight, slope = torch.randn(batch, n_in), torch.randn(n_out, n_in), torch.randn(batch, n_out)
    out: list[Product] = [(x, weight.T, torch.empty(batch, n_out))]
    if backward:
        out.append((slope.T, x, torch.empty(n_out, n_in)))
    if backward and inner:
        out.append((slope, weight, torch.empty(batch, n_in)))
    return out


def products(sizes: Sequence[tuple[int, int]], batch: int, repeats: int, *, backward: bool = True) -> Timer:
    """Seconds of so many steps' products, three a layer in training.

    The data need no gradient, so the encoder's first layer has two: at 642 features a ninth less than three would be.
    """
    torch.manual_seed(0)
    work = [p for k, (a, b) in enumerate(sizes) for p in _of_layer(a, b, batch, backward, k > 0)]

    def run() -> None:
        for _ in range(repeats):
            for left, right, room in work:
                torch.mm(left, right, out=room)

    return seconds(run)
