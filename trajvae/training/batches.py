"""Batches: inputs, targets and weights of training and validation frames, as a training reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trajvae.runtime.ranks import ALONE, Ranks


class Batch(NamedTuple):
    """Hold what a training sees of some frames, in float32.

    Attributes
    ----------
    inputs : Tensor, shape (B, I)
    targets : Tensor, shape (B, F)
    weights : Tensor, shape (B,), optional
        How much each frame counts: of mean 1 over all training frames, and over all validation ones; None where all
        count alike.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None


class Batches(Protocol):
    """Provide batches on a device, wherever they are stored."""

    @property
    def ranks(self) -> Ranks:
        """The processes that have the frames together: sums over frames are sums over these, too."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        ...

    @property
    def n_train(self) -> int:
        """Number of training frames."""
        ...

    @property
    def n_validation(self) -> int:
        """Number of validation frames."""
        ...

    @property
    def n_at_once(self) -> int:
        """Number of training frames that may be held in memory at once."""
        ...

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield all training frames in a random order, without the first `skip` batches."""
        ...

    def training_inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs of some training frames, by their places among these."""
        ...

    def chunks(self, rows: int, *, validation: bool) -> Iterator[Batch]:
        """Yield all training frames, or all validation ones, in their order."""
        ...

    def sample(self) -> Tensor:
        """Return inputs of some training frames, which a latent space is prepared with."""
        ...


@dataclass(frozen=True, eq=False)
class InMemoryBatches:
    """Hold all inputs, targets and weights in the memory of the device."""

    train_inputs: Tensor
    train_targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor
    train_weights: Tensor | None = None
    validation_weights: Tensor | None = None
    ranks: Ranks = ALONE

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        return self.train_inputs.device

    @property
    def n_train(self) -> int:
        """Number of training frames."""
        return len(self.train_inputs)

    @property
    def n_validation(self) -> int:
        """Number of validation frames."""
        return len(self.validation_inputs)

    @property
    def n_at_once(self) -> int:
        """Number of training frames that may be held in memory at once: all."""
        return len(self.train_inputs)

    def training_inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs of some training frames, by their places among these."""
        return self.train_inputs.index_select(0, rows.to(self.device))

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield all training frames in a random order, without the first `skip` batches."""
        order = torch.randperm(self.n_train, generator=generator).to(self.device)
        for rows in torch.split(order, size)[skip:]:
            weights = None if self.train_weights is None else self.train_weights.index_select(0, rows)
            yield Batch(self.train_inputs.index_select(0, rows), self.train_targets.index_select(0, rows), weights)

    def chunks(self, rows: int, *, validation: bool) -> Iterator[Batch]:
        """Yield all training frames, or all validation ones, in their order."""
        training = self.train_inputs, self.train_targets, self.train_weights
        inputs, targets, weights = (
            (self.validation_inputs, self.validation_targets, self.validation_weights) if validation else training
        )
        for first in range(0, len(inputs), rows):
            some = slice(first, first + rows)
            yield Batch(inputs[some], targets[some], None if weights is None else weights[some])

    def sample(self) -> Tensor:
        """Return the inputs of all training frames."""
        return self.train_inputs
