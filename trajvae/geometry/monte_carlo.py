"""Hamiltonian Monte Carlo with many chains at once, and the effective sample size of its draws.

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
_TARGET_ACCEPTANCE = 0.8  # that the time step is adapted to
# gamma, t0 and kappa of dual averaging; a mean over chains fluctuates less than one chain, so gamma is not 0.05
_GAMMA, _T0, _KAPPA = 0.2, 10, 0.75


@dataclass(frozen=True)
class SamplingPlan:
    """Set how long chains run.

    Attributes
    ----------
    leaps : int
        Leapfrog steps of an iteration.
    burn_in : int
        Iterations that are discarded; the time step is adapted in them.
    iterations : int
        Iterations that are kept.
    """

    leaps: int = 15
    burn_in: int = 200
    iterations: int = 20


class Chains(NamedTuple):
    """Hold the states of the chains, and their mean acceptance.

    Attributes
    ----------
    samples : Tensor, shape (iterations, chains, d)
    acceptance : float
        Mean fraction of accepted proposals after the burn-in.
    """

    samples: Tensor
    acceptance: float


def hamiltonian_monte_carlo(
    log_density: LogDensity, start: Tensor, scale: Tensor, plan: SamplingPlan, generator: torch.Generator
) -> Chains:
    """Run many chains at once and return their samples.

    Parameters
    ----------
    log_density : callable
        Maps z (C, d) to log p(z) (C,), up to a constant, and its gradient (C, d).
    start : Tensor, shape (C, d)
        First position of each chain.
    scale : Tensor, shape (d,)
        Approximate width of the density in each coordinate, the unit of length of the time step.
    plan : SamplingPlan
    generator : torch.Generator
    """
    walk = Walk(log_density, start, scale, plan.leaps)
    walk.run(plan.burn_in, generator, tune=True)
    return walk.run(plan.iterations, generator)


class _DualAveraging:
    """Adapt the time step to a mean acceptance of 0.8; see Hoffman and Gelman, algorithm 5."""

    def __init__(self, start: float) -> None:
        self.middle, self.short, self.mean, self.rounds = math.log(2.0 * start), 0.0, math.log(start), 0

    def next(self, chance: float) -> float:
        """Return the time step to try after a step that was accepted with this probability."""
        self.rounds += 1
        share = 1.0 / (self.rounds + _T0)
        self.short = (1.0 - share) * self.short + share * (_TARGET_ACCEPTANCE - chance)
        step = self.middle - self.rounds**0.5 / _GAMMA * self.short
        weight = self.rounds**-_KAPPA
        self.mean = weight * step + (1.0 - weight) * self.mean
        return math.exp(step)

    @property
    def adapted(self) -> float:
        """Mean of the steps that were tried, with larger weights of later ones."""
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
        """Continue the chains for a number of iterations; with `tune` the time step is adapted."""
        samples, accepted = [], 0.0
        tuning = _DualAveraging(self.longest)
        for _ in range(iterations):
            chance = self._step(generator)
            samples.append(self.z)
            accepted += chance / iterations
            if tune:
                self.longest = tuning.next(chance)
        if tune and iterations:
            self.longest = tuning.adapted
        return Chains(torch.stack(samples) if samples else self.z.new_empty((0, *self.z.shape)), accepted)

    def _step(self, generator: torch.Generator) -> float:
        """Make one iteration of every chain, and return the mean probability of acceptance."""
        z, scale = self.z, self.scale
        # a random time step cannot match a period of the motion
        size = self.longest * (0.7 + 0.3 * float(torch.rand((), device=z.device, generator=generator)))
        momentum = torch.randn(z.shape, dtype=z.dtype, device=z.device, generator=generator)
        end, moved = z, momentum + 0.5 * size * scale * self.gradient
        for leap in range(self.leaps):
            end = end + size * scale * moved
            there, slope = self.log_density(end)
            moved = moved + (1.0 if leap + 1 < self.leaps else 0.5) * size * scale * slope
        gain = there - self.value + 0.5 * (momentum.square() - moved.square()).sum(dim=-1)
        chance = torch.nan_to_num(gain, nan=-torch.inf).clamp(max=0.0).exp()
        accepted = torch.rand(len(z), dtype=z.dtype, device=z.device, generator=generator) < chance
        self.z, self.gradient = (torch.where(accepted[:, None], a, b) for a, b in ((end, z), (slope, self.gradient)))
        self.value = torch.where(accepted, there, self.value)
        return float(chance.mean())


def effective_sample_size(samples: Tensor) -> float:
    """Return the effective sample size of the coordinate that mixes worst.

    Parameters
    ----------
    samples : Tensor, shape (iterations, chains, d)
        Two iterations or more; autocorrelations are summed up to the first negative sum of two consecutive ones.
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
