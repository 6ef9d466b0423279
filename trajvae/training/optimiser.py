"""AdamW for all weights of the networks as one vector, with one call for the norm and one for the step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trajvae.runtime.ranks import ALONE, Ranks

_LONGEST_GRADIENT = 5.0
_ALIGNMENT = 16  # numbers, which are 64 bytes
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_UPDATE_EVERY = 4  # steps, after which the average of the weights is updated
# the average is over the last 200 steps, or over the last fortieth of a shorter training
_LONGEST_AVERAGE, _PART_AVERAGED = 200.0, 40.0
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def aligned_size(p: Tensor) -> int:
    """Return a parameter's size in the vector of all weights, such that the next begins at a multiple of 64 bytes.

    Products of aligned parameters are faster, and do not depend on their place in the last bits.
    """
    return -(-p.numel() // _ALIGNMENT) * _ALIGNMENT


class Optimiser:
    """Optimise networks, and the parameters of a latent space with another learning rate.

    Parameters
    ----------
    networks : sequence of Parameter
        Parameters of the networks. They become views of one vector, and their gradients views of another, which saves
        calls: in small steps these cost as much time as the arithmetic.
    own : sequence of Parameter
        Parameters of the latent space, without weight decay.
    weight_decay : float
    total : float
        Steps of the whole training, which determine the steps that weights are averaged over.
    ranks : Ranks
        The processes over which gradients are averaged.

    Notes
    -----
    The gradient of all parameters together is clipped to the length 5.
    """

    def __init__(
        self,
        networks: Sequence[nn.Parameter],
        own: Sequence[nn.Parameter],
        weight_decay: float,
        total: float = math.inf,
        ranks: Ranks = ALONE,
    ) -> None:
        self.networks, self.own = list(networks), list(own)
        offsets = list(itertools.accumulate((aligned_size(p) for p in self.networks), initial=0))
        self.weights = self.networks[0].detach().new_zeros(offsets[-1])
        self.gradient = torch.zeros_like(self.weights)
        for p, offset in zip(self.networks, offsets[:-1], strict=True):
            rows = slice(offset, offset + p.numel())
            self.weights[rows] = p.detach().flatten()
            p.data, p.grad = self.weights[rows].view_as(p), self.gradient[rows].view_as(p)
        self.decay, self._ranks = weight_decay, ranks
        self.average, self.steps = self.weights.clone(), 0
        self._share = min(1.0, _UPDATE_EVERY / min(_LONGEST_AVERAGE, total / _PART_AVERAGED))
        self.moments: dict[int, dict[str, Tensor]] = {}

    def step(self, loss: Tensor, rate: float, own_rate: float) -> None:
        """Make one step of the networks and of the latent space, with these learning rates."""
        self.gradient.zero_()
        for p in self.own:
            p.grad = None
        torch.autograd.backward(loss)
        slopes = {i: p.grad for i, p in enumerate(self.own, 1) if p.grad is not None}
        for slope in (self.gradient, *slopes.values()):
            self._ranks.average(slope)
        norm = torch.linalg.vector_norm(self.gradient)
        if slopes:
            norm = torch.linalg.vector_norm(torch.stack([norm, *map(torch.linalg.vector_norm, slopes.values())]))
        share = (_LONGEST_GRADIENT / (norm + 1e-6)).clamp(max=1.0)
        for slope in (self.gradient, *slopes.values()):
            slope.mul_(share)
        self._descend({0: self.gradient}, rate, self.decay)
        if slopes:
            self._descend(slopes, own_rate, 0.0)
        self.steps += 1
        if self.steps % _UPDATE_EVERY == 0:
            self.average.lerp_(self.weights, max(_UPDATE_EVERY / self.steps, self._share))

    def copy_first(self) -> None:
        """Take the weights of the first process: processors of other kinds round otherwise, and would drift apart."""
        self._ranks.copy_first((self.weights, self.average, *(p.data for p in self.own)))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Replace the networks' weights by their average over the last steps, as long as the context lasts.

        At a high learning rate weights fluctuate around a minimum, and with them the ELBO of few frames; their average
        is nearer to the minimum.

        References
        ----------
        B. Polyak, A. Juditsky, SIAM J. Control Optim. 30, 838 (1992).
        """
        present = self.weights.clone()
        self.weights.copy_(self.average)
        try:
            yield
        finally:
            self.weights.copy_(present)

    def _descend(self, slopes: Mapping[int, Tensor], rate: float, decay: float) -> None:
        """Make a step of AdamW of some vectors, which are named by index: 0 is that of the networks.

        This calls the kernel of `torch.optim.AdamW(fused=True)` directly. The Python code around it takes a fifth of a
        millisecond, since a batch between two steps drives it out of the processor's cache.
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
        """Return AdamW's moments of a vector, which are zero before its first step."""
        if i not in self.moments:
            zeros = torch.zeros((), device=vector.device), torch.zeros_like(vector), torch.zeros_like(vector)
            self.moments[i] = dict(zip(_MOMENTS, zeros, strict=True))
        return self.moments[i]

    def release(self) -> None:
        """Give each parameter memory of its own again, as if it were read from a file."""
        for p in (*self.networks, *self.own):
            p.grad, p.data = None, p.data.clone()

    def state(self) -> dict[str, Tensor]:
        """Return the state of the optimiser by name: moments, averaged weights and number of steps."""
        moments = {f"{i}.{name}": m[name] for i, m in sorted(self.moments.items()) for name in _MOMENTS}
        return {**moments, "average": self.average, "steps": torch.tensor(self.steps)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a state; the weights themselves are loaded by `Trainer.restore`."""
        self.average.copy_(state["average"])
        self.steps = int(state["steps"])
        for i, p in enumerate((self.weights, *self.own)):
            if f"{i}.step" in state:
                self.moments[i] = {name: state[f"{i}.{name}"].to(p.device) for name in _MOMENTS}
