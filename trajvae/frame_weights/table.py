"""What a file of weights holds: a row a time, with a weight or a bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.display import Brief
from trajvae.errors import OptionError, ReadError
from trajvae.typing import Float64

GAS_CONSTANT = 8.31446261815324e-3  # kJ/(mol K)


@dataclass(frozen=True, eq=False, repr=False)
class WeightTable(Brief):
    """Hold the rows of a file of weights.

    Attributes
    ----------
    values : ndarray, shape (n,)
        Weights, or biases in kJ/mol.
    time : ndarray, shape (n,), optional
        In ps, ascending; None where rows have no time.
    is_bias : bool
    file, column : str
        As of `FrameWeights`.
    """

    values: Float64
    time: Float64 | None = None
    is_bias: bool = False
    file: str = ""
    column: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or not len(self.values) or self.values.dtype.kind != "f":
            raise ReadError(f"{self.name}: expected a column of numbers, got {self.values.dtype} {self.values.shape}")
        if self.time is not None:
            self._check_time(self.time)
        bad = np.flatnonzero(~np.isfinite(self.values))
        if len(bad):
            at = f"row {bad[0]}" if self.time is None else f"time {self.time[bad[0]]:.10g} ps"
            raise ReadError(f"{self.name}: the {self.word} at {at} is {self.values[bad[0]]}: mend or remove that row")

    def _check_time(self, time: Float64) -> None:
        if time.shape != self.values.shape:
            raise ReadError(f"{self.name}: {time.shape} times for {self.values.shape} {self.word}s")
        if not np.isfinite(time).all():
            raise ReadError(f"{self.name}: the time of row {np.flatnonzero(~np.isfinite(time))[0]} is not finite")
        back = np.flatnonzero(np.diff(time) <= 0.0)
        if len(back):
            raise ReadError(
                f"{self.name}: the time {time[back[0] + 1]:.10g} ps comes after {time[back[0]]:.10g} ps, with no new "
                "'#! FIELDS' line of a restart between them: times must ascend; give each run's file by itself"
            )

    @property
    def name(self) -> str:
        """Name of the file for messages."""
        return f"'{self.file}'" if self.file else "the weights"

    @property
    def word(self) -> str:
        """What a row holds: "weight" or "bias"."""
        return "bias" if self.is_bias else "weight"


def weights_of(values: Float64, temperature: float | None, *, is_bias: bool) -> Float64:
    """Return weights (T,) of weights, or of biases in kJ/mol: exp(V / kT), relative to the largest.

    Parameters
    ----------
    values : ndarray, shape (T,)
    temperature : float, optional
        In K; needed for biases.
    is_bias : bool

    Raises
    ------
    OptionError
        There is no temperature for a bias, or it is not above 0.

    References
    ----------
    G. M. Torrie, J. P. Valleau, J. Comput. Phys. 23, 187 (1977), eq. 5.
    """
    if temperature is not None and not 0.0 < temperature < np.inf:
        raise OptionError(f"the temperature must be above 0 K, got {temperature}")
    if not is_bias:
        return values
    if temperature is None:
        raise OptionError(
            "the weights are a bias in kJ/mol: give the temperature of the simulation, as --temperature 300"
        )
    # of the difference to the largest: exp of the bias itself overflows
    return np.asarray(np.exp((values - values.max()) / (GAS_CONSTANT * temperature)))
