"""The weight of every frame of a data set, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from trajvae.display import Brief
from trajvae.errors import ReadError
from trajvae.typing import Bool, Float64, Int64, JSONObject
from trajvae.weighted_samples import effective_size, equivalent_rows, relative_weights


@dataclass(frozen=True)
class WeightSource:
    """Hold where weights of frames came from, as files that were made with them say it.

    Attributes
    ----------
    file, column : str
        As of `FrameWeights`.
    effective_sample_size : float
        Number of frames of equal weight that the frames are worth.
    """

    file: str
    column: str
    effective_sample_size: float

    def to_json(self) -> JSONObject:
        """Return the source as files hold it, as an attribute of their header."""
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, object]) -> WeightSource | None:
        """Return what a file says of weights; None where it has none."""
        size = held.get("effective_sample_size")
        if not isinstance(size, int | float):
            return None
        return cls(str(held.get("file", "")), str(held.get("column", "")), float(size))


@dataclass(frozen=True, eq=False, repr=False)
class FrameWeights(Brief):
    """Hold how much each frame counts.

    Attributes
    ----------
    values : ndarray, shape (T,)
        Finite, 0 or more, not all 0; only their ratios matter.
    file : str
        Name of the file, or of the files, that they were read from; empty for an array.
    column : str
        Name of the column, or of the columns of bias that were added; empty where it has none.

    Raises
    ------
    ReadError
        A value is not finite or below 0, or all are 0.
    """

    values: Float64
    file: str = ""
    column: str = ""

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        where = f"of '{self.file}'" if self.file else "of frames"
        if values.ndim != 1 or not len(values):
            raise ReadError(f"the weights {where} must be one number a frame, got the shape {values.shape}")
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0.0)))
        if len(bad):
            raise ReadError(
                f"the weights {where} must be numbers of 0 or more, got {values[bad[0]]} for frame {bad[0]} of them"
            )
        if not values.any():
            raise ReadError(f"the weights {where} are all 0 for the frames that are read: no frame would count")
        object.__setattr__(self, "values", values / values.max())

    def __len__(self) -> int:
        return len(self.values)

    @property
    def effective_size(self) -> float:
        """Number of frames of equal weight that these are worth, by Kish's formula."""
        return effective_size(self.values)

    def relative(self, which: Bool | Int64 | slice = slice(None), what: str = "") -> Float64 | None:
        """Return the weights of some frames, scaled to a mean of 1; None where all are equal.

        Parameters
        ----------
        which : ndarray of bool or int64, or slice
            The frames; by default all.
        what : str
            What these frames are, for the message: they must not all have the weight 0.

        Raises
        ------
        ReadError
            All weights are 0, and `what` is given.
        """
        chosen = self.values[which]
        if len(chosen) and not chosen.any():
            if what:
                raise ReadError(f"all {len(chosen)} {what} frames have the weight 0: weight more of the trajectory")
            return None
        return relative_weights(chosen)

    def some(self, which: Bool | Int64 | slice) -> FrameWeights:
        """Return the weights of some frames.

        Raises
        ------
        ReadError
            All of them are 0.
        """
        return FrameWeights(self.values[which], self.file, self.column)

    @property
    def source(self) -> WeightSource:
        """Where they came from, and what the frames are worth."""
        return WeightSource(self.file, self.column, self.effective_size)

    def to_json(self) -> JSONObject:
        """Return what files say of weights: file, column, and effective sample size."""
        return self.source.to_json()

    @classmethod
    def from_json(cls, values: Float64, held: Mapping[str, object]) -> FrameWeights:
        """Return weights with the names that a file holds beside them."""
        return cls(np.asarray(values, dtype=np.float64), str(held.get("file", "")), str(held.get("column", "")))

    def describe(self) -> str:
        """Return a line for people: how many frames these are worth, and where the weights came from."""
        source = f"'{self.file}'" if self.file else "an array"
        column = f" ({self.column})" if self.column else ""
        return f"weights of {source}{column}: {len(self)} frames are worth {self.effective_size:.1f} of equal weight"


def relative_of(
    weights: FrameWeights | None, which: Bool | Int64 | slice = slice(None), what: str = ""
) -> Float64 | None:
    """Return `FrameWeights.relative`, or None without weights."""
    return None if weights is None else weights.relative(which, what)


def equivalent_places(weights: FrameWeights | None, index: Int64, which: Bool | None = None) -> Int64:
    """Return the places in a table of some frames that stand for these frames without weights.

    Parameters
    ----------
    weights : FrameWeights, optional
        Of all frames.
    index : ndarray of int64, shape (S,)
        The number of the frame at each place, ascending.
    which : ndarray of bool, shape (S,), optional
        The places that count; by default all.
    """
    numbers = index if which is None else index[which]
    return np.asarray(np.searchsorted(index, equivalent_of(weights, numbers)), dtype=np.int64)


def equivalent_of(weights: FrameWeights | None, which: Bool | Int64, size: int | None = None) -> Int64:
    """Return the numbers of frames that stand for some frames without weights.

    Parameters
    ----------
    weights : FrameWeights, optional
        Of all frames.
    which : ndarray of bool, shape (T,), or ndarray of int64
        The frames, by their numbers or by a mask.
    size : int, optional
        As of `equivalent_rows`.

    Returns
    -------
    ndarray of int64
        The frames themselves where all have the same weight.
    """
    numbers = np.flatnonzero(which) if which.dtype == np.bool_ else np.asarray(which, dtype=np.int64)
    return np.asarray(numbers[equivalent_rows(relative_of(weights, numbers), len(numbers), size)])
