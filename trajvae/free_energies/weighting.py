"""Weights of embedded frames: those that their file holds, or those that an array or files give them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajvae.frame_weights.matching import read_weights
from trajvae.frame_weights.weights import FrameWeights, WeightSource
from trajvae.free_energies.frames import LatentFrames
from trajvae.results import Embedding, TrainedModel
from trajvae.typing import Float64, Floats, Int64

Weights = Floats | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | FrameWeights


@dataclass(frozen=True)
class EmbeddedFile:
    """Describe a trajectory of which frames were embedded.

    Attributes
    ----------
    name : str
    n_frames : int
        As many as are known of: up to the last that was embedded.
    """

    name: str
    n_frames: int


class EmbeddedFrames:
    """Tell number and time of frames that were embedded, in the order of their file.

    Parameters
    ----------
    points : Embedding or TrainedModel
    """

    def __init__(self, points: Embedding | TrainedModel) -> None:
        self._file, self._frame = np.asarray(points.file), np.asarray(points.frame)
        last = [int(self._frame[self._file == k].max(initial=-1)) for k in range(len(points.files))]
        self.files = [EmbeddedFile(name, n + 1) for name, n in zip(points.files, last, strict=True)]
        time = np.asarray(points.time, dtype=np.float64) if isinstance(points, Embedding) else np.empty(0)
        arrays = all(Path(name).suffix in ("", ".npy", ".npz") for name in points.files)
        numbers = arrays and np.array_equal(time, self._frame)  # what arrays have instead of times
        self._time = time if len(time) and np.isfinite(time).all() and not numbers else None

    def origins(self) -> tuple[Int64, Int64]:
        """Return the number of the file, and of the frame in it, of every frame, each (T,)."""
        return self._file, self._frame

    def timed(self, file: int) -> bool:
        """Return whether times are known: not those of a model's frames, nor of arrays."""
        return self._time is not None

    def times(self, file: Int64, frame: Int64) -> Float64:
        """Return the times in ps of frames, which are those of whole files in their order, (n,)."""
        times = np.empty(0) if self._time is None else self._time
        return times[np.isin(self._file, np.unique(file))]


def weights_of(
    points: object, frames: LatentFrames, given: Weights | None, temperature: float | None
) -> tuple[Float64, WeightSource | None]:
    """Return weights (T,) of mean 1 in the order of `frames`, and where they came from.

    Parameters
    ----------
    points : object
        What the frames were taken from. Without weights given those count that an embedding or a model holds.
    frames : LatentFrames
    given : array_like, str, Path, sequence of paths, or FrameWeights, optional
        As `trajvae.frame_weights.read_weights` takes them.
    temperature : float, optional
        In K, by which a bias becomes weights.

    Raises
    ------
    ReadError
        A file cannot be read, or a frame has no row in it.
    OptionError
        Another number of weights than of frames, or weights that are none.
    """
    named = isinstance(given, str | os.PathLike) or (
        isinstance(given, Sequence) and len(given) > 0 and all(isinstance(g, str | os.PathLike) for g in given)
    )
    if isinstance(points, Embedding | TrainedModel):
        found = read_weights(given, EmbeddedFrames(points), temperature) if named else given
        found = points.weights if found is None else found
    else:
        found = given
    if isinstance(found, FrameWeights):
        return frames.weights(found.values), found.source
    return frames.weights(None if found is None else np.asarray(found, dtype=np.float64)), None
