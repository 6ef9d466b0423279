"""The interface of the steps from positions to latent points: values in numpy, gradients by hand, and a torch twin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import nn

from trajvae.typing import Float64

Pullback: TypeAlias = Callable[[Float64], Float64]


class Stage(ABC):
    """Describe a step from frames to latent points: a function of arrays, with its derivative.

    The first axis is that of frames, B; a gradient has the axis of the outputs, M, after it.
    """

    @abstractmethod
    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        """Return the values (B, ...) of x (B, ...), and the function that carries gradients back through the step.

        Parameters
        ----------
        x : ndarray, shape (B, ...)

        Returns
        -------
        values : ndarray, shape (B, ...)
        pullback : callable
            Maps gradients (B, M, K) with respect to the values, flattened, to those with respect to x, flattened.
        """

    @abstractmethod
    def module(self, dtype: torch.dtype) -> nn.Module:
        """Return the same function of tensors, as a module of plain operations that can be traced.

        Parameters
        ----------
        dtype : torch.dtype
            Precision of what may be computed in single precision.
        """


def run(stages: Sequence[Stage], x: Float64) -> tuple[Float64, list[Pullback]]:
    """Apply stages one after the other; return the last values, and the pullback of each stage."""
    pullbacks = []
    for stage in stages:
        x, pullback = stage.apply(x)
        pullbacks.append(pullback)
    return x, pullbacks
