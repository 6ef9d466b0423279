"""What a training reads: inputs and targets of training and validation frames, in batches and in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


class Data(Protocol):
    """Inputs (B, I) and targets (B, F) in float32, on the device, wherever they lie before."""

    @property
    def device(self) -> torch.device:
        """Where batches come out."""
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
        """Inputs and targets of all training frames in a random order, but for the first `skip` batches."""
        ...

    def pieces(self, rows: int, *, validation: bool) -> Iterator[Pair]:
        """Inputs and targets of all training frames, or of all validation ones, in their order."""
        ...

    def sample(self) -> Tensor:
        """Inputs of training frames, as many as a latent space may look at before training."""
        ...


@dataclass(frozen=True, eq=False)
class Split:
    """Data that lie on the device, indexed by a permutation."""

    train_inputs: Tensor
    train_targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor

    @property
    def device(self) -> torch.device:
        """See `Data`."""
        return self.train_inputs.device

    @property
    def n_train(self) -> int:
        """See `Data`."""
        return len(self.train_inputs)

    @property
    def n_validation(self) -> int:
        """See `Data`."""
        return len(self.validation_inputs)

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Pair]:
        """See `Data`."""
        order = torch.randperm(self.n_train, generator=generator).to(self.device)
        for rows in torch.split(order, size)[skip:]:
            yield self.train_inputs.index_select(0, rows), self.train_targets.index_select(0, rows)

    def pieces(self, rows: int, *, validation: bool) -> Iterator[Pair]:
        """See `Data`."""
        trained, other = (
            (self.train_inputs, self.train_targets),
            (self.validation_inputs, self.validation_targets),
        )
        inputs, targets = other if validation else trained
        yield from zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True)

    def sample(self) -> Tensor:
        """See `Data`: all of them."""
        return self.train_inputs
