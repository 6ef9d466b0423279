"""Batches: inputs and targets of training and validation frames, as a training reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


class Batches(Protocol):
    """Provide inputs (B, I) and targets (B, F) in float32 on a device, wherever they are stored."""

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

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Pair]:
        """Yield inputs and targets of all training frames in a random order, without the first `skip` batches."""
        ...

    def chunks(self, rows: int, *, validation: bool) -> Iterator[Pair]:
        """Yield inputs and targets of all training frames, or of all validation ones, in their order."""
        ...

    def sample(self) -> Tensor:
        """Return inputs of some training frames, which a latent space is prepared with."""
        ...


@dataclass(frozen=True, eq=False)
class InMemoryBatches:
    """Hold all inputs and targets in the memory of the device."""

    train_inputs: Tensor
    train_targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor

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

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Pair]:
        """Yield inputs and targets of all training frames in a random order, without the first `skip` batches."""
        order = torch.randperm(self.n_train, generator=generator).to(self.device)
        for rows in torch.split(order, size)[skip:]:
            yield self.train_inputs.index_select(0, rows), self.train_targets.index_select(0, rows)

    def chunks(self, rows: int, *, validation: bool) -> Iterator[Pair]:
        """Yield inputs and targets of all training frames, or of all validation ones, in their order."""
        training, held_out = (
            (self.train_inputs, self.train_targets),
            (self.validation_inputs, self.validation_targets),
        )
        inputs, targets = held_out if validation else training
        yield from zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True)

    def sample(self) -> Tensor:
        """Return the inputs of all training frames."""
        return self.train_inputs
