"""Remove the translation and rotation of frames: choose a reference structure and align frames with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.alignment.principal_axes import principal, principal_frame
from trajvae.alignment.superposition import center, frame_jump, optimal_rotations, pairwise_rmsd, rmsd, superpose
from trajvae.choices import ALIGNMENTS
from trajvae.display import Brief
from trajvae.errors import OptionError
from trajvae.typing import Float64, Floats
from trajvae.weighted_samples import weighted_mean

__all__ = [
    "KINDS",
    "Alignment",
    "center",
    "frame_jump",
    "mean_structure",
    "optimal_rotations",
    "pairwise_rmsd",
    "principal",
    "principal_frame",
    "rmsd",
    "superpose",
]

KINDS = ALIGNMENTS
# a mean structure thinner than this fraction of the frames' own thickness does not determine their orientation
FLAT = 0.5


def mean_structure(
    x: Floats, weights: Float64, tolerance: float = 1e-8, rounds: int = 100, frame_weights: Float64 | None = None
) -> Float64:
    """Return the structure that is the mean of all frames superposed on it, in its own principal axes.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)
    tolerance : float
        The iteration ends when the RMSD between two rounds is below this value.
    rounds : int
        Most rounds of the iteration.
    frame_weights : ndarray, shape (T,), optional
        How much each frame counts in the mean; by default all alike.

    Returns
    -------
    ndarray, shape (N, D)
        Where frames differ so much that their mean is much thinner than they are (floppy chains), the frame nearest the
        mean instead: superposition on a flat mean would leave the frames' orientation to chance.
    """
    frames = center(x.astype(np.float64), weights)
    reference = frames[len(frames) // 2]
    for _ in range(rounds):
        mean = weighted_mean(superpose(frames, reference, weights), frame_weights)
        change = rmsd(mean, reference)
        reference = mean
        if change < tolerance:
            break
    thickness = np.sqrt(principal_frame(reference[None], weights)[1][0, -1])
    typical = float(weighted_mean(np.sqrt(principal_frame(frames, weights)[1][:, -1]), frame_weights))
    if thickness < FLAT * typical:
        reference = frames[np.argmin(rmsd(superpose(frames, reference, weights), reference, weights))]
    return _orient(np.asarray(principal_frame(reference[None], weights)[0][0], dtype=np.float64), weights)


def _orient(x: Float64, weights: Float64) -> Float64:
    """Choose the signs of a structure's principal axes so that third moments are positive, whatever signs it has now.

    The last axis takes the sign that keeps the structure's handedness.
    """
    moments = weights @ x**3
    signs = np.where(moments < 0, -1.0, 1.0)
    signs[-1] = np.prod(signs[:-1])
    return x * signs


@dataclass(frozen=True, eq=False, repr=False)
class Alignment(Brief):
    """Describe how the translation and rotation of frames are removed.

    Attributes
    ----------
    kind : {"superpose", "principal", "none"}
    reference : ndarray of float64, shape (N, D)
        In Å, centred.
    weights : ndarray of float64, shape (N,)
        Masses or ones; weights of the centre and of the superposition.
    """

    kind: str
    reference: Float64
    weights: Float64

    def __post_init__(self) -> None:
        if self.kind not in ALIGNMENTS:
            raise OptionError(f"alignment must be one of {', '.join(ALIGNMENTS)}, got '{self.kind}'")

    def apply(self, x: Floats) -> Floats:
        """Align frames, shape (T, N, D), in their own precision."""
        if self.kind == "none":
            return x
        if self.kind == "superpose":
            return superpose(x, self.reference, self.weights)
        return principal(x, self.reference, self.weights)[0]

    def degenerate(self, x: Floats) -> int:
        """Return the number of frames (T, N, D) whose principal axes are nearly degenerate; 0 for other alignments."""
        return int(principal(x, self.reference, self.weights)[1].sum()) if self.kind == "principal" else 0

    @classmethod
    def fit(cls, kind: str, x: Floats, weights: Float64, frame_weights: Float64 | None = None) -> Alignment:
        """Choose the reference from frames (T, N, D), of weights (T,), and return the alignment with it."""
        if kind == "none":
            reference = weighted_mean(x.astype(np.float64), frame_weights)
        else:
            reference = mean_structure(x, weights, frame_weights=frame_weights)
        return cls(kind, reference, weights)
