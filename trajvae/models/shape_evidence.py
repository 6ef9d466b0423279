"""The evidence of shapes: the density that a model of aligned frames gives to a frame whatever its place and turn.

Superposed frames have six equations fewer coordinates than frames that were centred only, or not at all. A density q of
frames becomes one of shapes by its integral over all the turns and shifts that the alignment leaves open,

    p(s) = integral of q(R s + t) |det K(s)| dR dt,

where K says how the conditions of superposition change under turn and shift. The logarithm is bounded from below by
importance sampling of R and t together with z: no such mean is above log p(s), however turns are proposed.

References
----------
Y. Burda, R. Grosse, R. Salakhutdinov, arXiv:1509.00519: bounds by importance weighting, here over R and t too.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.alignment.align import superpose
from trajvae.alignment.rigid_moves import rigid_moves
from trajvae.features.cartesian import constraints
from trajvae.models.pipeline import Pipeline
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.typing import Float64, Floats

_DRAWS, _NUMBERS = 256, 1e8  # proposals a frame, and coordinates in all
_FRAMES = 200  # at most
_WIDTHS = np.geomspace(1e-3, 10.0, 13)  # Å that proposals move the frame by, of which one is the start
_ROUNDS, _BROADER = 3, 1.3  # of adapting the proposals, and how much more than found they spread


@dataclass(frozen=True, eq=False)
class _Orbit:
    """What frames (B, N, D) become when turned and shifted.

    Attributes
    ----------
    base, middle : Tensor, shape (B, N, D) and (B, 1, D)
        Frames less their centres, and the centres.
    factor : Tensor, shape (B, k, k)
        Inverse transposed Cholesky factor of the moves' Gram matrix: a unit step moves the frame by 1 Å in all.
    volume : Tensor, shape (B,)
        log |det K| less the logarithm of the step's volume.
    shifts : int
        How many of the k moves are shifts; the others are turns.
    """

    base: Tensor
    middle: Tensor
    factor: Tensor
    volume: Tensor
    shifts: int

    def at(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Frames after steps (B, k), and the log of the volume of moves per volume of steps, (B,)."""
        move = torch.einsum("bij,bj->bi", self.factor, steps)
        dimension = self.base.shape[2]
        turn = move[:, self.shifts :]
        angle = turn.norm(dim=1)
        haar = 2.0 * torch.sinc(angle / (2.0 * math.pi)).abs().log() if dimension == 3 else torch.zeros_like(angle)
        # half a turn and more is reached by another step already
        haar = torch.where(angle < math.pi, haar, -torch.inf)
        skew = torch.zeros(len(move), dimension, dimension).to(move)
        for k, (i, j) in enumerate(itertools.combinations(range(dimension), 2)):
            skew[:, i, j], skew[:, j, i] = -turn[:, k], turn[:, k]
        moved = self.base @ torch.linalg.matrix_exp(skew).mT + self.middle
        if self.shifts:
            moved = moved + move[:, None, : self.shifts]
        return moved, self.volume + haar

    def repeated(self, times: int) -> _Orbit:
        """Return the orbit with each frame repeated `times` times."""
        base, middle, factor, volume = (
            x.repeat_interleave(times, dim=0) for x in (self.base, self.middle, self.factor, self.volume)
        )
        return _Orbit(base, middle, factor, volume, self.shifts)


def _orbit(aligned: Tensor, shapes: Tensor, weights: Tensor, rows: Tensor, kind: str) -> _Orbit:
    """Frames as the model sees them (B, N, D), and the same superposed on the reference of the shapes."""
    dimension = aligned.shape[2]
    middle = torch.einsum("bnd,n->bd", aligned, weights / weights.sum())[:, None]
    base = aligned - middle
    shifts = 0 if kind == "principal" else dimension
    some = rigid_moves(base).flatten(2)[:, dimension - shifts :]
    lower = torch.linalg.cholesky(some @ some.mT)
    volume = torch.linalg.slogdet(rigid_moves(shapes).flatten(2) @ rows.T).logabsdet
    if not shifts:  # centred frames are a density of centred coordinates
        volume = volume - dimension * float((weights.sum() / weights.norm()).log())
    volume = volume - lower.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return _Orbit(base, middle, torch.linalg.inv(lower).mT, volume, shifts)


