"""AdamW over all weights of the networks as one vector: one call for the norm, one for the step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_CLIP = 5.0
_ALIGNED = 16  # numbers: 64 bytes
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_EVERY, _HORIZON, _PART = 4, 200.0, 40.0  # steps between updates of the average, and that it is over, at most
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def aligned_size(p: Tensor) -> int:
    """Return the numbers that a parameter takes when the next begins aligned.

    Products of aligned parameters are faster, and their last bits the same.
    """
    return -(-p.numel() // _ALIGNED) * _ALIGNED


class Optimiser:
    """Optimise networks, and a latent's own parameters with a learning rate of their own.

    Parameters
    ----------
    networks : sequence of Parameter
        They become views of one vector, and their gradients views of another: a small step costs as much for calls as
        for numbers.
    own : sequence of Parameter
        The latent's, without weight decay; few, and free to be replaced.
    weight_decay : float
    total : float
        Steps of the whole training: averages of weights are over a fortieth of them, and over 200 steps at most.

    Notes
    -----
    Gradients together are no longer than 5.
    """

    def __init__(
        self,
        networks: Sequence[nn.Parameter],
        own: Sequence[nn.Parameter],
        weight_decay: float,
        total: float = math.inf,
    ) -> None:
        self.networks, self.own = list(networks), list(own)
        places = list(itertools.accumulate((aligned_size(p) for p in self.networks), initial=0))
        self.weights = self.networks[0].detach().new_zeros(places[-1])
        self.gradient = torch.zeros_like(self.weights)
        for p, place in zip(self.networks, places[:-1], strict=True):
            rows = slice(place, place + p.numel())
            self.weights[rows] = p.detach().flatten()
            p.data, p.grad = self.weights[rows].view_as(p), self.gradient[rows].view_as(p)
        self.decay = weight_decay
        self.average, self.steps = self.weights.clone(), 0
        self._share = min(1.0, _EVERY / min(_HORIZON, total / _PART))
        self.moments: dict[int, dict[str, Tensor]] = {}

    def step(self, loss: Tensor, rate: float, own_rate: float) -> None:
        """Make one step down the gradient of a loss, at these learning rates."""
        self.gradient.zero_()
        for p in self.own:
            p.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        slopes = {i: p.grad for i, p in enumerate(self.own, 1) if p.grad is not None}
        norm = torch.linalg.vector_norm(self.gradient)
        if slopes:
            norm = torch.linalg.vector_norm(torch.stack([norm, *map(torch.linalg.vector_norm, slopes.values())]))
        share = (_CLIP / (norm + 1e-6)).clamp(max=1.0)
        for slope in (self.gradient, *slopes.values()):
            slope.mul_(share)
        self._descend({0: self.gradient}, rate, self.decay)
        if slopes:
            self._descend(slopes, own_rate, 0.0)
        self.steps += 1
        if self.steps % _EVERY == 0:
            self.average.lerp_(self.weights, max(_EVERY / self.steps, self._share))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the average of the networks' weights over the last steps in their place for a while.

        At a high learning rate weights wander about what they tend to, and so does the ELBO of few frames; the average
        is near what they tend to.

        References
        ----------
        B. Polyak, A. Juditsky, SIAM J. Control Optim. 30, 838 (1992).
        """
        own = self.weights.clone()
        self.weights.copy_(self.average)
        try:
            yield
        finally:
            self.weights.copy_(own)

    def _descend(self, slopes: Mapping[int, Tensor], rate: float, decay: float) -> None:
        """A step of vectors by their numbers: the networks' is 0.

        The kernel of `torch.optim.AdamW(fused=True)`, called without what that does around it: a fifth of a
        millisecond, since between two steps a batch has driven all of it out of the processor's cache.
        """
        vectors = [self.own[i - 1].data if i else self.weights for i in slopes]
        moments = [self._moments(i, vector) for i, vector in zip(slopes, vectors, strict=True)]
        steps, first, second = ([m[name] for m in moments] for name in _MOMENTS)
        torch._foreach_add_(steps, 1.0)
        torch._fused_adamw_(
            vectors,
            list(slopes.values()),
            first,
            second,
            [],
            steps,
            lr=rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def _moments(self, i: int, vector: Tensor) -> dict[str, Tensor]:
        """What a vector's steps are made of, zero before the first."""
        if i not in self.moments:
            still = torch.zeros((), device=vector.device), torch.zeros_like(vector), torch.zeros_like(vector)
            self.moments[i] = dict(zip(_MOMENTS, still, strict=True))
        return self.moments[i]

    def release(self) -> None:
        """Give the networks memory of their own again, as they have it when they come from a file."""
        for p in (*self.networks, *self.own):
            p.grad, p.data = None, p.data.clone()

    def state(self) -> dict[str, Tensor]:
        """Return the state of the optimiser beside the weights, by name."""
        moments = {f"{i}.{name}": m[name] for i, m in sorted(self.moments.items()) for name in _MOMENTS}
        return {**moments, "average": self.average, "steps": torch.tensor(self.steps)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a state; weights are loaded by those who hold the networks."""
        self.average.copy_(state["average"])
        self.steps = int(state["steps"])
        for i, p in enumerate((self.weights, *self.own)):
            if f"{i}.step" in state:
                self.moments[i] = {name: state[f"{i}.{name}"].to(p.device) for name in _MOMENTS}
