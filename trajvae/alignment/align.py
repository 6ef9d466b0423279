"""Taking out translation and rotation: pure, batched functions on arrays, proper rotations only.

A mirror image is another molecule, so every rotation here has determinant +1. Covariances, singular values and
eigenvectors are computed in float64; results keep the input's precision.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from trajvae.alignment.frame_sums import (
    as_rows,
    blocks,
    centre_columns,
    covariance_columns,
    multiply_frames,
    repeat_for_atoms,
    weighted_centring,
)
from trajvae.alignment.rotations import optimal
from trajvae.display import Brief
from trajvae.errors import OptionError
from trajvae.typing import Bool, Float64, Floats

KINDS = ("superpose", "principal", "none")
# two principal moments closer than this share of the larger have no axes of their own
DEGENERATE = 0.1
# a mean structure thinner than this share of the frames' own thickness says nothing of their orientation
FLAT = 0.5
# share of two frames' sizes below which their squared difference is added up by atoms: rounding is 1e-9 of it above
_NEAR = 1e-6


def center(x: Floats, weights: Float64) -> Floats:
    """Subtract the weighted centre of every frame.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, N, D)
        In the precision of `x`; the centre is computed in float64.
    """
    middle, out = multiply_frames(x, centre_columns(weights, x.shape[2])), np.empty(x.shape, x.dtype)
    everywhere = repeat_for_atoms(x.shape[1], np.eye(x.shape[2]))
    for s in blocks(x):
        np.subtract(as_rows(x[s]), middle[s] @ everywhere, out=as_rows(out[s]), casting="same_kind")
    return out


def _covariance(x: Floats, other: Float64, weights: Float64) -> Float64:
    """Sum over atoms of w x outer other, shape (T, D, D); `other` is one structure (N, D) or one a frame."""
    out = np.empty((len(x), x.shape[2], x.shape[2]))
    if other.ndim == 2:
        return multiply_frames(x, covariance_columns(other, weights)).reshape(out.shape)
    for s in blocks(x):
        turned = np.swapaxes(x[s].astype(np.float64, copy=False), 1, 2)
        np.matmul(turned, weights[:, None] * other[s], out=out[s])
    return out


def optimal_rotations(x: Floats, reference: Float64, weights: Float64) -> Float64:
    """The proper rotations R that minimise the weighted RMSD of x R to the reference.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    reference : ndarray, shape (N, D) or (T, N, D)
        Both centred.
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, D, D)
    """
    return optimal(_covariance(x, reference, weights))


def superpose(x: Floats, reference: Float64, weights: Float64) -> Floats:
    """Centre every frame and turn it optimally on to the reference.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    reference : ndarray, shape (N, D)
        Centred with the same weights.
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T, N, D)
        In the precision of `x`, in which the centre is subtracted and the rotation applied; both are found in float64.
    """
    n, dimension = reference.shape
    # the covariance of centred frames from frames as they come, in one product with their centres
    both = multiply_frames(x, np.hstack([covariance_columns(reference, weights), centre_columns(weights, dimension)]))
    middle, raw = both[:, dimension**2 :], both[:, : dimension**2].reshape(-1, dimension, dimension)
    rotations = optimal(raw - middle[:, :, None] * (weights @ reference)).astype(x.dtype)
    middle, out = middle.astype(x.dtype), np.empty(x.shape, x.dtype)
    everywhere = repeat_for_atoms(n, np.eye(dimension, dtype=x.dtype))
    for s in blocks(x):
        np.matmul((as_rows(x[s]) - middle[s] @ everywhere).reshape(-1, n, dimension), rotations[s], out=out[s])
    return out


def pairwise_rmsd(a: Floats, b: Floats, weights: Float64) -> Float64:
    """RMSD between frames of equal index after optimal superposition, unweighted in the mean if weights are.

    Parameters
    ----------
    a, b : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (T,)
        In the unit of the positions.
    """
    covariance, size = np.empty((len(a), a.shape[2], a.shape[2])), np.empty(len(a))
    scaled = weighted_centring(weights, a.shape[2])
    for s in blocks(a):
        left, right = scaled(a[s]), scaled(b[s])
        np.matmul(np.swapaxes(left, 1, 2), right, out=covariance[s])
        size[s] = np.einsum("tnd,tnd->t", left, left) + np.einsum("tnd,tnd->t", right, right)
    rotations = optimal(covariance)
    square = size - 2.0 * np.einsum("tij,tij->t", rotations, covariance)
    # a difference of frames that nearly coincide has lost its digits: add up theirs
    near = np.flatnonzero(square < _NEAR * size)
    for s in blocks(a[near]):
        k = near[s]
        rest = np.matmul(scaled(a[k]), rotations[k]) - scaled(b[k])
        square[k] = np.square(rest).sum(axis=(1, 2))
    return np.asarray(np.sqrt(square / weights.sum()))


def rmsd(a: Floats, b: Floats, weights: Float64 | None = None) -> Float64:
    """Weighted RMSD without superposition, shape (T,); either may be one structure."""
    if a.ndim == 2:
        return np.asarray(rmsd(a[None], b, weights)[0])
    weights = np.ones(a.shape[1]) if weights is None else weights
    share = np.repeat(weights / weights.sum(), a.shape[2])
    b, square = np.broadcast_to(b, a.shape), np.empty(len(a))
    for s in blocks(a):
        np.matmul(np.square(as_rows(a[s].astype(np.float64) - b[s])), share, out=square[s])
    return np.sqrt(square)


def frame_jump(aligned: Floats, follows: Bool | None = None) -> Float64:
    """RMSD between neighbouring frames as they stand after alignment.

    Parameters
    ----------
    aligned : ndarray, shape (T, N, D)
    follows : ndarray of bool, shape (T,), optional
        Whether a frame follows the one before it in the same file; other jumps are NaN.

    Returns
    -------
    ndarray, shape (T,)
        The first is NaN: nothing stands before it.
    """
    jump = np.full(len(aligned), np.nan)
    if len(aligned) > 1:
        jump[1:] = rmsd(aligned[1:], aligned[:-1])
    if follows is not None:
        jump[~follows] = np.nan
    return jump


def principal_frame(x: Floats, weights: Float64) -> tuple[Floats, Float64]:
    """Centre frames and turn each into the axes of its own gyration tensor, the longest first.

    Returns
    -------
    turned : ndarray, shape (T, N, D)
        Signs are arbitrary but right-handed.
    moments : ndarray, shape (T, D)
        Eigenvalues, descending.
    """
    moved = center(x, weights)
    values, vectors = np.linalg.eigh(_covariance(moved, moved.astype(np.float64), weights))
    axes = vectors[:, :, ::-1].copy()
    axes[:, :, -1] *= np.sign(np.linalg.det(axes))[:, None]
    return np.matmul(moved, axes.astype(x.dtype)), np.maximum(values[:, ::-1], 0.0)


def _proper_signs(dimension: int) -> Float64:
    signs: Float64 = np.array(list(itertools.product((1.0, -1.0), repeat=dimension)))
    return np.asarray(signs[np.prod(signs, axis=1) > 0])


def principal(x: Floats, reference: Float64, weights: Float64) -> tuple[Floats, Bool]:
    """Turn every frame into its principal axes, with the proper signs that bring it nearest to the reference.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    reference : ndarray, shape (N, D)
    weights : ndarray, shape (N,)

    Returns
    -------
    aligned : ndarray, shape (T, N, D)
    degenerate : ndarray of bool, shape (T,)
        Two moments are within 10 % of each other: the axes are arbitrary in their plane.
    """
    turned, moments = principal_frame(x, weights)
    agreement = np.einsum("tnd,nd,n->td", turned, reference, weights, dtype=np.float64)
    signs = _proper_signs(x.shape[2])
    best = signs[np.argmax(agreement @ signs.T, axis=1)]
    gap = (moments[:, :-1] - moments[:, 1:]) / np.maximum(moments[:, :-1], np.finfo(float).tiny)
    return turned * best[:, None, :].astype(x.dtype), np.asarray((gap < DEGENERATE).any(axis=1))


def mean_structure(x: Floats, weights: Float64, tolerance: float = 1e-8, rounds: int = 100) -> Float64:
    """The structure that is the mean of all frames superposed on it, in its own principal axes.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    weights : ndarray, shape (N,)
    tolerance : float
        The iteration ends when the RMSD between two rounds falls below this.

    Returns
    -------
    ndarray, shape (N, D)
        Where frames are so different that their mean is much thinner than they are (floppy chains), the frame
        nearest the mean instead: a flat mean would leave the frames' orientation to chance.
    """
    frames = center(x.astype(np.float64), weights)
    reference = frames[len(frames) // 2]
    for _ in range(rounds):
        new = superpose(frames, reference, weights).mean(axis=0)
        change = rmsd(new, reference)
        reference = new
        if change < tolerance:
            break
    thickness = np.sqrt(principal_frame(reference[None], weights)[1][0, -1])
    typical = np.sqrt(principal_frame(frames, weights)[1][:, -1]).mean()
    if thickness < FLAT * typical:
        reference = frames[np.argmin(rmsd(superpose(frames, reference, weights), reference, weights))]
    return _orient(np.asarray(principal_frame(reference[None], weights)[0][0], dtype=np.float64), weights)


def _orient(x: Float64, weights: Float64) -> Float64:
    """A structure in its principal axes with signs that do not depend on how it came: third moments are positive.

    The last axis takes the sign that keeps the structure's handedness.
    """
    moments = weights @ x**3
    signs = np.where(moments < 0, -1.0, 1.0)
    signs[-1] = np.prod(signs[:-1])
    return x * signs


@dataclass(frozen=True, eq=False, repr=False)
class Alignment(Brief):
    """How frames lose their translation and rotation.

    Attributes
    ----------
    kind : {"superpose", "principal", "none"}
    reference : ndarray of float64, shape (N, D)
        In Å, centred.
    weights : ndarray of float64, shape (N,)
        Masses or ones; of the centre and of the superposition.
    """

    kind: str
    reference: Float64
    weights: Float64

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"alignment must be one of {', '.join(KINDS)}, got '{self.kind}'")

    def apply(self, x: Floats) -> Floats:
        """Align frames, shape (T, N, D), in their own precision."""
        if self.kind == "none":
            return x
        if self.kind == "superpose":
            return superpose(x, self.reference, self.weights)
        return principal(x, self.reference, self.weights)[0]

    def degenerate(self, x: Floats) -> int:
        """How many frames have principal axes that are near-degenerate, where the alignment uses them."""
        return int(principal(x, self.reference, self.weights)[1].sum()) if self.kind == "principal" else 0

    @classmethod
    def fit(cls, kind: str, x: Floats, weights: Float64) -> Alignment:
        """Choose the reference from frames (T, N, D)."""
        reference = x.astype(np.float64).mean(axis=0) if kind == "none" else mean_structure(x, weights)
        return cls(kind, reference, weights)
