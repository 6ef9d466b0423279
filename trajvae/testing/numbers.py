"""What the checks share: requirements, means of draws, and central differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ERRORS = 4.0  # standard errors within which Monte-Carlo means agree


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with a message unless a condition holds."""
    if not condition:
        raise AssertionError(message)


def close(
    found: Tensor, expected: Tensor, message: str, *, rtol: float | None = None, atol: float | None = None
) -> None:
    """Raise AssertionError unless two tensors agree, in shape and dtype too."""
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol, msg=lambda text: f"{message}: {text}")


def agrees(draws: Tensor, expected: Tensor | float, dim: int = 0) -> bool:
    """Return whether the mean of draws along a dimension is within four standard errors of a value."""
    error = draws.std(dim=dim) / draws.shape[dim] ** 0.5
    return bool(((draws.mean(dim=dim) - expected).abs() <= ERRORS * error + 1e-12).all())


def same_means(first: Tensor, second: Tensor) -> bool:
    """Return whether two sets of draws (n, ...) have the same mean, within four standard errors of the difference."""
    error = ((first.var(dim=0) + second.var(dim=0)) / len(first)).sqrt()
    return bool(((first.mean(dim=0) - second.mean(dim=0)).abs() <= ERRORS * error + 1e-9).all())


def random_heads(sizes: dict[str, int], n: int, seed: int = 3, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Return random outputs of a network, (n, size) for each head, of order one."""
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.7 * torch.randn(n, size, generator=generator, dtype=dtype) for name, size in sizes.items()}


def repeat(params: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """Return every row n times, one copy after the other."""
    return {name: value.repeat_interleave(n, dim=0) for name, value in params.items()}


def check_gradients(
    value: Callable[[dict[str, Tensor]], Tensor], params: dict[str, Tensor], what: str, skip: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Compare gradients by parameters with central differences, and return them.

    Parameters
    ----------
    value : callable
        Maps parameters to a scalar.
    params : dict of str to Tensor
        Float64.
    what : str
        The quantity, for the message.
    skip : tuple of str
        Parameters that are left out.
    """
    leaves = {name: at.detach().requires_grad_(True) for name, at in params.items()}
    found = torch.autograd.grad(value(leaves), list(leaves.values()), allow_unused=True, materialize_grads=True)
    gradients = dict(zip(leaves, found, strict=True))
    for name, gradient in gradients.items():
        if name not in skip:
            numeric = _differences(value, params, name)
            close(gradient, numeric, f"gradient of {what} by '{name}'", rtol=1e-4, atol=1e-8)
    return gradients


def _differences(
    value: Callable[[dict[str, Tensor]], Tensor], params: dict[str, Tensor], name: str, step: float = 1e-5
) -> Tensor:
    at = params[name].detach()
    numeric = torch.zeros_like(at)
    for i in range(at.numel()):
        shift = torch.zeros_like(at).view(-1)
        shift[i] = step
        up, down = (value({**params, name: at + sign * shift.view_as(at)}) for sign in (1, -1))
        numeric.view(-1)[i] = ((up - down) / (2 * step)).detach()
    return numeric
