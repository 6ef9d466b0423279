"""Distributions of torsions: mixtures of von Mises distributions, independent or autoregressive.

References
----------
K. V. Mardia, P. E. Jupp, Directional Statistics (2000), sec. 3.5.4: the von Mises distribution.
M. Germain, K. Gregor, I. Murray, H. Larochelle, ICML 2015: masks that make a network autoregressive.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trajvae.likelihoods.base import Params

NUMBERS = 3  # of a component: log weight, concentration times cosine and sine of its mean
_SHARPEST = 100.0  # concentration; a standard deviation of 0.1
_GRID = 256  # points of the circle by which draws are made; at the sharpest their variance is 1 % too large
_AT_ONCE = 2  # independent torsions that are drawn at once
_ROWS = 128  # of them
_START = 1.5  # concentration of the components before training, spread evenly over the circle


def mixture_terms(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return log weights (..., M) and concentration vectors (..., M, 2) of mixtures of numbers (..., M, 3)."""
    vector = numbers[..., 1:]
    size = torch.sqrt(vector.square().sum(dim=-1, keepdim=True) + 1e-12)
    weight = numbers[..., 0]  # log_softmax has no forward derivative of its own
    return weight - torch.logsumexp(weight, dim=-1, keepdim=True), vector * torch.rsqrt(
        1.0 + (size / _SHARPEST).square()
    )


