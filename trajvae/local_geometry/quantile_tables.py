"""Monotone maps of bonded terms: from the values that a model draws to the values of the simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.typing import AnyArray, Float32, Float64

_REACH = 3.5  # standard deviations of a normal distribution to which quantiles are spaced as its own
_NORMAL, _EVEN = 60, 64  # quantiles spaced like those of a normal distribution, and evenly


def probabilities() -> Float64:
    """Return the probabilities of the quantiles that a table holds, from 0 to 1: dense in the tails."""
    normal = scipy.special.ndtr(np.linspace(-_REACH, _REACH, _NORMAL))
    return np.unique(np.concatenate([[0.0, 1.0], normal, np.linspace(0.0, 1.0, _EVEN + 1)]))


@dataclass(frozen=True, eq=False)
class QuantileTables:
    """Hold, for each of K terms, quantiles of drawn and of simulated values at the same probabilities.

    Attributes
    ----------
    drawn, simulated : ndarray of float32, shape (K, Q)
        In Å or radians. Angles on a circle are counted from `start`.
    start : ndarray, shape (P,)
        Of the last P terms, which are angles on a circle: where it is cut, in radians, between the simulated values.
    deviation : ndarray, shape (K,)
        Standard deviation of the simulated values.
    """

    drawn: Float32
    simulated: Float32
    start: Float64
    deviation: Float64

    @classmethod
    def fit(cls, drawn: Float64, simulated: Float64, periodic: int) -> QuantileTables:
        """Return tables of drawn (S, K) and simulated (T, K) values; the last `periodic` columns are on a circle."""
        terms = range(drawn.shape[1] - periodic, drawn.shape[1])
        start = np.array([_emptiest(drawn[:, k], simulated[:, k]) for k in terms], dtype=np.float64)
        first, second = _counted(drawn, start), _counted(simulated, start)
        p = probabilities()
        return cls(
            np.ascontiguousarray(np.quantile(first, p, axis=0).T, dtype=np.float32),
            np.ascontiguousarray(np.quantile(second, p, axis=0).T, dtype=np.float32),
            start,
            second.std(axis=0),
        )

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return all fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> QuantileTables:
        """Return the tables with the fields of `to_arrays`."""
        drawn, simulated = (np.asarray(arrays[name], dtype=np.float32) for name in ("drawn", "simulated"))
        start, deviation = (np.asarray(arrays[name], dtype=np.float64) for name in ("start", "deviation"))
        return cls(drawn, simulated, start, deviation)

    def matched(self, values: Tensor) -> Tensor:
        """Return the simulated value with the rank that each drawn value (K, B) has among drawn values, (K, B).

        Values beyond all drawn ones become the smallest or the largest simulated value.
        """
        drawn, simulated = (torch.from_numpy(t).to(values) for t in (self.drawn, self.simulated))
        counted = self._from_start(values)
        upper = torch.searchsorted(drawn, counted.contiguous()).clamp(1, drawn.shape[1] - 1)
        low, high = drawn.gather(1, upper - 1), drawn.gather(1, upper)
        share = ((counted - low) / (high - low).clamp(min=1e-12)).clamp(0.0, 1.0)
        return self._as_measured(torch.lerp(simulated.gather(1, upper - 1), simulated.gather(1, upper), share))

    def nearest_usual(self, values: Tensor, tail: float) -> Tensor:
        """Return the nearest value to each of `values` (K, B) between two quantiles of the simulation, (K, B).

        `tail` is the probability of the lower quantile, and one less that of the upper one.
        """
        p = probabilities()
        ends = (int(np.searchsorted(p, tail)), int(np.searchsorted(p, 1.0 - tail)))
        low, high = (torch.from_numpy(self.simulated[:, e, None].copy()).to(values) for e in ends)
        return self._as_measured(torch.clamp(self._from_start(values), low, high))

    def _from_start(self, values: Tensor) -> Tensor:
        """Count angles on a circle (K, B) from where it is cut."""
        stiff, start = len(values) - len(self.start), torch.from_numpy(self.start[:, None]).to(values)
        return torch.cat([values[:stiff], torch.remainder(values[stiff:] - start, 2.0 * math.pi)])

    def _as_measured(self, counted: Tensor) -> Tensor:
        """Return counted values (K, B) as they are measured, up to whole turns."""
        stiff, start = len(counted) - len(self.start), torch.from_numpy(self.start[:, None]).to(counted)
        return torch.cat([counted[:stiff], counted[stiff:] + start])


def _counted(values: Float64, start: Float64) -> Float64:
    """Return values (T, K) whose last columns are counted from where the circle is cut."""
    stiff = values.shape[1] - len(start)
    return np.concatenate([values[:, :stiff], np.mod(values[:, stiff:] - start, 2.0 * np.pi)], axis=1)


def _emptiest(drawn: Float64, simulated: Float64) -> float:
    """Return the middle of the largest arc without angles, but for some drawn ones in the tails."""
    angles = np.sort(np.concatenate([simulated, np.quantile(drawn, np.linspace(0.02, 0.98, 50))]))
    gaps = np.diff(angles, append=angles[0] + 2.0 * np.pi)
    widest = int(np.argmax(gaps))
    return float(angles[widest] + 0.5 * gaps[widest])
