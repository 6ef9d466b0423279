"""Measure how much each atom and each residue moves each latent coordinate of a model.

In a frame x, aligned as the model aligns it, atom i changes component k of the latent mean by

    c_ik(x) = dz_k / dx_i . (x_i - m_i)

to first order, where m is the mean of the aligned frames. The sensitivity is the root mean square of c_ik over the
frames, in the unit of z_k; that of a residue is the root mean square of the sum of c_ik over its atoms. With weights of
frames all of these means are weighted. Where z is linear in aligned positions, the c_ik of a frame add up to the
difference of z_k from its value at the mean. The derivative is that of the whole way from a frame as it comes,
alignment included: moving or turning all atoms together changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from trajvae.errors import ModelError, ReadError
from trajvae.export.latent_cv import LatentCV
from trajvae.frame_weights.weights import FrameWeights, relative_of
from trajvae.model_base import ModelBase
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.molecule.to_libraries import first_atoms
from trajvae.readers.data_set import Chunk, Frames
from trajvae.results.sensitivity import Sensitivity
from trajvae.runtime.progress import count_rows
from trajvae.training.frame_source import FrameSource
from trajvae.typing import Float64, Floats, Int64

_NUMBERS = 2**21  # components of gradients that are held at once
_FEWEST = 2  # frames


class Differentiable(Protocol):
    """Compute latent points of many frames with their derivatives, as `LatentCV` does.

    Attributes
    ----------
    n_outputs : int
    """

    n_outputs: int

    def value_and_gradient(self, x: Floats) -> tuple[Float64, Float64]:
        """Return latent points (B, M) of frames (B, N, 3), and their derivatives (B, M, N, 3)."""
        ...


class SensitivitySums:
    """Add up changes of latent coordinates over frames, a few frames at a time.

    Parameters
    ----------
    cv : Differentiable
    mean : ndarray, shape (N, 3)
        Mean of the aligned frames, in Å.
    first_of_residues : ndarray of int64, shape (R,)
        First atom of each residue; residues follow each other.
    """

    def __init__(self, cv: Differentiable, mean: Float64, first_of_residues: Int64) -> None:
        self._cv, self._mean, self._first = cv, mean, first_of_residues
        self._n, self._rows = 0.0, max(1, _NUMBERS // (cv.n_outputs * mean.size))
        self._atoms = np.zeros((cv.n_outputs, len(mean)))
        self._residues = np.zeros((cv.n_outputs, len(first_of_residues)))
        self._square = np.zeros(len(mean))
        self._z = np.zeros((2, cv.n_outputs))  # sums of z, and of its square, from `_origin`
        self._origin = np.asarray(cv.value_and_gradient(mean[None])[0][0])

    def add(self, aligned: Float64, weights: Float64 | None = None) -> None:
        """Add aligned frames (B, N, 3) in Å with their weights (B,), of which None stands for 1."""
        counts = np.ones(len(aligned)) if weights is None else weights
        for k in range(0, len(aligned), self._rows):
            self._add_few(aligned[k : k + self._rows], counts[k : k + self._rows])

    def _add_few(self, aligned: Float64, counts: Float64) -> None:
        root = np.sqrt(counts)[:, None, None]  # what is squared has it as a factor
        away = root * (aligned - self._mean)
        z, gradient = self._cv.value_and_gradient(aligned)
        change = np.einsum("bmnd,bnd->bmn", gradient, away)
        together = np.add.reduceat(change, self._first, axis=2)
        self._atoms += np.einsum("bmn,bmn->mn", change, change)
        self._residues += np.einsum("bmn,bmn->mn", together, together)
        self._square += np.einsum("bnd,bnd->n", away, away)
        z = z - self._origin
        self._z += np.stack([counts @ z, counts @ z**2])
        self._n += float(counts.sum())

    @property
    def atoms(self) -> Float64:
        """Sensitivity to each atom, (M, N)."""
        return np.sqrt(self._atoms / self._n)

    @property
    def residues(self) -> Float64:
        """Sensitivity to each residue, (M, R)."""
        return np.sqrt(self._residues / self._n)

    @property
    def fluctuation(self) -> Float64:
        """Root mean square distance of each atom from its mean position, (N,), in Å."""
        return np.sqrt(self._square / self._n)

    @property
    def spread(self) -> Float64:
        """Standard deviation of each component of latent points, (M,)."""
        first, second = self._z / self._n
        return np.asarray(np.sqrt(np.maximum(second - first**2, 0.0)))


def sensitivity(
    model: ModelBase,
    frames: Frames | FrameSource,
    progress: Callable[[int, int], None] | None = None,
    weights: FrameWeights | None = None,
) -> Sensitivity:
    """Measure how much each atom and each residue moves each latent coordinate over some frames.

    Frames are read twice, a few at a time: for their mean, and for the derivatives at each.

    Parameters
    ----------
    model : ModelBase
        Of frames in space, aligned by superposition or not at all.
    frames : Frames or FrameSource
    progress : callable, optional
        Called with (frames done, frames in all) on the second reading.
    weights : FrameWeights, optional
        Of the frames.

    Returns
    -------
    Sensitivity

    Raises
    ------
    ModelError
        The model is of frames in the plane, or aligns frames by their principal axes.
    ReadError
        There are fewer than two frames.
    """
    _check(model.pipeline, frames)
    counts = relative_of(weights)
    mean = _mean(model.pipeline, frames, counts)
    sums = SensitivitySums(LatentCV(model), mean, first_atoms(model.topology.residues))
    nearest, structure, origin, done = np.inf, mean, (0, 0), 0
    for chunk, aligned in _aligned(model.pipeline, frames.chunks()):
        sums.add(aligned, None if counts is None else counts[done : done + len(aligned)])
        distance = ((aligned - mean) ** 2).sum(axis=(1, 2))
        row = int(distance.argmin())
        if distance[row] < nearest:
            nearest, structure = float(distance[row]), aligned[row].copy()
            origin = int(chunk.file[row]), int(chunk.frame[row])
        done += len(aligned)
        if progress is not None:
            progress(done, frames.n_frames)
    return Sensitivity(
        atoms=sums.atoms,
        residues=sums.residues,
        spread=sums.spread,
        fluctuation=sums.fluctuation,
        structure=structure,
        structure_file=frames.names[origin[0]],
        structure_frame=origin[1],
        topology=model.topology,
        frames=done,
        model_hash=hash_of(model.pipeline),
        weights=None if weights is None else weights.source,
    )


def _check(pipeline: Pipeline, frames: Frames | FrameSource) -> None:
    if pipeline.dimension != 3 or pipeline.alignment.kind == "principal":
        found = "aligns them by principal axes" if pipeline.dimension == 3 else "is of frames in the plane"
        raise ModelError(
            "sensitivities take the derivative of latent points by positions, which is that of models of frames in "
            f"space with --align superpose or none; this one {found}"
        )
    if frames.n_frames < _FEWEST:
        raise ReadError(
            f"a sensitivity needs at least {_FEWEST} frames, in which atoms move, got {frames.n_frames}: give more "
            "of the trajectory"
        )


def _aligned(pipeline: Pipeline, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, Float64]]:
    """Yield chunks with their aligned frames in float64."""
    for chunk in chunks:
        yield chunk, np.asarray(pipeline.alignment.apply(chunk.positions.astype(np.float64)), dtype=np.float64)


def _mean(pipeline: Pipeline, frames: Frames | FrameSource, counts: Float64 | None) -> Float64:
    """Return the mean of the aligned frames, (N, 3)."""
    chunks = count_rows(frames.chunks(), lambda c: c.file, "averaging", "frame", frames.n_frames)
    total, done = np.zeros((pipeline.n_atoms, 3)), 0
    for _, aligned in _aligned(pipeline, chunks):
        rows = slice(done, done + len(aligned))
        total += aligned.sum(axis=0) if counts is None else np.tensordot(counts[rows], aligned, axes=1)
        done = rows.stop
    return np.asarray(total / frames.n_frames)
