"""How long, how fast and on which frames to train."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import ReadError


@dataclass(frozen=True)
class Schedule:
    """How to train.

    Attributes
    ----------
    epochs : int
        At most; early stopping may end it before.
    batch_size : int
    beta : float
        Weight of the KL after its warm-up.
    warmup : float
        Share of the epochs over which the KL's weight rises from 0.
    free_bits : float
        Nats of the KL, shared out evenly among its parts, below which it costs nothing.
    structure : tuple of float
        Between these shares of the epochs the likelihood's covariance goes from spherical to its own structure;
        no weights are kept as the best before the second.
    learning_rate : float
        At its highest; it rises over the first twentieth and falls as a cosine.
    patience : float
        Share of the epochs without a better held-out ELBO after which training ends.
    seed : int
    """

    epochs: int
    batch_size: int
    beta: float = 1.0
    warmup: float = 0.2
    free_bits: float = 0.0
    structure: tuple[float, float] = (0.3, 0.6)
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    patience: float = 0.2
    seed: int = 0


def held_out_blocks(file: NDArray[np.int64], share: float = 0.1, most: int = 20) -> NDArray[np.bool_]:
    """Which frames are held out: blocks of neighbours, spread evenly over the trajectory.

    Random frames would leak: each has neighbours in time that are nearly the same.

    Parameters
    ----------
    file : ndarray, shape (T,)
        Not looked at beyond its length: blocks are short against files.
    share : float
        Of all frames; twice that below 1000 frames.
    most : int
        Blocks at most.

    Returns
    -------
    ndarray of bool, shape (T,)

    Raises
    ------
    ReadError
        Fewer than 5 frames: nothing could be held out and learned from.
    """
    n = len(file)
    if n < 5:
        raise ReadError(f"training needs at least 5 frames, got {n}")
    wanted = max(1, round(n * share * (2 if n < 1000 else 1)))
    blocks = int(np.clip(wanted // 4, 1, most))
    mask = np.zeros(n, dtype=bool)
    sizes = np.full(blocks, wanted // blocks) + (np.arange(blocks) < wanted % blocks)
    for k, size in enumerate(sizes):
        middle = (k + 0.5) * n / blocks
        first = int(middle - size / 2)
        mask[first : first + size] = True
    return mask


def default_decay(n_train: int) -> float:
    """Weight decay that keeps the weights of a model of few frames small: about as much say as 30 frames have.

    The loss is a mean over frames, so a prior on weights that is worth a fixed number of frames falls as one over their
    number. Without it a decoder of a hundred frames is off between them.
    """
    return float(np.clip(30.0 / n_train, 0.01, 0.5))


def default_batch(n_train: int) -> int:
    """A batch size between 16 and 128 that leaves about 20 batches an epoch or more."""
    return int(np.clip(2 ** round(math.log2(max(n_train / 20, 1))), 16, 128))


def default_epochs(n_train: int, batch_size: int, steps: int = 8000) -> int:
    """Epochs that make about so many steps."""
    return int(np.clip(steps // max(1, -(-n_train // batch_size)), 20, 2000))
