"""Fully connected networks with named outputs, whose initial weights are drawn from a given generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trajvae.errors import OptionError
from trajvae.torch_types import AutogradContext, AutogradFunction, Gradients


class _SiLU(AutogradFunction):
    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor) -> Tensor:
        """Compute the values."""
        ctx.save_for_backward(x)
        return nn.functional.silu(x)

    @staticmethod
    def backward(ctx: AutogradContext, *gradients: Tensor) -> Tensor:
        """Apply the chain rule, by a function that can be differentiated once more."""
        slope: Tensor = _SlopeOfSiLU.apply(gradients[0], *ctx.saved_tensors)
        return slope


class _SlopeOfSiLU(AutogradFunction):
    @staticmethod
    def forward(ctx: AutogradContext, gradient: Tensor, x: Tensor) -> Tensor:
        """Multiply a gradient with the slope of SiLU at x."""
        ctx.save_for_backward(gradient, x)
        slope: Tensor = torch.ops.aten.silu_backward(gradient, x)
        return slope

    @staticmethod
    @once_differentiable
    def backward(ctx: AutogradContext, again: Tensor) -> Gradients:
        """Apply the chain rule; with s the sigmoid, the second derivative of SiLU is s (1 - s) (2 + x (1 - 2 s))."""
        gradient, x = ctx.saved_tensors
        s = x.sigmoid()
        bend = s.mul(-2.0).add_(1.0).mul_(x).add_(2.0).mul_(torch.addcmul(s, s, s, value=-1.0))
        return torch.ops.aten.silu_backward(again, x), bend.mul_(gradient).mul_(again)


def silu_second_order(x: Tensor) -> Tensor:
    """Return the SiLU of x with a fast second derivative, for callers who differentiate its gradient."""
    out: Tensor = _SiLU.apply(x)
    return out


class MLP(nn.Module):
    """Apply layers with SiLU (the trunk) and one linear layer (the head) whose outputs are split by name.

    Parameters
    ----------
    n_inputs : int
    hidden : sequence of int
        Widths of the trunk's layers.
    heads : mapping of str to int
        Name and size of each output.
    generator : torch.Generator
        The source of the initial weights.
    carried : int
        Number of inputs that are added to the first outputs of the head `loc`. Its own part then starts as zero, so
        that at first these outputs are these inputs.

    Notes
    -----
    SiLU is smooth: decoders are differentiated twice by the Riemannian backends. Weights start as
    N(0, 2 / fan-in), those of the heads a hundred times smaller in variance, biases at zero.
    """

    input_scale: Tensor

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int],
        heads: Mapping[str, int],
        generator: torch.Generator,
        carried: int = 0,
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
        self.carried = carried
        if carried:
            self.register_buffer("input_scale", torch.ones(n_inputs))
            with torch.no_grad():
                self.head.weight[self.rows("loc")] = 0.0

    def rows(self, head: str) -> slice:
        """Return the place of a head's outputs among all outputs."""
        names = list(self.sizes)
        first = sum(self.sizes[name] for name in names[: names.index(head)])
        return slice(first, first + self.sizes[head])

    @torch.no_grad()
    def start_linear(self, head: str, n: int, combinations: Tensor | None = None) -> None:
        """Set initial weights so that the first n outputs of a head are the first n inputs, plus random contributions.

        Two units of each layer carry a number, since silu(x) - silu(-x) = x: the map is exact, other units keep their
        weights, and training changes all of them. At most half of the narrowest layer's units carry numbers.

        Parameters
        ----------
        head : str
        n : int
        combinations : Tensor, shape (n, I), optional
            Take these combinations of inputs instead of the first inputs.
        """
        *trunk, last = (weight for weight, _ in self._layers)
        n = min(n, min(len(weight) for weight in trunk) // 4)
        pair, eye = torch.tensor([1.0, -1.0]), torch.eye(n)
        for weight in trunk:
            carried = eye if weight is trunk[0] else torch.kron(eye, pair[None])  # numbers, or differences of two units
            weight[: 2 * n] = 0.0
            if weight is trunk[0] and combinations is not None:
                carried = combinations[:n].to(weight).cpu().contiguous()
            weight[: 2 * n, : carried.shape[1]] = torch.kron(carried, pair[:, None]).to(weight)
        first = self.rows(head).start
        last[first : first + n, : 2 * n] = torch.kron(eye, pair[None])

    def forward(self, x: Tensor, *, second_order: bool = False) -> dict[str, Tensor]:
        """Return each head's outputs (B, size) of inputs (B, I).

        Parameters
        ----------
        x : Tensor
        second_order : bool
            Whether a gradient will be differentiated again: then the second derivative, of equal value, costs less.
        """
        if not self.carried:
            return self.after_first(nn.functional.linear(x, *self._layers[0]), second_order=second_order)
        first = nn.functional.linear(x * self.input_scale, *self._layers[0])
        return self.after_first(first, x[:, : self.carried], second_order=second_order)

    @property
    def first(self) -> nn.Linear:
        """First layer."""
        return cast(nn.Linear, self.trunk[0])

    def after_first(self, x: Tensor, carried: Tensor | None = None, *, second_order: bool = False) -> dict[str, Tensor]:
        """Return the outputs of `forward` from those of the first layer before its SiLU, and the inputs carried on.

        Parameters
        ----------
        x : Tensor, shape (B, width)
        carried : Tensor, shape (B, carried), optional
        second_order : bool
            As in `forward`.
        """
        silu = silu_second_order if second_order else nn.functional.silu
        for weight, bias in self._layers[1:]:  # calling the module would take 10 us more
            x = nn.functional.linear(silu(x), weight, bias)
        if carried is not None:
            first = self.rows("loc").start
            x = x + nn.functional.pad(carried, (first, x.shape[1] - first - self.carried))
        if len(self.sizes) == 1:
            return dict.fromkeys(self.sizes, x)
        return dict(zip(self.sizes, torch.split(x, list(self.sizes.values()), dim=-1), strict=True))
