"""Hamiltonian Monte Carlo with many chains at once, and how many independent draws its samples are worth.

References
----------
R. M. Neal, in Handbook of Markov Chain Monte Carlo, CRC 2011, ch. 5: the method.
M. D. Hoffman, A. Gelman, J. Mach. Learn. Res. 15, 1593 (2014), sec. 3.2: the time step by dual averaging.
A. Gelman et al., Bayesian Data Analysis, 3rd ed., CRC 2013, eq. 11.4 to 11.8: the effective sample size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], tuple[Tensor, Tensor]]
_WANTED = 0.8  # acceptance that the time step is set for
# of dual averaging; a mean over chains is quieter than one chain, so steps react less than Hoffman and Gelman's 0.05
_SHRINK, _DELAY, _FORGET = 0.2, 10, 0.75


@dataclass(frozen=True)
class SamplingPlan:
    """Set how long to run.

    Attributes
    ----------
    leaps : int
        Leapfrog steps an iteration.
    burn_in : int
        Iterations that are thrown away; the time step is set in them.
    iterations : int
        That are kept.
    """

    leaps: int = 15
    burn_in: int = 200
    iterations: int = 20


class Chains(NamedTuple):
    """Hold the states of the chains, and their acceptance.

    Attributes
    ----------
    samples : Tensor, shape (iterations, chains, d)
    acceptance : float
        Mean share of accepted proposals after the burn-in.
    """

    samples: Tensor
    acceptance: float


def hamiltonian_monte_carlo(
    log_density: LogDensity, start: Tensor, scale: Tensor, plan: SamplingPlan, generator: torch.Generator
) -> Chains:
    """Run chains side by side; acceptance is decided in logarithms.

    Parameters
    ----------
    log_density : callable
        z (C, d) to log p(z) (C,), up to a constant, and its gradient (C, d).
    start : Tensor, shape (C, d)
        Where each chain begins.
    scale : Tensor, shape (d,)
        About how wide the density is; one unit of time goes as far.
    plan : SamplingPlan
    generator : torch.Generator
    """
    walk = Walk(log_density, start, scale, plan.leaps)
    walk.run(plan.burn_in, generator, tune=True)
    return walk.run(plan.iterations, generator)


class _DualAveraging:
    """The time step whose mean acceptance is the wanted one; see Hoffman and Gelman, algorithm 5."""

    def __init__(self, start: float) -> None:
        self.middle, self.short, self.mean, self.rounds = math.log(2.0 * start), 0.0, math.log(start), 0

    def next(self, chance: float) -> float:
        """The step to try after one that was accepted with this chance."""
        self.rounds += 1
        share = 1.0 / (self.rounds + _DELAY)
        self.short = (1.0 - share) * self.short + share * (_WANTED - chance)
        step = self.middle - self.rounds**0.5 / _SHRINK * self.short
        weight = self.rounds**-_FORGET
        self.mean = weight * step + (1.0 - weight) * self.mean
        return math.exp(step)

    @property
    def settled(self) -> float:
        """The mean of the steps that were tried, the later ones weighing more."""
        return math.exp(self.mean)


class Walk:
    """Run chains that can be continued.

    Parameters
    ----------
    log_density, start, scale, leaps
        See `hamiltonian_monte_carlo` and `SamplingPlan`.
    """

    def __init__(self, log_density: LogDensity, start: Tensor, scale: Tensor, leaps: int) -> None:
        self.log_density, self.scale, self.leaps = log_density, scale, leaps
        self.longest = 0.2
        self.z, (self.value, self.gradient) = start, log_density(start)

    def run(self, iterations: int, generator: torch.Generator, *, tune: bool = False) -> Chains:
        """Continue the chains for a number of iterations; `tune` adapts the time step on the way."""
        kept, accepted = [], 0.0
        tuning = _DualAveraging(self.longest)
        for _ in range(iterations):
            chance = self._step(generator)
            kept.append(self.z)
            accepted += chance / iterations
            if tune:
                self.longest = tuning.next(chance)
        if tune and iterations:
            self.longest = tuning.settled
        return Chains(torch.stack(kept) if kept else self.z.new_empty((0, *self.z.shape)), accepted)

    def _step(self, generator: torch.Generator) -> float:
        """One iteration of every chain; the mean chance of being accepted."""
        z, scale = self.z, self.scale
        # a time that varies has no period in common with the motion
        size = self.longest * (0.7 + 0.3 * float(torch.rand((), device=z.device, generator=generator)))
        momentum = torch.randn(z.shape, dtype=z.dtype, device=z.device, generator=generator)
        end, moved = z, momentum + 0.5 * size * scale * self.gradient
        for leap in range(self.leaps):
            end = end + size * scale * moved
            there, slope = self.log_density(end)
            moved = moved + (1.0 if leap + 1 < self.leaps else 0.5) * size * scale * slope
        gain = there - self.value + 0.5 * (momentum.square() - moved.square()).sum(dim=-1)
        chance = torch.nan_to_num(gain, nan=-torch.inf).clamp(max=0.0).exp()
        good = torch.rand(len(z), dtype=z.dtype, device=z.device, generator=generator) < chance
        self.z, self.gradient = (torch.where(good[:, None], a, b) for a, b in ((end, z), (slope, self.gradient)))
        self.value = torch.where(good, there, self.value)
        return float(chance.mean())


def effective_sample_size(samples: Tensor) -> float:
    """Return the effective sample size of the coordinate that mixes worst.

    Parameters
    ----------
    samples : Tensor, shape (iterations, chains, d)
        Two iterations or more; autocorrelations are summed up to the first negative sum of two neighbours.
    """
    n, chains, _ = samples.shape
    within = samples.var(dim=0).mean(dim=0)
    between = samples.mean(dim=0).var(dim=0) if chains > 1 else torch.zeros_like(within)
    total = (n - 1) / n * within + between
    correlation = [
        1.0 - 0.5 * (samples[lag:] - samples[: n - lag]).square().mean(dim=(0, 1)) / total for lag in range(1, n)
    ]
    summed, open_still = torch.zeros_like(total), torch.ones_like(total, dtype=torch.bool)
    for first in range(0, n - 2, 2):
        pair = correlation[first] + correlation[first + 1]
        open_still &= pair > 0.0
        summed = summed + torch.where(open_still, pair, 0.0)
    return float((n * chains / (1.0 + 2.0 * summed)).min())
