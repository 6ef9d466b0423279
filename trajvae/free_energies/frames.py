"""The frames that a free energy is of: their latent points, where they come from, and their weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trajvae.errors import OptionError, ReadError
from trajvae.free_energies.coordinates import LatentCoordinates, coordinates_of
from trajvae.results import Conformations, Embedding, TrainedModel
from trajvae.typing import Float64, Floats, Int64

FEWEST = 20  # frames


@dataclass(frozen=True, eq=False)
class LatentFrames:
    """Hold latent points in the order of their trajectories.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    geometry : str
        Signature of the latent space, such as `e2`; empty where it has no name.
    file, frame : ndarray of int64, shape (T,)
        Number of the trajectory, and of the frame in it.
    files : list of str
        Names of the trajectories; empty of an array.
    tangent : ndarray, shape (T, dim), optional
        Coordinates in the tangent space at the origin.
    time : ndarray, shape (T,), optional
        ps.
    order : ndarray of int64, shape (T,)
        The number that each frame had where it comes from.
    """

    latent: Float64
    geometry: str
    file: Int64
    frame: Int64
    files: list[str] = field(default_factory=list)
    tangent: Float64 | None = None
    time: Float64 | None = None
    order: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of(
        cls,
        points: Floats | Embedding | TrainedModel | LatentFrames,
        geometry: str = "",
        purpose: str = "a free energy",
    ) -> LatentFrames:
        """Return the frames of an array (T, ambient) in order of time, of an embedding, or of a model's training.

        Messages say that the frames are for this purpose.

        Raises
        ------
        OptionError
            A geometry is given beside a file that says its own, or points of another kind.
        ReadError
            Fewer than twenty frames, or points that are not finite.
        """
        if isinstance(points, Conformations):
            raise OptionError(f"{purpose} is one of simulated frames: an embed.h5, a model.h5 or an array (T, ambient)")
        if isinstance(points, LatentFrames):
            return points._sorted(purpose)
        if isinstance(points, Embedding | TrainedModel):
            if geometry:
                raise OptionError(f"the points say their own geometry, '{points.geometry}': leave it out")
            latent = np.asarray(points.latent, dtype=np.float64)
            found = cls(
                latent,
                points.geometry,
                points.file,
                points.frame,
                points.files,
                points.tangent if isinstance(points, Embedding) else None,
                points.time if isinstance(points, Embedding) else None,
            )
        else:
            latent = np.asarray(points, dtype=np.float64)
            if latent.ndim != 2:
                raise OptionError(f"latent points are an array (T, ambient), got one of shape {latent.shape}")
            rows = np.arange(len(latent), dtype=np.int64)
            found = cls(latent, geometry or f"e{latent.shape[1]}", np.zeros_like(rows), rows)
        return found._sorted(purpose)

    def _sorted(self, purpose: str) -> LatentFrames:
        n = len(self.latent)
        if n < FEWEST:
            raise ReadError(f"{purpose} needs at least {FEWEST} frames, got {n}")
        if not np.isfinite(self.latent).all():
            row = int(np.argmax(~np.isfinite(self.latent).all(axis=1)))
            raise ReadError(f"the latent point of frame {row} is not finite: {self.latent[row]}")
        order = np.lexsort((self.frame, self.file)).astype(np.int64)
        return LatentFrames(
            self.latent[order],
            self.geometry,
            self.file[order],
            self.frame[order],
            self.files,
            None if self.tangent is None else self.tangent[order],
            None if self.time is None else self.time[order],
            order,
        )

    @property
    def coordinates(self) -> LatentCoordinates:
        """The coordinates that free energies are functions of."""
        return coordinates_of(self.latent, self.geometry, self.tangent)

    @property
    def interval(self) -> tuple[float, str]:
        """Time between frames that follow each other, and its unit: ps, or frames where times are not known."""
        if self.time is None:
            return 1.0, "frame"
        follows = np.diff(self.file) == 0
        steps = np.diff(self.time)[follows]
        usual = float(np.median(steps)) if len(steps) else 0.0
        return (usual, "ps") if np.isfinite(usual) and usual > 0.0 else (1.0, "frame")

    def weights(self, given: Floats | None) -> Float64:
        """Return weights (T,) of mean 1, in this order, of those given in the order of the source.

        Raises
        ------
        OptionError
            Another number than there are frames, or weights that are negative, not finite, or all zero.
        """
        n = len(self.latent)
        if given is None:
            return np.ones(n)
        found = np.asarray(given, dtype=np.float64)
        if found.shape != (n,):
            raise OptionError(f"wanted a weight for each of the {n} frames, got an array of shape {found.shape}")
        wrong = ~np.isfinite(found) | (found < 0.0)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise OptionError(f"weights are finite and not negative, got {found[row]} for frame {row}")
        if not found.sum() > 0.0:
            raise OptionError("all weights are zero: no frame is left")
        return np.asarray(found[self.order] / found.mean())