class _Proposals:
    """Steps from a normal distribution that learns how wide the density is along each move."""

    def __init__(self, pipeline: Pipeline, size: int, generator: torch.Generator) -> None:
        self.pipeline, self.generator = pipeline, generator
        self.factor = torch.eye(size, dtype=torch.float64, device=pipeline.device)

    def weigh(self, orbit: _Orbit, draws: int) -> tuple[Tensor, Tensor]:
        """Steps (B, draws, k), and the log weights (B, draws) whose exponentials have the mean p(s)."""
        k = len(self.factor)
        rows = [slice(i, i + 1) for i in range(len(orbit.base))]
        steps, weights = [], []
        for row in rows:
            one = _Orbit(orbit.base[row], orbit.middle[row], orbit.factor[row], orbit.volume[row], orbit.shifts)
            noise = torch.randn(draws, k, generator=self.generator, dtype=torch.float64, device=self.factor.device)
            step = noise @ self.factor.T
            moved, volume = one.repeated(draws).at(step)
            proposed = -0.5 * noise.square().sum(dim=1) - 0.5 * k * math.log(2.0 * math.pi)
            proposed = proposed - torch.linalg.slogdet(self.factor).logabsdet
            steps.append(step)
            weights.append(self._evidence(moved) + volume - proposed)
        return torch.stack(steps), torch.stack(weights)

    def _evidence(self, frames: Tensor) -> Tensor:
        """log p(x, z) / q(z|x) at one draw of z for each frame, (B,)."""
        vae = self.pipeline.vae
        exact = vae.features.targets(frames)
        return vae.log_weights(vae.features.inputs(exact).float(), exact.float(), 1, self.generator)[:, 0].double()

    def learn(self, orbit: _Orbit, draws: int) -> None:
        """The best of some widths, then the covariance of the steps by their weights."""
        unit, found = self.factor, []
        for width in _WIDTHS:
            self.factor = float(width) * unit
            found.append(float(bounds(self.weigh(orbit, draws)[1]).mean()))
        self.factor = float(_WIDTHS[int(np.argmax(found))]) * unit
        for _ in range(_ROUNDS):
            steps, weights = self.weigh(orbit, draws)
            share = torch.softmax(weights, dim=1)
            covariance = torch.einsum("bs,bsi,bsj->ij", share, steps, steps) / len(steps)
            own = torch.diag(covariance.diagonal())
            before = self.factor, float(bounds(weights).mean())
            self.factor = _BROADER * torch.linalg.cholesky(0.9 * covariance + 0.1 * own)
            if not float(bounds(self.weigh(orbit, draws)[1]).mean()) > before[1]:
                self.factor = before[0]


def bounds(weights: Tensor) -> Tensor:
    """Return the log of the mean of exponentials of rows (B, draws), (B,)."""
    return torch.logsumexp(weights, dim=1) - math.log(weights.shape[1])


@torch.no_grad()
def shape_bound(
    pipeline: Pipeline, training: Floats, judged: Floats, reference: Float64, seed: int = 0
) -> Float64 | None:
    """Return a lower bound of the log density of shapes, in nats, for frames of a model that does not superpose.

    Parameters
    ----------
    pipeline : Pipeline
        Of Cartesian features, aligned by `principal` or `none`.
    training : ndarray, shape (M, N, D)
        Frames from which the proposals learn, as they come from a reader.
    judged : ndarray, shape (T, N, D)
        Frames that are judged; evenly thinned to 200.
    reference : ndarray, shape (N, D)
        Centred; on which shapes are superposed.
    seed : int

    Returns
    -------
    ndarray, shape (T,), or None
        None where the reference is linear, so that turns about it leave no trace.
    """
    n, dimension = reference.shape
    kind, weights = pipeline.alignment.kind, pipeline.alignment.weights
    rows = constraints(reference, weights, "superpose")
    if len(rows) < dimension * (dimension + 1) // 2:
        return None
    draws = int(np.clip(_NUMBERS // (_FRAMES * n * dimension), 16, _DRAWS))

    def orbit(frames: Floats, most: int) -> _Orbit:
        """Return at most `most` of the frames with their shapes and turns."""
        frames = frames[evenly_spaced(len(frames), most)]
        frames = frames.astype(np.float64)
        seen, shapes = pipeline.alignment.apply(frames), superpose(frames, reference, weights)
        tensors = [torch.from_numpy(np.ascontiguousarray(x)).to(pipeline.device) for x in (seen, shapes, weights, rows)]
        return _orbit(tensors[0], tensors[1], tensors[2], tensors[3], kind)

    turns = dimension * (dimension - 1) // 2
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    proposals = _Proposals(pipeline, turns + (0 if kind == "principal" else dimension), generator)
    proposals.learn(orbit(training, _FRAMES // 8), draws)
    return np.asarray(bounds(proposals.weigh(orbit(judged, _FRAMES), draws)[1]).cpu().numpy(), dtype=np.float64)
