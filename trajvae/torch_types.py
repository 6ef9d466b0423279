"""Types that torch's own annotations leave out: of autograd functions, forward-mode derivatives and its exceptions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function
from torch.distributions import Distribution, kl

# The first argument of `forward` and `backward`. It holds whatever attributes these methods give it, so no type fits.
AutogradContext: TypeAlias = Any
Gradients: TypeAlias = tuple[Tensor | None, ...]  # one for each argument of `forward`, None for one without a gradient
Density = TypeVar("Density", bound=Callable[..., Tensor])

# raised where a matrix is singular, not positive definite or not finite
LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]

# held while derivatives are computed by forward-mode differentiation: torch counts its levels for all threads together
FORWARD_MODE = threading.RLock()


class AutogradFunction(Function):
    """Describe an operation of tensors with a derivative of its own; `apply` is torch's, with a type."""

    if TYPE_CHECKING:

        @classmethod
        def apply(cls, *args: object) -> Any:
            """Return the result of `forward`, connected to the graph."""


def directional_derivative(
    function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a function's value at a point and its derivative along a direction, by forward-mode differentiation."""
    with FORWARD_MODE:
        pair = torch.func.jvp(function, (at,), (direction,))
    return pair[0], pair[1]


def register_divergence(p: type[Distribution], q: type[Distribution]) -> Callable[[Density], Density]:
    """Return a decorator that registers a function as the Kullback-Leibler divergence of two distributions."""
    decorate: Callable[[Density], Density] = kl.register_kl(p, q)  # type: ignore[no-untyped-call]
    return decorate
