"""What the steps of a training take from all processes: means over whole batches, and weights that are one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trajvae.latents import Latent
from trajvae.models.vae import VAE, mean_of_batch
from trajvae.runtime.ranks import Ranks


def copy_vae(vae: VAE, ranks: Ranks) -> None:
    """Give all processes the weights of the first one."""
    if ranks.size > 1:
        weights = vae.state_dict()
        ranks.copy_first(weights.values())
        vae.load_state_dict(weights)  # what follows from weights is computed anew


def mean_of_all(ranks: Ranks) -> Callable[[Tensor], Tensor]:
    """Return a function from values (B, parts) of this process's part of a batch to the means over the whole batch.

    Their gradients are those of this process's part; averaged over all processes, they are those of the whole.
    """
    if ranks.size == 1:
        return mean_of_batch

    def mean_with_own_gradient(values: Tensor) -> Tensor:
        """Return the mean over all processes, with the gradient of this one's part."""
        own = values.mean(dim=0)
        return own + (ranks.mean(own.detach()) - own.detach())

    return mean_with_own_gradient


def mean_state(latent: Latent, ranks: Ranks) -> None:
    """Let a latent space that adjusts itself by what its draws did go by those of all processes."""
    state = latent.extra_state() if ranks.size > 1 else {}
    if state:
        found = ranks.mean(torch.tensor(list(state.values()), dtype=torch.float64))
        latent.load_extra_state(dict(zip(state, found.tolist(), strict=True)))
