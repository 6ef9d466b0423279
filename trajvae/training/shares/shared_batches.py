"""Batches of which each of several processes has a part."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.runtime.ranks import Ranks
from trajvae.training.batches import Batch, Batches

_ROWS_OF_SAMPLE = 20_000  # of all processes together, that a latent space is prepared with


class SharedBatches:
    """Provide this process's part of each batch, and the numbers of all frames.

    Where frames are streamed, an epoch's last batch, which is smaller, may be another one in each process; gradients
    are averaged as if it were as large.

    Parameters
    ----------
    own : Batches
        Of this process's share of the frames; see `share_of`.
    ranks : Ranks
    n_validation : int
        Number of validation frames of all processes.
    """

    def __init__(self, own: Batches, ranks: Ranks, n_validation: int) -> None:
        self.own, self.ranks, self.n_validation = own, ranks, n_validation

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        return self.own.device

    @property
    def n_train(self) -> int:
        """Number of training frames of all processes; a frame that two of them have counts twice."""
        return self.own.n_train * self.ranks.size

    @property
    def n_at_once(self) -> int:
        """Number of training frames that this process may hold in memory at once."""
        return self.own.n_at_once

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield this process's part of each batch; `size` is that of all parts together."""
        return self.own.batches(-(-size // self.ranks.size), generator, skip)

    def training_inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs of some of this process's training frames, by their places among these."""
        return self.own.training_inputs(rows)

    def chunks(self, rows: int, *, validation: bool) -> Iterator[Batch]:
        """Yield this process's training frames, or its validation frames, in their order."""
        return self.own.chunks(rows, validation=validation)

    def sample(self) -> Tensor:
        """Return inputs of some training frames of all processes: the same in each."""
        own = self.own.sample()
        some = torch.from_numpy(evenly_spaced(len(own), max(1, _ROWS_OF_SAMPLE // self.ranks.size)))
        return self.ranks.join(own.index_select(0, some.to(own.device)))
