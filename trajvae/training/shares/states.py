"""What of a training's state each of several processes has for itself, as a snapshot holds it for all of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.runtime.ranks import Ranks
from trajvae.training.state import Snapshot, Weights

RANKS = "ranks"  # among the numbers of a snapshot: of how many processes it is


class OwnState(NamedTuple):
    """Hold what one process has for itself.

    Attributes
    ----------
    noise, order : Tensor
        States of the random generators.
    moment, elbo : Tensor
        The residuals' moment, and the sum of the ELBOs in this epoch.
    """

    noise: Tensor
    order: Tensor
    moment: Tensor
    elbo: Tensor


def name_of(name: str, rank: int) -> str:
    """Return the name that a snapshot has for what belongs to one process; the first one's has no number."""
    return f"{name}_{rank}" if rank else name


def ranks_of(at: Snapshot) -> int:
    """Return the number of processes that a snapshot is of."""
    return int(at.numbers.get(RANKS, 1))


def numbers_of(ranks: Ranks) -> dict[str, float]:
    """Return what a snapshot says of the processes; nothing of one alone."""
    return {RANKS: ranks.size} if ranks.size > 1 else {}


def gathered(own: OwnState, ranks: Ranks) -> tuple[Weights, Weights]:
    """Return the states of random generators, and the sums, of all processes by name."""
    found = {name: ranks.gather(value) for name, value in own._asdict().items()}
    named = {name: {name_of(name, k): value for k, value in enumerate(each)} for name, each in found.items()}
    return {**named["noise"], **named["order"]}, {**named["moment"], **named["elbo"]}


def own_state(at: Snapshot, ranks: Ranks, seed: int, device: torch.device) -> OwnState:
    """Return what a process goes on with: its own where the snapshot is of as many processes.

    Of another number of processes, the first one goes on with its own random numbers and the others begin with new
    ones, and each has the mean of the moments, and an equal part of the sum.
    """
    before = ranks_of(at)
    if before == ranks.size:
        random, sums = at.random, at.sums
        return OwnState(
            *(random[name_of(name, ranks.rank)].cpu() for name in ("noise", "order")),
            *(sums[name_of(name, ranks.rank)].to(device) for name in ("moment", "elbo")),
        )
    moment, elbo = (sum(at.sums[name_of(name, k)] for k in range(before)) for name in ("moment", "elbo"))
    whole = torch.as_tensor(moment).to(device) / before, torch.as_tensor(elbo).to(device) / ranks.size
    if ranks.first:
        return OwnState(at.random["noise"].cpu(), at.random["order"].cpu(), *whole)
    # new numbers at each resumption, and not those of the beginning
    fresh = ranks.seed(seed + 2 + int(at.numbers["epoch"]) + 7919 * int(at.numbers["done"]))
    noise = torch.Generator(device).manual_seed(fresh).get_state()
    return OwnState(noise, torch.Generator().manual_seed(fresh + 1).get_state(), *whole)
