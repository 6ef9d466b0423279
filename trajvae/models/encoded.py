"""Results of a model for frames: the posterior of each, and how well it is reconstructed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trajvae.typing import AnyArray, Float64


class Posterior(NamedTuple):
    """Hold the posterior of each frame.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
        The mean.
    scale : ndarray, shape (T, dim)
        The standard deviation.
    """

    latent: Float64
    scale: Float64


class Reconstruction(NamedTuple):
    """Hold how well each frame is reconstructed from its posterior.

    Attributes
    ----------
    rmsd, pca_rmsd : ndarray, shape (T,)
        Å, of the frame to its decoded mean, and to its projection on as many principal components.
    elbo : ndarray, shape (T,)
        Nats, one draw with fixed noise.
    kl : ndarray, shape (T, parts)
        Nats, of each part of the latent space, by the same draw where it has no closed form.
    """

    rmsd: Float64
    pca_rmsd: Float64
    elbo: Float64
    kl: Float64


def join_posteriors(parts: Sequence[Posterior]) -> Posterior:
    """Return the posteriors of all frames of some chunks."""
    return Posterior(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def join_reconstructions(parts: Sequence[Reconstruction]) -> Reconstruction:
    """Return the reconstructions of all frames of some chunks."""
    return Reconstruction(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class ColumnBuffer:
    """Fill arrays of as many rows as there are frames piece by piece, without keeping a piece beside them.

    Parameters
    ----------
    rows : int
    """

    def __init__(self, rows: int) -> None:
        self.rows, self.done = rows, 0
        self._arrays: dict[str, AnyArray] = {}

    def add(self, values: Mapping[str, AnyArray]) -> None:
        """Write the next rows of every column."""
        for name, part in values.items():
            if name not in self._arrays:
                self._arrays[name] = np.empty((self.rows, *part.shape[1:]), dtype=part.dtype)
            self._arrays[name][self.done : self.done + len(part)] = part
        self.done += max(map(len, values.values()))

    def __getitem__(self, name: str) -> AnyArray:
        """Return a column, as far as it is filled."""
        return self._arrays[name][: self.done]
