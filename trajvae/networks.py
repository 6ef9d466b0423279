"""Fully connected networks with named heads; weights drawn from an explicit generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trajvae.errors import OptionError


class _SiLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Values."""
        ctx.save_for_backward(x)
        return nn.functional.silu(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The chain rule, differentiable once more."""
        return _SlopeOfSiLU.apply(gradients[0], *ctx.saved_tensors)  # type: ignore[no-untyped-call]


class _SlopeOfSiLU(Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor) -> Tensor:
        """A gradient times the slope at x."""
        ctx.save_for_backward(gradient, x)
        slope: Tensor = torch.ops.aten.silu_backward(gradient, x)
        return slope

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, again: Tensor) -> Any:
        """With s the sigmoid, the second derivative is s (1 - s) (2 + x (1 - 2 s))."""
        gradient, x = ctx.saved_tensors
        s = x.sigmoid()
        bend = s.mul(-2.0).add_(1.0).mul_(x).add_(2.0).mul_(torch.addcmul(s, s, s, value=-1.0))
        return torch.ops.aten.silu_backward(again, x), bend.mul_(gradient).mul_(again)


def silu_second_order(x: Tensor) -> Tensor:
    """Return SiLU with a fast second derivative, for callers who differentiate its gradient."""
    out: Tensor = _SiLU.apply(x)  # type: ignore[no-untyped-call]
    return out


class MLP(nn.Module):
    """Apply a trunk of SiLU layers and a linear head that is split into named parameters.

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
        self._layers = [(layer.weight, layer.bias) for layer in (*trunk, self.head)]

    @torch.no_grad()
    def start_linear(self, head: str, n: int) -> None:
        """Start with the first n outputs of a head equal to the first n inputs, beside what is random.

        Two units of each layer carry a number, since silu(x) - silu(-x) = x: the map is exact, the other units are as
        they were, and training changes all of them. As many numbers as half of the narrowest layer's units are carried.

        Parameters
        ----------
        head : str
        n : int
        """
        *trunk, last = (weight for weight, _ in self._layers)
        n = min(n, min(len(weight) for weight in trunk) // 4)
        pair, eye = torch.tensor([1.0, -1.0]), torch.eye(n)
        for weight in trunk:
            carried = eye if weight is trunk[0] else torch.kron(eye, pair[None])  # numbers, or differences of two units
            weight[: 2 * n] = 0.0
            weight[: 2 * n, : carried.shape[1]] = torch.kron(carried, pair[:, None])
        names = list(self.sizes)
        first = sum(self.sizes[name] for name in names[: names.index(head)])
        last[first : first + n, : 2 * n] = torch.kron(eye, pair[None])

    def forward(self, x: Tensor, *, second_order: bool = False) -> dict[str, Tensor]:
        """Return each head's outputs (B, size) of inputs (B, I).

        Parameters
        ----------
        x : Tensor
        second_order : bool
            That a gradient will be differentiated again: the same numbers, with less work for the second derivative.
        """
        return self.after_first(nn.functional.linear(x, *self._layers[0]), second_order=second_order)

    @property
    def first(self) -> nn.Linear:
        """First layer."""
        return cast(nn.Linear, self.trunk[0])

    def after_first(self, x: Tensor, *, second_order: bool = False) -> dict[str, Tensor]:
        """Return what `forward` returns, from the first layer's outputs before its SiLU, (B, width)."""
        silu = silu_second_order if second_order else nn.functional.silu
        for weight, bias in self._layers[1:]:  # a module's call would cost 10 us more
            x = nn.functional.linear(silu(x), weight, bias)
        if len(self.sizes) == 1:
            return dict.fromkeys(self.sizes, x)
        return dict(zip(self.sizes, torch.split(x, list(self.sizes.values()), dim=-1), strict=True))
