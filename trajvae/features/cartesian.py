"""Shape space: frames without the degrees of freedom that alignment takes away.

A frame superposed on a reference r with weights w obeys sum w x = 0 and sum w (x cross r) = 0 exactly: six linear
equations (three in two dimensions, fewer if r is linear). Its features are orthonormal coordinates of the orthogonal
complement, the principal components of the training frames first, reached by Householder reflections in compact WY
form, x - (x V) T V^T: two thin matrix products, an isometry, and differentiable in forward and reverse mode.

References
----------
R. Schreiber and C. Van Loan, SIAM J. Sci. Stat. Comput. 10, 53 (1989): compact WY form.
C. Eckart, Phys. Rev. 47, 552 (1935): the conditions.
"""

from __future__ import annotations

import itertools
import math
from typing import Self

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.errors import ReadError
from trajvae.features.base import Features, FeatureSizes, FittingData
from trajvae.features.weighted_moments import freedom, weighted_mean
from trajvae.typing import Float64

SCALE_FLOOR = 0.1  # smallest scale of an input as a share of the largest: stiff directions are noise to a network
_EXACT = 2000  # frames and features up to which principal components are exact
_ROUNDING = 1e-6  # share of the reference's size below which weighted moments are rounding
_RANK = 1e-6  # share of the largest singular value below which an equation is rounding (float32 files)


def constraints(reference: Float64, weights: Float64, kind: str) -> Float64:
    """Return the linear equations that aligned frames obey.

    Parameters
    ----------
    reference : ndarray, shape (N, D)
    weights : ndarray, shape (N,)
    kind : {"superpose", "principal", "none"}
        Both sums vanish, the first only, or none.

    Returns
    -------
    ndarray, shape (rank, N D)
        Orthonormal rows.
    """
    n, dimension = reference.shape
    w = weights / weights.sum()
    # the moments of a single atom with weight, which stands at the centre, are rounding and give no equation
    least = max(_ROUNDING * float(np.linalg.norm(w) * np.abs(reference).max()), np.finfo(float).tiny)
    size = max(float(np.linalg.norm(w[:, None] * reference)), least)
    rows = []
    for d in range(dimension if kind != "none" else 0):
        row = np.zeros((n, dimension))
        row[:, d] = w / np.linalg.norm(w)
        rows.append(row.ravel())
    for a, b in itertools.combinations(range(dimension), 2) if kind == "superpose" else ():
        row = np.zeros((n, dimension))
        row[:, a], row[:, b] = w * reference[:, b] / size, -w * reference[:, a] / size
        rows.append(row.ravel())
    if not rows:
        return np.empty((0, n * dimension))
    # rows keep their size: turning a linear reference about its own axis is rounding, not a sixth equation
    _, values, vt = np.linalg.svd(np.stack(rows), full_matrices=False)
    if values[-1] > _RANK * values[0]:  # singular values that agree leave vectors to the last bit, reflections do not
        return np.ascontiguousarray(np.linalg.qr(np.stack(rows).T)[0].T)
    return np.asarray(vt[values > _RANK * values[0]])


def householder(rows: Float64) -> tuple[Float64, Float64]:
    """Return reflections Q = I - V T V^T whose first columns are the given orthonormal rows.

    Returns
    -------
    v : ndarray, shape (M, rank)
    t : ndarray, shape (rank, rank)
    """
    rank, size = rows.shape
    if rank == 0:
        return np.zeros((size, 0)), np.zeros((0, 0))
    packed, tau, _ = scipy.linalg.lapack.dgeqrfp(rows.T)  # a positive diagonal: the rows, not their negatives
    v: Float64 = np.tril(packed[:, :rank], -1).astype(np.float64)
    v[np.arange(rank), np.arange(rank)] = 1.0
    products, t = v.T @ v, np.zeros((rank, rank))
    for i in range(rank):
        t[i, i] = tau[i]
        t[:i, i] = -tau[i] * t[:i, :i] @ products[:i, i]
    return v, t