def log_density(numbers: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return the log density (...) under mixtures (..., M, 3) of angles given by cosine and sine, both (...)."""
    log_weight, vector = mixture_terms(numbers)
    size = torch.sqrt(vector.square().sum(dim=-1) + 1e-12)
    along = vector[..., 0] * cosine[..., None] + vector[..., 1] * sine[..., None]
    normalisation = torch.special.i0e(size).log() + math.log(2.0 * math.pi)
    return torch.logsumexp(log_weight + along - size - normalisation, dim=-1)


def mean_direction(numbers: Tensor) -> Tensor:
    """Return the angle of the mean of (cos, sin) under mixtures (..., M, 3), in radians, (...)."""
    log_weight, vector = mixture_terms(numbers)
    size = torch.sqrt(vector.square().sum(dim=-1) + 1e-12)
    length = torch.special.i1e(size) / torch.special.i0e(size)
    mean = ((log_weight.exp() * length / size)[..., None] * vector).sum(dim=-2)
    x, y = mean.unbind(dim=-1)
    angle = torch.atan2(y.detach(), x.detach())  # atan2 has no forward derivative of its own either
    c, s = angle.cos(), angle.sin()
    along = x * c + y * s
    return angle + torch.atan((y * c - x * s) / torch.where(along > 0.0, along, 1.0))  # none where components cancel


def _on_grid(numbers: Tensor, points: Tensor) -> Tensor:
    """Return the densities of mixtures (..., M, 3) at points (G,), (..., G), by matrix products."""
    log_weight, vector = mixture_terms(numbers)
    size = torch.sqrt(vector.square().sum(dim=-1) + 1e-12)
    along = vector @ torch.stack([points.cos(), points.sin()])
    height = log_weight.exp() / (2.0 * math.pi * torch.special.i0e(size))
    density: Tensor = (height[..., None, :] @ (along - size[..., None]).exp())[..., 0, :]
    return density


def inverse(numbers: Tensor, share: Tensor) -> Tensor:
    """Return the quantiles in [-pi, pi) of mixtures (..., M, 3) for given probabilities (...).

    Mass is counted from the point opposite to the mean direction, where there is least of it. The density is taken at
    points of a grid and is linear between them; differentiable in the mixtures, so that draws made with the same shares
    follow them smoothly. Without derivatives some rows at once are done, so that their grids stay in a cache.
    """
    if torch.is_grad_enabled() or len(numbers) <= _ROWS:
        return _inverse(numbers, share)
    pieces = zip(torch.split(numbers, _ROWS), torch.split(share, _ROWS), strict=True)
    return torch.cat([_inverse(*piece) for piece in pieces])


def _inverse(numbers: Tensor, share: Tensor) -> Tensor:
    step = 2.0 * math.pi / _GRID
    share = share.clamp(max=1.0 - 1e-7)
    centre = mean_direction(numbers).detach()
    points = torch.arange(_GRID, dtype=numbers.dtype, device=numbers.device) * step - math.pi
    density = _on_grid(_turned(numbers, centre), points)
    following = density.roll(-1, dims=-1)
    mass = torch.cumsum(0.5 * step * (density + following), dim=-1)
    wanted = share[..., None] * mass[..., -1:]
    bin_ = torch.searchsorted(mass.detach(), wanted.detach(), right=True).clamp(max=_GRID - 1)
    below = torch.where(bin_ > 0, mass.gather(-1, (bin_ - 1).clamp(min=0)), 0.0)
    p, q = density.gather(-1, bin_), following.gather(-1, bin_)
    area = (wanted - below).clamp(min=0.0)
    root = (p.square() + 2.0 * (q - p) / step * area).clamp(min=1e-30).sqrt()
    angle = (points[bin_] + (2.0 * area / (p + root)).clamp(max=step))[..., 0] + centre
    turns: Tensor = torch.floor((angle.detach() + math.pi) / (2.0 * math.pi))
    return angle - 2.0 * math.pi * turns


def _turned(numbers: Tensor, centre: Tensor) -> Tensor:
    """Return mixtures (..., M, 3) rotated by minus the given angles (...)."""
    c, s = centre.cos()[..., None], centre.sin()[..., None]
    weight, x, y = numbers.unbind(dim=-1)
    return torch.stack([weight, c * x + s * y, c * y - s * x], dim=-1)


class TorsionModel(nn.Module, ABC):
    """Describe a distribution of K torsions, each by a mixture of von Mises distributions.

    Parameters
    ----------
    n : int
        Number of torsions, K.
    components : int
        Number of components of each mixture, M.
    param_sizes : dict of str to int
        Sizes of the decoder's heads, which are the distribution's parameters, by name.

    Attributes
    ----------
    n_seen : int
        How many numbers `seen` returns for a frame.
    """

    start: Tensor

    def __init__(self, n: int, components: int, param_sizes: dict[str, int]) -> None:
        super().__init__()
        self.n, self.components, self.param_sizes, self.n_seen = n, components, param_sizes, 2 * n
        angle = 2.0 * math.pi * torch.arange(components, dtype=torch.float64) / components
        start = torch.stack([torch.zeros_like(angle), _START * angle.cos(), _START * angle.sin()], dim=-1)
        self.register_buffer("start", start, persistent=False)

    @abstractmethod
    def numbers(self, params: Params, torsions: Tensor, group: slice = slice(None)) -> Tensor:
        """Return the mixtures (B, K, M, 3) of a group, given the torsions (B, K) that they depend on."""

    @abstractmethod
    def groups(self) -> list[slice]:
        """Return the groups of torsions that are drawn together, in the order of drawing."""

    def seen(self, torsions: Tensor) -> Tensor:
        """Return the inputs of the network of bonds and angles: cosines and sines of torsions (B, K), (B, 2K)."""
        return torch.cat([torsions.cos(), torsions.sin()], dim=1)

    def log_prob(self, torsions: Tensor, params: Params) -> Tensor:
        """Return the log density of torsions (B, K) in radians, (B,)."""
        return log_density(self.numbers(params, torsions), torsions.cos(), torsions.sin()).sum(dim=-1)

    def draw(self, params: Params, share: Tensor) -> Tensor:
        """Return torsions (B, K) in radians computed from uniform numbers (B, K) in (0, 1)."""
        return self._walk(params, lambda numbers, group: inverse(numbers, share[:, group]), share)

    def mean(self, params: Params) -> Tensor:
        """Return mean directions in radians, each given those before it, (B, K)."""
        like = next(iter(params.values()))
        blank = torch.zeros(len(like), self.n, dtype=like.dtype, device=like.device)
        return self._walk(params, lambda numbers, group: mean_direction(numbers), blank)

    def _walk(self, params: Params, choose: Callable[[Tensor, slice], Tensor], blank: Tensor) -> Tensor:
        done: list[Tensor] = []
        for group in self.groups():
            so_far = torch.cat([*done, torch.zeros_like(blank[:, group.start :])], dim=1)
            done.append(choose(self.numbers(params, so_far, group), group))
        return torch.cat(done, dim=1) if done else blank


class Independent(TorsionModel):
    """Describe torsions that are independent given z."""

    def __init__(self, n: int, generator: torch.Generator, components: int = 3) -> None:
        super().__init__(n, components, {"torsions": n * components * NUMBERS} if n else {})

    def numbers(self, params: Params, torsions: Tensor, group: slice = slice(None)) -> Tensor:
        if not self.n:
            return torsions.new_zeros(len(torsions), 0, self.components, NUMBERS)
        return params["torsions"].view(-1, self.n, self.components, NUMBERS)[:, group] + self.start.to(torsions)

    def groups(self) -> list[slice]:
        """Return groups of a few torsions, since their grids determine the memory of a draw."""
        return [slice(k, min(k + _AT_ONCE, self.n)) for k in range(0, self.n, _AT_ONCE)]


class Autoregressive(TorsionModel):
    """Describe the distribution of each torsion given z and the torsions before it, by a masked network."""

    first_mask: Tensor
    second_mask: Tensor
    last_mask: Tensor

    def __init__(
        self, n: int, generator: torch.Generator, components: int = 6, context: int = 64, width: int = 128
    ) -> None:
        super().__init__(n, components, {"torsion_context": context})
        width = max(width, 2 * n)
        degree = torch.arange(width) % n  # number of torsions that a hidden unit depends on
        before = torch.arange(n)
        inputs = torch.cat([torch.full((context,), -1), before, before])
        outputs = before.repeat_interleave(components * NUMBERS)
        masks = (
            inputs[None, :] < degree[:, None],
            degree[None, :] <= degree[:, None],
            degree[None, :] <= outputs[:, None],
        )
        self.first, self.second = nn.Linear(context + 2 * n, width), nn.Linear(width, width)
        self.last = nn.Linear(width, n * components * NUMBERS)
        layers = (self.first, self.second, self.last)
        for name, mask, layer in zip(("first_mask", "second_mask", "last_mask"), masks, layers, strict=True):
            self.register_buffer(name, mask.float(), persistent=False)
            gain = 0.02 if layer is self.last else 2.0
            nn.init.normal_(layer.weight, 0.0, math.sqrt(gain / layer.in_features), generator=generator)
            nn.init.zeros_(layer.bias)

    def numbers(self, params: Params, torsions: Tensor, group: slice = slice(None)) -> Tensor:
        x = torch.cat([params["torsion_context"], torsions.cos(), torsions.sin()], dim=1)
        x = x.to(self.last.weight.dtype)  # draws are in double precision
        x = nn.functional.silu(nn.functional.linear(x, self.first.weight * self.first_mask, self.first.bias))
        x = nn.functional.silu(nn.functional.linear(x, self.second.weight * self.second_mask, self.second.bias))
        each = self.components * NUMBERS
        first, last, _ = group.indices(self.n)
        rows = slice(first * each, last * each)
        x = nn.functional.linear(x, self.last.weight[rows] * self.last_mask[rows], self.last.bias[rows]).to(torsions)
        return x.view(-1, last - first, self.components, NUMBERS) + self.start.to(torsions)

    def groups(self) -> list[slice]:
        """Return one group for each torsion, in order."""
        return [slice(k, k + 1) for k in range(self.n)]


TORSIONS: dict[str, type[Independent] | type[Autoregressive]] = {
    "independent": Independent,
    "autoregressive": Autoregressive,
}