class ShapeSpace(Features):
    """Describe aligned frames by orthonormal coordinates of shape space.

    Parameters
    ----------
    reference : ndarray, shape (N, D)
        In Å.
    weights : ndarray, shape (N,)
    align : {"superpose", "principal", "none"}

    Notes
    -----
    The first targets are the principal components that are kept, in the order of their size; inputs are these relative
    to their training mean, and scaled; `fit` sets that up. Buffers are float64 and are cast to what comes in.
    `positions` gives frames that are stationary under rotation against the reference, which is nearly always the
    optimal superposition: superpose again before measuring an RMSD.
    """

    kind = "cartesian"
    linear = True
    v: Tensor
    t: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, reference: Float64, weights: Float64, align: str, n_inputs: int | None = None) -> None:
        super().__init__()
        rows = constraints(reference, weights, align)
        self.frame = reference.shape
        self.rank = len(rows)
        size = rows.shape[1] - self.rank
        if size < 1:
            raise ReadError(
                f"{reference.shape[0]} atoms in {reference.shape[1]} dimensions have no shape left to model"
            )
        kept = size if n_inputs is None else n_inputs
        self.shape = FeatureSizes(kept)
        for name, shape in (("v", (rows.shape[1], 0)), ("t", (0, 0)), ("mean", (size,)), ("scale", (kept,))):
            self.register_buffer(name, torch.ones(shape, dtype=torch.float64) * (name == "scale"))
        self._rows = rows
        self._reflect(rows)

    def _reflect(self, rows: Float64) -> None:
        """Let the first coordinates be those along the given rows; arrays have room for all components."""
        v, t = householder(rows)
        known, room = len(rows), self.rank + self.input_size
        self.v, self.t = torch.zeros(len(v), room).to(self.mean), torch.zeros(room, room).to(self.mean)
        self.v[:, :known], self.t[:known, :known] = torch.from_numpy(v), torch.from_numpy(t)

    @classmethod
    def fit(cls, data: FittingData) -> Self:
        a = data.alignment
        size = cls(a.reference, a.weights, a.kind, 1).size
        out = cls(a.reference, a.weights, a.kind, data.inputs_of(size))
        frames = torch.from_numpy(np.ascontiguousarray(data.frames, dtype=np.float64))
        out.set_components(out.targets(frames), out.input_size, SCALE_FLOOR, data.frame_weights)
        return out

    @classmethod
    def empty(cls, alignment: Alignment, shape: FeatureSizes) -> Self:
        return cls(alignment.reference, alignment.weights, alignment.kind, shape.n_inputs)

    @property
    def size(self) -> int:
        return int(self.mean.shape[0])

    @property
    def axes(self) -> Tensor:
        """Principal axes that are kept, in targets, (F, I): the first unit vectors."""
        return torch.eye(self.size, self.input_size, dtype=torch.float64, device=self.mean.device)

    def targets(self, x: Tensor) -> Tensor:
        return self._turned(x.flatten(1))

    def _turned(self, flat: Tensor) -> Tensor:
        v, t = self.v.to(flat), self.t.to(flat)
        return (flat - (flat @ v) @ t @ v.T)[:, self.rank :]

    def positions(self, targets: Tensor) -> Tensor:
        flat = torch.nn.functional.pad(targets, (self.rank, 0))
        v, t = self.v.to(targets), self.t.to(targets)
        return (flat - (flat @ v) @ t.T @ v.T).view(-1, *self.frame)

    def inputs(self, targets: Tensor) -> Tensor:
        kept = self.input_size
        return (targets[:, :kept] - self.mean[:kept].to(targets)) / self.scale.to(targets)

    def affine(self) -> tuple[Tensor, Tensor]:
        seen = torch.nn.functional.pad(self.axes / self.scale, (0, 0, self.rank, 0))
        return seen - self.v @ (self.t @ (self.v.T @ seen)), self.positions(self.mean[None]).flatten()

    def expand(self, outputs: Tensor) -> Tensor:
        """Return targets (B, F) of outputs of order one, (B, I): the inverse of `inputs`."""
        mean, scale = self.mean.to(outputs), self.scale.to(outputs)
        if self.size == self.input_size:
            return torch.addcmul(mean, outputs, scale)
        return mean + torch.nn.functional.pad(outputs * scale, (0, self.size - self.input_size))

    def project(self, targets: Tensor, k: int) -> Tensor:
        """Project targets (B, F) on the first k principal components."""
        return torch.cat([targets[:, :k], self.mean[k:].to(targets).expand(len(targets), -1)], dim=1)

    def log_jacobian(self, targets: Tensor) -> Tensor:
        """Return zeros (B,): shape space is an isometry of the frames."""
        return targets.new_zeros(len(targets))

    def set_components(self, targets: Tensor, n_inputs: int, floor: float, weights: Tensor | None = None) -> Tensor:
        """Set mean, principal components and scales from training targets.

        Parameters
        ----------
        targets : Tensor, shape (T, F)
        n_inputs : int
            Components that are kept.
        floor : float
            Smallest scale as a share of the largest.
        weights : Tensor, shape (T,), optional
            How much each frame counts, of mean 1.

        Returns
        -------
        Tensor, shape (T, F)
            The same frames' targets, the principal components first.
        """
        mean, axes, deviations = principal_components(targets.double(), n_inputs, weights)
        middle, along = self.positions(mean[None]).flatten(1), self.positions(axes.T).flatten(1)
        frames = self.positions(targets).flatten(1)
        self.shape = FeatureSizes(len(deviations))  # fewer than asked for where frames are few
        self._reflect(np.concatenate([self._rows, along.cpu().numpy()]))
        self.mean = self._turned(middle)[0]
        self.scale = deviations.clamp(min=max(float(deviations[0]) * floor, 1e-12))
        return self._turned(frames)


def principal_components(targets: Tensor, k: int, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (F,), principal axes (F, k) and standard deviations (k,) of targets (T, F), largest first.

    Frames count by their weights (T,), of mean 1, where there are any.

    The thinner side of the data is diagonalised: the covariance for few features, the Gram matrix for few frames; where
    both are large, a randomised decomposition with four power iterations.
    """
    mean = weighted_mean(targets, weights)
    x = targets - mean
    if weights is not None:
        x = x * weights.to(x).sqrt()[:, None]
    frames, size = x.shape
    free = freedom(frames, weights)
    if min(frames, size) > _EXACT:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, values, vectors = torch.svd_lowrank(x, q=min(k + 10, frames, size), niter=4)
        return mean, vectors[:, :k].contiguous(), values[:k] / math.sqrt(free)
    square = x.T @ x if size <= frames else x @ x.T
    values, vectors = torch.linalg.eigh(square)
    values, vectors = values.flip(0)[:k].clamp(min=0.0), vectors.flip(1)[:, :k]
    if size > frames:
        vectors = x.T @ vectors
        vectors = torch.linalg.qr(vectors).Q * torch.sign((torch.linalg.qr(vectors).R).diagonal())
    return mean, vectors.contiguous(), (values / max(free, 1.0)).sqrt()
